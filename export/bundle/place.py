"""Where a bundle may go: a new folder, or with ``--force`` one that holds a bundle, nothing else.

Asked before the work begins, and again when the bundle takes its place.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tssd.atomic import check_room
from tssd.errors import ConfigError, FileFormatError
from tssd.export.bundle.manifest import MANIFEST, read_manifest

REPORT = "report"  # the one folder in a bundle; its files are not among the bundle's hashes
REPORT_FILES = ("report.json", "report.html", "report.md")


def check_place(out: Path, force: bool, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse *out* unless a bundle can be written there without losing anything else.

    *inputs*: what the bundle is made of; no folder that is or holds one of them is replaced.
    """
    where = f"--out {out}"
    if not os.path.lexists(out):
        check_room(out, "--out")
        return
    obstacles = list(_obstacles(out, inputs))
    if not force:
        can = "" if obstacles else ", or use --force to replace the bundle there"
        raise ConfigError(
            where,
            found="something that exists already",
            allowed="a new folder",
            hint=f"choose another name{can}",
        )
    for found in obstacles:
        raise ConfigError(
            where,
            found=found,
            allowed="with --force a folder that holds a bundle and nothing else",
            hint="choose another name, or move it away yourself",
        )
    check_room(out, "--out")


def _obstacles(out: Path, inputs: Iterable[Path | None]) -> Iterator[str]:
    """What would be lost."""
    if out.is_symlink() or not out.is_dir():
        yield "a link" if out.is_symlink() else "a file"
        return
    whole = out.resolve()
    if Path.cwd().is_relative_to(whole):
        yield "the folder that you work in"
    for path in inputs:
        if path is not None and path.resolve().is_relative_to(whole):
            yield f"the place of the input {path}"
    try:
        manifest = read_manifest(out)
    except FileFormatError as error:
        yield f"no bundle ({error.where}: {error.found})"
        return
    foreign = sorted(_entries(out) - {MANIFEST, REPORT, *manifest["files"]})
    if foreign:
        yield f"a bundle with {foreign[0]}, which is not of it"


def _entries(out: Path) -> set[str]:
    """Names in *out*, those in its report that are no report's among them."""
    names = {path.name for path in out.iterdir()}
    report = out / REPORT
    if report.is_symlink() or not report.is_dir():
        return names - {REPORT} | ({f"a file {REPORT}"} if REPORT in names else set())
    inside = (path.name for path in report.iterdir() if not path.name.endswith(".part"))
    return names | {f"{REPORT}/{name}" for name in inside if name not in REPORT_FILES}
