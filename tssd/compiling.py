"""Functions through numba, kept compiled for the very sources of their folder, where one can write.

numba looks at a function's own file to see whether what it kept is stale, and a function holds the
code of those it calls: here the folder that compiled code is kept in has the hash of every source
beside the function in its name. Where nothing can be written (a package and a home that are
read-only), code is compiled anew in every process: slow to start, and right.
"""

import functools
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
OWN_CACHE = "NUMBA_CACHE_DIR"  # the user's choice comes first


def compiled(function: F, **options: Any) -> F:
    """*function* through numba with *options* of ``numba.njit``."""
    folder = cache_of(Path(function.__code__.co_filename).parent)
    with _kept_in(folder):
        return cast("F", numba.njit(cache=folder is not None, **options)(function))


def kernel(function: F) -> F:
    """*function* compiled, without the interpreter's lock."""
    return compiled(function, nogil=True)


@functools.cache
def cache_of(sources: Path) -> Path | None:
    """Where the compiled functions of the folder *sources* are kept; None: nowhere."""
    name = f"kernels-{key_of(sources)}"
    return next((made for place in _places(sources) if (made := _made(place, name))), None)


def key_of(sources: Path) -> str:
    """A hash of every Python source in *sources*."""
    total = hashlib.sha256()
    for path in sorted(sources.glob("*.py")):
        content = path.read_bytes()
        total.update(f"{path.name} {len(content)}\n".encode() + content)
    return total.hexdigest()[:16]


def _places(sources: Path) -> Iterator[Path]:
    """Folders to try: the user's choice, beside the sources, the home, the system's for a while."""
    if chosen := os.environ.get(OWN_CACHE):
        yield Path(chosen)
    yield sources / "__pycache__"
    caches = os.environ.get("XDG_CACHE_HOME")
    yield (Path(caches) if caches else Path("~/.cache").expanduser()) / "tssd"
    yield Path(tempfile.gettempdir()) / f"tssd-{os.getuid() if hasattr(os, 'getuid') else ''}"


def _made(place: Path, name: str) -> Path | None:
    """``place/name``, if it can be written to by us; what others may write to could run code."""
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = place.lstat()
        if hasattr(os, "getuid") and place.parent == Path(tempfile.gettempdir()):
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if not ours or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
        (place / name).mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=place / name).close()
    except (OSError, RuntimeError):  # RuntimeError: no home to expand
        return None
    return place / name


@contextmanager
def _kept_in(folder: Path | None) -> Iterator[None]:
    """numba asks its configuration when a function is decorated, not when it is compiled."""
    settings: Any = getattr(numba, "config")  # noqa: B009 - its stubs do not know it
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(folder or "")
    try:
        yield
    finally:
        settings.CACHE_DIR = before
