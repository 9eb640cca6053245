"""Files and folders that appear whole or not at all."""

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tssd.errors import FileFormatError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary sibling to write to; it becomes *path* if the block ends without an error."""
    part = _sibling(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: Path, force: bool) -> Iterator[Path]:
    """The same for a folder; *force* exchanges an existing one, else it is refused."""
    check_free(folder, force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(folder)
    part = _sibling(folder)
    part.mkdir()
    try:
        yield part
        _exchange(part, folder)
    finally:
        _remove(part)


def check_free(folder: Path, force: bool) -> None:
    """Refuse a *folder* that exists, unless *force*; long work asks before it begins."""
    if folder.exists() and not force:
        raise FileFormatError(
            str(folder),
            found="something that exists already",
            allowed="a new folder",
            hint="choose another name, or use --force to replace it",
        )


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside *path*, flush to the disk, rename: a killed writer leaves the old file."""
    with written_whole(path) as part, part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sibling(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _exchange(part: Path, target: Path) -> None:
    """Put *part* in the place of *target*; what was there is then called *part*."""
    if not target.exists():
        part.rename(target)
    elif not _rename_exchange(part, target):
        # no atomic exchange on this system: two renames, the old one kept until the end
        old = target.with_name(f"{part.name}.old")
        target.rename(old)
        part.rename(target)
        old.rename(part)


def _rename_exchange(a: Path, b: Path) -> bool:
    """Linux renameat2(RENAME_EXCHANGE); False where the system or file system has none."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "renameat2"):
        return False
    names = (os.fsencode(a), os.fsencode(b))
    status: int = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return status == 0


def _clear_leftovers(folder: Path) -> None:
    """Remove temporary siblings of writers that were killed."""
    for part in folder.parent.glob(f".{folder.name}.*.part"):
        number = part.name.split(".")[-2]
        if number.isdecimal() and not _alive(int(number)):
            _remove(part)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    with suppress(FileNotFoundError):
        path.unlink()
