"""What is installed and what can run here; pure look-ups, nothing heavy is imported.

A package is present if its metadata is; an engine can run if the packages it needs are present and
its part of tssd is. torch itself is imported only where a CUDA driver was found, to ask it.
"""

import os
import platform
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from tssd import __version__
from tssd.errors import TargetError
from tssd.hw_targets.engine import State, look, version
from tssd.hw_targets.engines import engine_names, find_engine
from tssd.optional import OPTIONAL

REQUIRED = (
    "numpy",
    "nir",
    "h5py",
    "safetensors",
    "onnx",
    "onnxruntime",
    "numba",
    "scipy",
    "msgspec",
    "click",
    "rich",
    "jinja2",
)


@dataclass(frozen=True)
class Condition:
    """One line of the diagnosis; ``fix`` is the command that supplies what is missing."""

    name: str
    state: State
    detail: str
    fix: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    machine: dict[str, str]
    packages: tuple[Condition, ...]
    engines: tuple[Condition, ...]
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


def packages() -> tuple[Condition, ...]:
    """Every package tssd needs, then the optional ones."""
    needed = [_package(name, "needed by tssd", f"pip install {name}") for name in REQUIRED]
    return (*needed, *(_package(x.distribution, x.use, x.install) for x in OPTIONAL.values()))


def engines() -> tuple[Condition, ...]:
    """Every engine of the register, with what it lacks here."""
    definition = Condition("integer", "ready", "the definition, in numpy")
    return (definition, *(_engine(name) for name in engine_names()))


def chips() -> tuple[str, ...]:
    """The chip files that come with tssd."""
    root = Path(str(resources.files("tssd.hw_targets.chip")))
    return tuple(sorted(path.stem for path in root.glob("*/*.toml")))


def _package(name: str, use: str, install: str) -> Condition:
    found = version(name)
    if found is None:
        return Condition(name, "missing", use, install)
    return Condition(name, "ready", found)


def _engine(name: str) -> Condition:
    try:
        found = look(find_engine(name))
    except TargetError as error:
        return Condition(name, "missing", error.found, error.hint)
    return Condition(name, found.state, found.detail, found.fix)
