"""The explicit package list equals the folders: a forgotten one would be missing from the wheel."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("train", "calibration", "export", "hw_targets")


def test_every_package_is_listed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    own = [path for path in (ROOT / "tssd").iterdir() if not path.is_symlink()]  # links lead away
    rooms = [init.parent for path in own for init in path.rglob("__init__.py")]
    found = (
        {"tssd"}
        | {".".join(path.relative_to(ROOT).parts) for path in rooms}
        | {
            "tssd." + ".".join(init.parent.relative_to(ROOT).parts)
            for folder in FOLDERS
            for init in (ROOT / folder).rglob("__init__.py")
        }
    )
    assert set(setuptools["packages"]) == found
