"""The notes of a release: its part of CHANGELOG.md.

python -m benchmarks.release_notes 0.2.0        (or: Unreleased)
"""

import re
import sys
from pathlib import Path

from tssd import __version__

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
HEADING = re.compile(r"^## \[?v?([^\]\s]+)\]?.*$", re.M)


def notes(text: str, version: str) -> str:
    """What stands below the heading of *version* in *text*; LookupError names those there are."""
    parts = HEADING.split(text)[1:]  # version, body, version, body, ...
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    if version not in found:
        raise LookupError(f"no version {version!r} among {', '.join(found) or 'none'}")
    if not found[version].strip():
        raise LookupError(f"nothing is said of version {version}")
    return found[version].strip() + "\n"


def main(version: str) -> None:
    """Print the notes; a version that is not the package's is refused."""
    if version not in (__version__, "Unreleased"):
        raise SystemExit(f"the package is of version {__version__}, not {version}")
    try:
        sys.stdout.write(notes(CHANGELOG.read_text(encoding="utf-8"), version))
    except LookupError as error:
        raise SystemExit(f"CHANGELOG.md: {error.args[0]}") from None


if __name__ == "__main__":
    main(sys.argv[1])
