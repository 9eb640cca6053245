"""Packages that only some of the work needs, and the line that installs each.

``pip install tssd`` brings what simulates, checks, compares, reports and converts integers;
``pip install 'tssd[train]'`` what trains, exports and imports floats.
"""

from dataclasses import dataclass

from tssd.errors import TargetError


@dataclass(frozen=True)
class Optional:
    """A package by the name it is imported by: how an index calls it, the extra that brings it."""

    distribution: str
    extra: str
    use: str

    @property
    def install(self) -> str:
        return f"pip install 'tssd[{self.extra}]'"


FLOATS = "networks in floats: training, export, import of their graphs, the gpu engine"
OPTIONAL = {
    "torch": Optional("torch", "train", FLOATS),
    "snntorch": Optional("snntorch", "train", "networks of snnTorch: training and export"),
    "sklearn": Optional("scikit-learn", "train", "the data set digits"),
    "PIL": Optional("pillow", "train", "pictures in folders, and their augmentation"),
    "matplotlib": Optional("matplotlib", "plot", "plots: studies, figures of a report"),
    "pandas": Optional("pandas", "plot", "tables as data frames"),
    "neurobench": Optional("neurobench", "neurobench", "a deployed network as its model"),
    "distributed": Optional("distributed", "dask", "tssd sweep on a Dask cluster"),
    "amaranth": Optional("amaranth", "rtl", "the open core's circuits: tssd verify --against rtl"),
    "tensorboardX": Optional("tensorboardX", "tensorboard", "a training's curves in TensorBoard"),
}


def install_line(module: str) -> str:
    """The line that installs *module*, by the name it is imported by."""
    found = OPTIONAL.get(module.partition(".")[0])
    return f"pip install {module}" if found is None else found.install


def not_installed(error: ModuleNotFoundError) -> TargetError | None:
    """The refusal of work whose package is not here; None where *error* is of no such package."""
    root = (error.name or "").partition(".")[0]
    if root not in OPTIONAL:
        return None
    needed = OPTIONAL[root]
    return TargetError(
        "this installation",
        found=f"no package {needed.distribution}, needed for {needed.use}",
        hint=needed.install,
    )
