"""Files and folders that appear whole or not at all, and a mark that dies with its writer.

What is written stands in a folder ``.<name>.<word>.part`` beside its place until it is whole. The
writer holds a lock on that folder, which the system takes away when the process ends, however it
ends; the next writer of the same name removes every such folder that nobody holds. Numbers of
processes say nothing here: in a container every program is number 1.
"""

import ctypes
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from glob import escape
from pathlib import Path

from tssd.errors import ConfigError, FileFormatError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, so nothing is taken for a leftover
    fcntl = None  # type: ignore[assignment]

LONGEST = 60  # characters of a name that a part's name repeats: names end at 255 bytes
OLD = ".old"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)  # what rename says of a place in use


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A file to write to, of the same name; it becomes *path* if the block ends without an error.

    What is no file (``/dev/stdout``, a pipe) is written to as it is.
    """
    place = Path(os.path.realpath(path))  # a link stays, what it points to is replaced
    if place.exists() and not place.is_file() and not place.is_dir():
        yield path
        return
    with _workplace(place) as folder:
        part = folder / place.name
        yield part
        _flush(part)
        part.replace(place)


@contextmanager
def folder_written_whole(folder: Path, check: Callable[[], None]) -> Iterator[Path]:
    """The same for a folder. What is in its place when all is written is replaced, unless *check*
    raises: then it stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _workplace(folder) as workplace:
        part = workplace / folder.name
        part.mkdir()
        yield part
        if os.path.lexists(folder):
            check()
            _exchange(part, folder)
        else:
            _rename_to_new(part, folder)


def write_bytes(path: Path, data: bytes) -> None:
    """*path* with *data*, flushed to the disk: a killed writer leaves the old file."""
    with written_whole(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """The same for a text."""
    write_bytes(path, text.encode())


def check_writable(path: Path, option: str) -> None:
    """Refuse an output that could not be written: long work tries before it begins."""
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise ConfigError(f"{option} {path}", found="a folder", allowed="the name of a file")
    if not place.parent.is_dir():
        raise ConfigError(
            f"{option} {path}", found=f"no folder {path.parent}", allowed="a folder that exists"
        )
    if place.exists() and not place.is_file():
        return
    with _tried(path, option), _workplace(place):
        pass


def check_room(folder: Path, option: str) -> None:
    """Refuse a new *folder* that could not be made, for one of its parents."""
    above = next(parent for parent in folder.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise ConfigError(
            f"{option} {folder}", found=f"a file {above}", allowed="a folder above it"
        )
    with _tried(folder, option), _workplace(above / folder.name):
        pass


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Whether this process now holds *folder* alone; no other can until the block ends. On a file
    system without locks every process holds it."""
    descriptor = _open(folder)
    try:
        yield _lock(descriptor) is not Lock.OTHERS
    finally:
        _close(descriptor)


@contextmanager
def _tried(path: Path, option: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{option} {path}",
            found=f"a place that cannot be written to ({error.strerror})",
            allowed="a name in a folder of yours, on a disk with room",
        ) from None


@contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A new folder beside *path* that is ours, gone with all that is left in it at the end."""
    _clear_leftovers(path)
    while True:
        folder = path.with_name(f".{path.name[:LONGEST]}.{secrets.token_hex(4)}.part")
        folder.mkdir()
        with suppress(FileNotFoundError):  # taken for a leftover before it was locked: again
            descriptor = _open(folder)
            if _lock(descriptor) is not Lock.OTHERS and folder.is_dir():
                break
            _close(descriptor)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _close(descriptor)


def clear_leftovers(folder: Path) -> None:
    """Remove what killed writers of any name left in *folder*."""
    _clear(folder.glob(".*.????????.part"))


def _clear_leftovers(path: Path) -> None:
    """Remove what killed writers of *path* left."""
    _clear(path.parent.glob(f".{escape(path.name[:LONGEST])}.*.part"))


def _clear(parts: Iterable[Path]) -> None:
    """Remove those of *parts* that nobody holds."""
    for part in parts:
        with suppress(OSError):
            descriptor = _open(part)
            if _lock(descriptor) is Lock.OURS:
                for old in part.glob(f"*{OLD}"):  # killed between two renames
                    place = part.parent / old.name.removesuffix(OLD)
                    if not os.path.lexists(place):
                        old.rename(place)
                shutil.rmtree(part, ignore_errors=True)
            _close(descriptor)


class Lock(Enum):
    """Who holds a folder now; NOBODY where the system or file system has no locks."""

    OURS = auto()
    OTHERS = auto()
    NOBODY = auto()


def _lock(descriptor: int) -> Lock:
    """Lock an open folder until its descriptor is closed, by us or by the end of the process."""
    if fcntl is None:
        return Lock.NOBODY
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return Lock.OTHERS if isinstance(error, BlockingIOError) else Lock.NOBODY
    return Lock.OURS


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY) if fcntl else -1


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _flush(path: Path) -> None:
    """To the disk, before its name says that it is whole."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_to_new(part: Path, folder: Path) -> None:
    """Give *part* the name of *folder* unless something has it: rename replaces no full folder."""
    try:
        part.rename(folder)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise FileFormatError(
            str(folder),
            found="something that another process wrote meanwhile",
            allowed="a new folder",
            hint="both were whole; this one is gone, the other stays",
        ) from None


def _exchange(part: Path, target: Path) -> None:
    """Put *part* in the place of *target*; what was there is then called *part*."""
    if not _rename_exchange(part, target):
        # no atomic exchange on this system: two renames, the old one kept until the end
        old = part.with_name(f"{part.name}{OLD}")
        target.rename(old)
        part.rename(target)


def _rename_exchange(a: Path, b: Path) -> bool:
    """Linux renameat2(RENAME_EXCHANGE); False where the system or file system has none."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "renameat2"):
        return False
    names = (os.fsencode(a), os.fsencode(b))
    status: int = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
    return status == 0
