"""What is installed and what can run here; pure look-ups, nothing heavy is imported.

A package is present if its metadata is; an engine can run if the packages it needs are present and
its part of tssd is. torch itself is imported only where a CUDA driver was found, to ask it.
"""

import ctypes.util
import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from tssd import __version__

State = Literal["ready", "limited", "missing"]
REQUIRED = (
    "numpy",
    "torch",
    "snntorch",
    "nir",
    "h5py",
    "safetensors",
    "onnx",
    "onnxruntime",
    "numba",
    "scikit-learn",
    "scipy",
    "click",
    "rich",
    "jinja2",
    "matplotlib",
    "pillow",
)
ENGINES = ("integer", "gpu", "onnx", "sim", "lava")
OPTIONAL = {
    "distributed": "tssd sweep on a Dask cluster",
    "tensorboardX": "curves of a training in TensorBoard",
}


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis; ``fix`` is the command that supplies what is missing."""

    name: str
    state: State
    detail: str
    fix: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    machine: dict[str, str]
    packages: tuple[Finding, ...]
    engines: tuple[Finding, ...]
    chips: tuple[str, ...]


def diagnose() -> Diagnosis:
    """Everything ``tssd doctor`` shows."""
    return Diagnosis(machine(), packages(), engines(), chips())


def machine() -> dict[str, str]:
    """The versions and sizes that decide what runs here."""
    return {
        "tssd": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": str(os.cpu_count() or 1),
    }


def packages() -> tuple[Finding, ...]:
    """Every package tssd needs, then the optional ones."""
    needed = [_package(name, "needed by tssd") for name in REQUIRED]
    return (*needed, *(_package(name, use) for name, use in OPTIONAL.items()))


def engines() -> tuple[Finding, ...]:
    """Every engine that can run a bundle, with what it lacks here."""
    return (
        Finding("integer", "ready", "the definition, in numpy"),
        _engine("gpu", ("torch",), "tssd.hw_targets.gpu", _torch_detail),
        _engine("onnx", ("onnx", "onnxruntime"), "tssd.hw_targets.onnx"),
        _engine("sim", ("numba",), "tssd.hw_targets.sim"),
        lava(),
    )


def lava() -> Finding:
    """Lava lives in an environment of its own; ask the part that builds it."""
    from tssd.hw_targets.lava import environment

    found = environment.status()
    installed = [e for e in (found.light, found.full) if e is not None]
    if not installed:
        return Finding("lava", "missing", "no Lava environment", found.fix)
    versions = dict(pair for e in installed for pair in e.versions.items())
    detail = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Finding("lava", "limited" if found.fix else "ready", detail, found.fix)


def chips() -> tuple[str, ...]:
    """The chip files that come with tssd."""
    root = Path(str(resources.files("tssd.hw_targets.chip")))
    return tuple(sorted(path.stem for path in root.glob("*/*.toml")))


def version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_modules(names: Iterable[str]) -> list[str]:
    """Those of *names* that cannot be imported here, found without importing them."""
    return [name for name in names if not _findable(name)]


def _findable(name: str) -> bool:
    parent, _, _ = name.rpartition(".")
    return (not parent or _findable(parent)) and importlib.util.find_spec(name) is not None


def _package(name: str, use: str) -> Finding:
    found = version(name)
    if found is None:
        return Finding(name, "missing", use, f"pip install {name}")
    return Finding(name, "ready", found)


def _engine(
    name: str, needs: tuple[str, ...], part: str, detail: Callable[[], str] | None = None
) -> Finding:
    missing = missing_modules(needs)
    if missing:
        return Finding(name, "missing", f"no {', '.join(missing)}", f"pip install {missing[0]}")
    if missing_modules([part]):
        return Finding(name, "missing", f"this version of tssd has no {part}")
    versions = ", ".join(f"{need} {version(need) or '(version unknown)'}" for need in needs)
    return Finding(name, "ready", f"{versions}{'; ' + detail() if detail else ''}")


def _torch_detail() -> str:
    if ctypes.util.find_library("cuda") is None:
        return "on cpu (no CUDA driver)"
    import torch

    return (
        f"on cpu and {torch.cuda.get_device_name()}"
        if torch.cuda.is_available()
        else ("on cpu (this torch has no CUDA)")
    )
