"""The isolated Python 3.10 environment: find an interpreter, build, check, say what is missing.

Two flavours: ``light`` (lava-nc: processes and the fixed-point models) and ``full`` (lava-dl with
its netx loader, several gigabytes because it pins a torch with CUDA). An environment is built in a
temporary folder and renamed when it has passed its check, so a killed build leaves nothing that
looks finished. The folder's name carries a hash of the pinned requirements.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tssd.errors import TargetError
from tssd.hw_targets.engine import Presence

Flavour = Literal["light", "full"]
FLAVOURS: tuple[Flavour, ...] = ("light", "full")

HERE = Path(__file__).resolve().parent
MARKER = "tssd-lava.json"
VERSION = (3, 10)
_LIGHT_CHECK = "import lava.proc.lif.models, lava.proc.conv.models, h5py"
_FULL_CHECK = _LIGHT_CHECK + "; import lava.lib.dl.netx.hdf5"
CHECKS: dict[Flavour, str] = {"light": _LIGHT_CHECK, "full": _FULL_CHECK}
_PROBE = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
_START_LIMIT_S = 30
_BUILD_LIMIT_S = 3600


@dataclass(frozen=True)
class Environment:
    """A finished environment: its flavour, its interpreter, the versions of Lava in it."""

    flavour: Flavour
    python: Path
    versions: dict[str, str]


@dataclass(frozen=True)
class Status:
    """What is there. ``fix`` is the one line that supplies what is missing, or None."""

    interpreter: Path | None
    light: Environment | None
    full: Environment | None
    fix: str | None


def cache_root() -> Path:
    """The folder for caches of this user: XDG's, or the platform's own."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "tssd"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tssd"
    return Path.home() / ".cache" / "tssd"


def requirements(flavour: Flavour) -> Path:
    """The pinned requirements file of *flavour*."""
    return HERE / f"requirements-{flavour}.txt"


def folder(flavour: Flavour, root: Path | None = None) -> Path:
    """Where the environment of *flavour* lives; other pins give another folder."""
    digest = hashlib.sha256(requirements(flavour).read_bytes()).hexdigest()[:10]
    return (root or cache_root()) / f"lava-{flavour}-{digest}"


def existing(flavour: Flavour, root: Path | None = None) -> Environment | None:
    """The finished environment of *flavour*, or None."""
    path = folder(flavour, root)
    try:
        marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    python = path / "bin" / "python"
    return Environment(flavour, python, marker["versions"]) if _starts(python) else None


def locate(flavour: Flavour = "light", root: Path | None = None) -> Environment:
    """An environment that can do *flavour* (full can do light too), or raise TargetError."""
    wanted: tuple[Flavour, ...] = ("full",) if flavour == "full" else FLAVOURS
    for candidate in wanted:
        if found := existing(candidate, root):
            return found
    raise TargetError(
        "Lava",
        found=f"no {flavour} Lava environment",
        allowed="Lava 0.10 in a Python 3.10 environment of its own",
        hint=_fix(flavour, next(_interpreters(None), None)),
    )


def status(root: Path | None = None) -> Status:
    """What is installed, and the line that fixes what is not."""
    light, full = existing("light", root), existing("full", root)
    interpreter = next(_interpreters(None), None)
    return Status(interpreter, light, full, None if full else _fix("full", interpreter))


def light_presence() -> Presence:
    """Lava's processes: either environment has them."""
    return _presence("light", existing("light") or existing("full"))


def full_presence() -> Presence:
    """lava-dl's netx loader: the full environment alone has it."""
    return _presence("full", existing("full"))


def _presence(flavour: Flavour, found: Environment | None) -> Presence:
    if found is None:
        fix = _fix(flavour, next(_interpreters(None), None))
        return Presence("missing", f"no {flavour} Lava environment", fix)
    return Presence("ready", ", ".join(f"{name} {v}" for name, v in found.versions.items()))


def _fix(flavour: Flavour, interpreter: Path | None) -> str:
    if interpreter or shutil.which("uv"):  # which fetches one
        return install_line(flavour)
    return (
        "install Python 3.10, or uv, which fetches it (pip install uv); "
        f"then {install_line(flavour)}"
    )


