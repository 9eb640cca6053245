"""The explicit package list equals the folders: a forgotten one would be missing from the wheel."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("train", "calibration", "export", "hw_targets")


def test_every_package_is_listed() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    own = [path.parent for path in (ROOT / "tssd").glob("*/__init__.py")]  # links lead elsewhere
    found = (
        {"tssd"}
        | {f"tssd.{path.name}" for path in own if not path.is_symlink()}
        | {
            "tssd." + ".".join(init.parent.relative_to(ROOT).parts)
            for folder in FOLDERS
            for init in (ROOT / folder).rglob("__init__.py")
        }
    )
    assert set(setuptools["packages"]) == found
