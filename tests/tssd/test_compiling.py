"""Compiled code belongs to the sources it was made of, and starts where nothing can be written."""

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tssd import compiling

PART = "from tssd.compiling import kernel\n\n\n@kernel\ndef part(x):\n    return x + {n}\n"
WHOLE = """from tssd.compiling import kernel
from {package}.part import part


@kernel
def whole(x):
    return 10 * part(x)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], ModuleType]:
    """A package of two kernels, in the state number *n*, imported anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    folder = tmp_path / "kept_kernels"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "whole.py").write_text(WHOLE.format(package=folder.name))

    def imported(n: int) -> ModuleType:
        (folder / "part.py").write_text(PART.format(n=n))
        for name in [name for name in sys.modules if name.startswith(folder.name)]:
            del sys.modules[name]
        importlib.invalidate_caches()
        compiling.cache_of.cache_clear()
        return importlib.import_module(f"{folder.name}.whole")

    return imported


def test_an_edit_of_one_source_is_seen_by_the_others(
    package: Callable[[int], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert package(1).whole(5) == 60
    assert package(2).whole(5) == 70
    first = package(1)
    assert first.whole(5) == 60
    assert first.whole.stats.cache_hits  # made before, of these very sources


def test_no_folder_is_no_hindrance(
    package: Callable[[int], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "_places", lambda sources: [Path("/proc/none"), Path("/proc/x")])
    module = package(3)
    assert module.whole(5) == 80
    assert module.whole.stats.cache_path is None


def test_places_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    chosen, beside, home, shared = compiling._places(tmp_path / "sources")
    assert (chosen, beside) == (tmp_path / "chosen", tmp_path / "sources" / "__pycache__")
    assert compiling._made(home, "k") is None
    assert compiling._made(shared, "k") == shared / "k"
    assert shared.stat().st_mode & 0o77 == 0


def test_a_folder_of_others_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled code is loaded and run: whoever can write there could run theirs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert compiling._made(shared, "k") is None
    (tmp_path / "link").symlink_to(tmp_path)
    assert compiling._made(tmp_path / "link", "k") is None
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", os.getuid(), os.getgid())
    assert compiling._made(tmp_path / "theirs", "k") is not None
    monkeypatch.setattr(os, "getuid", lambda: -2)
    assert compiling._made(tmp_path / "theirs", "k") is None