def install_line(flavour: Flavour) -> str:
    """The command that builds *flavour*."""
    return "tssd lava install --full" if flavour == "full" else "tssd lava install"


def find_interpreter(choice: str | None = None) -> Path:
    """A Python 3.10 that starts and can build environments, or raise TargetError."""
    found = next(_interpreters(choice), None)
    if found is None:
        raise TargetError(
            choice or "Python 3.10",
            found="no Python 3.10 that starts and has the modules venv and ensurepip",
            allowed="Lava 0.10 imports on Python 3.10 only",
            hint="pip install uv, which fetches it; pyenv install 3.10; or --python PATH",
        )
    return found


def _fetched(choice: str | None) -> Path:
    """``find_interpreter``; where the usual places have none, uv fetches one if it is there."""
    uv = shutil.which("uv")
    if uv and choice is None and next(_interpreters(None), None) is None:
        _must([uv, "python", "install", "3.10"], "uv cannot fetch Python 3.10")
    return find_interpreter(choice)


def _interpreters(choice: str | None) -> Iterator[Path]:
    candidates = _named(choice) if choice else _usual_places()
    return (path for path in candidates if _starts(path))


def _named(choice: str) -> Iterator[Path]:
    found = shutil.which(choice)
    if found:
        yield Path(found)


def _usual_places() -> Iterator[Path]:
    """``python3.10`` on the path, pyenv's versions folder, what uv knows."""
    if on_path := shutil.which("python3.10"):
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob("versions/3.10.*/bin/python"), reverse=True)
    if uv := shutil.which("uv"):
        answer = _output([uv, "python", "find", "--no-project", "3.10"])
        if answer:
            yield Path(answer)


def _starts(python: Path) -> bool:
    """Whether *python* really runs as 3.10: a pyenv shim on the path may not."""
    return _output([str(python), "-c", _PROBE]) == "{} {}".format(*VERSION)


def _output(command: list[str]) -> str | None:
    """Standard output of a quick command, stripped; None if it fails in any way."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


Build = Callable[[Flavour, Path, Path], dict[str, str]]  # flavour, interpreter, new folder


def install(
    flavour: Flavour,
    choice: str | None = None,
    root: Path | None = None,
    build: Build | None = None,
) -> Environment:
    """Build *flavour* unless it is there; return it. Safe to repeat and to kill."""
    if found := existing(flavour, root):
        return found
    interpreter = _fetched(choice)
    base = root or cache_root()
    base.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(base):
        if found := existing(flavour, root):  # built by another process meanwhile
            return found
        for leftover in base.glob(".building-*"):  # of a killed build: we hold the lock
            shutil.rmtree(leftover, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f".building-{flavour}-", dir=base))
        try:
            versions = (build or build_environment)(flavour, interpreter, new)
            (new / MARKER).write_text(json.dumps({"versions": versions}) + "\n", encoding="utf-8")
            shutil.rmtree(folder(flavour, root), ignore_errors=True)  # present but not working
            new.rename(folder(flavour, root))
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return locate(flavour, root)


@contextlib.contextmanager
def _one_at_a_time(base: Path) -> Iterator[None]:
    import fcntl  # not on Windows, where everything but this works without it

    with (base / ".lava.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_environment(flavour: Flavour, interpreter: Path, new: Path) -> dict[str, str]:
    """A virtual environment in *new* with the pinned packages, checked; the versions in it."""
    python = str(new / "bin" / "python")
    _must([str(interpreter), "-m", "venv", str(new)], "cannot create the environment")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]
    _must([*pip, "-r", str(requirements(flavour))], "pip failed")
    _must([python, "-c", CHECKS[flavour]], "Lava does not import")
    names = "lava-nc", *(("lava-dl",) if flavour == "full" else ())
    ask = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    return {name: _must([python, "-c", ask, name], "no version").strip() for name in names}


def _must(command: list[str], complaint: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise TargetError(
            "the Lava environment", found=f"{complaint}: no end after {_BUILD_LIMIT_S} s"
        ) from None
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise TargetError(
            "the Lava environment",
            found=f"{complaint} (exit {done.returncode})\n{tail}",
            hint="check the network connection and the free disk space, then run it again",
        )
    return done.stdout
