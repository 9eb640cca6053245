"""The bundle's ``report`` folder: not part of the bundle's hashes, written file by file at once.

    <bundle>/report/report.json, report.html, report.md

Each file is written beside its place and renamed, so a killed command leaves the old one whole.
"""

from pathlib import Path

from tssd.atomic import write_bytes
from tssd.errors import FileFormatError
from tssd.export.bundle.place import REPORT, REPORT_FILES
from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.model import Report
from tssd.report.serial import from_json, to_json

FOLDER, NAMES = REPORT, REPORT_FILES


def write_report(bundle: Path, report: Report) -> tuple[Path, ...]:
    """Write the three files into ``<bundle>/report``; returns their paths."""
    texts = (to_json(report), render_html(report), render_markdown(report))
    folder = bundle / FOLDER
    folder.mkdir(exist_ok=True)
    paths = tuple(folder / name for name in NAMES)
    for path, text in zip(paths, texts, strict=True):
        write_bytes(path, text.encode())
    return paths


def found_report(bundle: Path) -> Report | None:
    """The report in *bundle* if there is one that this version reads."""
    try:
        return read_report(bundle)
    except FileFormatError:
        return None


def read_report(bundle: Path) -> Report:
    """The report that ``tssd verify`` or ``tssd simulate`` left in *bundle*."""
    if not bundle.is_dir():
        raise FileFormatError(str(bundle), found="no such folder", allowed="a bundle")
    path = bundle / FOLDER / NAMES[0]
    if not path.is_file():
        raise FileFormatError(
            str(path),
            found="no such file",
            allowed="the record of at least one run",
            hint=f"run `tssd verify {bundle} --against gpu` first",
        )
    return from_json(path.read_bytes(), str(path))
