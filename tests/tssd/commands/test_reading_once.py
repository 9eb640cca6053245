"""A command reads its bundle once: hashing and unpacking cost more than most of what it does."""

from pathlib import Path
from typing import Any

import pytest
from command_line import bundle_with_pictures, call

from tssd.export.bundle import folder
from tssd.export.bundle.manifest import read_manifest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_with_pictures(tmp_path_factory.mktemp("once"), 1)


@pytest.mark.parametrize(
    "line",
    [
        ("check", "{}"),
        ("check", "{}", "--target", "loihi2", "--traffic"),
        ("check", "{}", "--optimise", "energy"),
        ("simulate", "{}"),
        ("simulate", "{}", "--chip", "loihi2"),
        ("verify", "{}", "--against", "sim"),
        ("inspect", "{}"),
    ],
    ids=" ".join,
)
def test_the_manifest_is_read_once(
    bundle: Path, line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Any:
        read.append(path)
        return read_manifest(path)

    monkeypatch.setattr(folder, "read_manifest", counted)
    call(*(word.format(bundle) for word in line))
    assert read == [bundle]
