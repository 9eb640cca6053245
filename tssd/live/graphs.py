"""NIR graphs that someone holds in memory, taken over as ``tssd import`` takes a file."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from tssd.chain.importing import ImportOptions, import_bundle, is_float_graph
from tssd.chain.user_data import gather
from tssd.chain.user_samples import UserSamples, fitting
from tssd.errors import ConfigError
from tssd.export.bundle.folder import Bundle

if TYPE_CHECKING:
    from nir import NIRGraph

FILE = "graph.nir"  # what the bundle calls its source


def is_graph(value: object) -> "TypeGuard[NIRGraph | str]":
    """Whether *value* is a NIR graph, or the path of one; ``nir`` need not be loaded to know."""
    if isinstance(value, str):
        return value.endswith(".nir")
    return type(value).__name__ == "NIRGraph" and type(value).__module__.split(".")[0] == "nir"


def export_nir(
    graph: "NIRGraph | str",
    samples: Any,
    labels: Any,
    out: Path,
    options: ImportOptions,
    *,
    force: bool = False,
) -> tuple[Bundle, UserSamples]:
    """The bundle of *graph*, calibrated on *samples* (arrays, a Dataset of torch or tonic, a file),
    and those samples as they enter it."""
    given = gather(samples, labels)
    with tempfile.TemporaryDirectory(prefix="tssd-nir-") as place:
        path = _written(graph, Path(place))
        if not is_float_graph(path):
            raise ConfigError(
                str(path.name),
                found="an integer network of tssd",
                allowed="a graph of floats",
                hint=f"tssd import {path.name} --out {out}",
            )
        kept = Path(place) / "samples.npz"
        arrays: dict[str, Any] = {"inputs": given.inputs, "labels": given.labels}
        np.savez(kept, **{name: x for name, x in arrays.items() if x is not None})
        bundle = import_bundle(path, out, replace(options, calibration=kept), force=force)
    return bundle, fitting(given, bundle.network.source.shape)


def _written(graph: "NIRGraph | str", place: Path) -> Path:
    """A file of *graph*: its own, or one in *place*."""
    if isinstance(graph, str):
        return Path(graph)
    import nir

    nir.write(str(place / FILE), graph)
    return place / FILE
