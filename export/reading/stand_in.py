"""Files that stand where another was meant, told by their first bytes.

A clone without Git LFS holds pointers, a download of a page that shows a file holds HTML, a format
that shares its suffix with another is text. Readers ask here before their library gives its word
for it, which is always "damaged".
"""

from pathlib import Path

from tssd.errors import FileFormatError, TssdError

FIRST = 512  # bytes that are looked at
HDF5 = b"\x89HDF\r\n\x1a\n"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MARKUP = (b"<!doctype html", b"<html", b"<?xml")
KINDS = (
    (HDF5, "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive (as .npz, .pt)"),
    (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x80", "a Python pickle"),
)


def kind_of(path: Path) -> str:
    """What *path* holds, in words: ``text``, ``an HDF5 file``, ``bytes of no known format``."""
    with path.open("rb") as file:
        first = file.read(FIRST)
    for start, words in KINDS:
        if first.startswith(start):
            return words
    return "text" if _is_text(first) else "bytes of no known format"


def _is_text(first: bytes) -> bool:
    try:
        text = first.decode(errors="strict" if len(first) < FIRST else "ignore")
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def refuse_stand_in(path: Path, allowed: str, refusal: type[TssdError] = FileFormatError) -> None:
    """Raise *refusal* if *path* is no file, is empty, or is a Git LFS pointer or a web page."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise refusal(str(path), found=found, allowed=allowed, hint="check the path")
    with path.open("rb") as file:
        first = file.read(FIRST)
    if not first:
        raise refusal(str(path), found="an empty file", allowed=allowed, hint="copy it again")
    if first.startswith(LFS_POINTER):
        raise refusal(
            str(path),
            found="a Git LFS pointer in place of the file it names",
            allowed=allowed,
            hint="git lfs pull, in the clone that it comes from",
        )
    if first.lstrip().lower().startswith(MARKUP):
        raise refusal(
            str(path),
            found="a web page",
            allowed=allowed,
            hint="download the file itself, not the page that shows it",
        )
