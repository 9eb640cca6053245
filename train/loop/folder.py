"""The run folder: whose it is, and what may be written into it.

One training at a time holds it; the hold ends with the process. Nothing but a run is written over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tssd.atomic import check_room, clear_leftovers, held
from tssd.errors import ConfigError
from tssd.train.loop.checkpoint import CHECKPOINT, GRAPH

CONFIG, HISTORY, MANIFEST = "config.toml", "history.csv", "manifest.json"
TEACHER = "teacher.safetensors"  # the float network that few bits learn from
RUN_FILES = (CHECKPOINT, CONFIG, HISTORY, MANIFEST, TEACHER, GRAPH)
FIRST = (CONFIG, TEACHER, GRAPH)  # written before the first checkpoint


def begun(folder: Path) -> bool:
    """Whether a run was begun there: with ``resume`` it goes on, or begins again if it was killed
    before its first checkpoint."""
    return any((folder / name).is_file() for name in FIRST)


def check_folder(folder: Path, resume: bool) -> None:
    """Refuse a *folder* in which this training would write over something that is not its own."""
    where = f"--out {folder}"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(where, found="a file", allowed="a new folder")
    there = [name for name in RUN_FILES if (folder / name).exists()]
    if not resume and there:
        found = "a run" if CHECKPOINT in there else f"a folder with {there[0]}"
        raise ConfigError(
            where, found=found, allowed="a new folder", hint="--resume goes on with a run"
        )
    if there and CHECKPOINT not in there and not set(there) <= set(FIRST):
        raise ConfigError(where, found=f"{there[-1]} without {CHECKPOINT}", allowed="a run")
    if not folder.exists():
        check_room(folder, "--out")


def check_only_run(folder: Path) -> None:
    """Refuse to remove a *folder* that holds more than a run."""
    known = {*RUN_FILES, "tensorboard"}
    names = [path.name for path in folder.iterdir()]
    foreign = [name for name in names if name not in known and not name.endswith(".part")]
    if foreign or folder.is_symlink():
        found = foreign[0] if foreign else "a link"
        raise ConfigError(str(folder), found=found, allowed=f"only {', '.join(RUN_FILES)}")


@contextmanager
def owned(folder: Path, resume: bool) -> Iterator[None]:
    """*folder*, made if need be, is this training's until the block ends."""
    check_folder(folder, resume)
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder) as ours:
        if not ours:
            raise ConfigError(
                f"--out {folder}",
                found="a training that is running in it",
                allowed="one at a time",
                hint="wait for it, stop it, or choose another folder",
            )
        check_folder(folder, resume)  # another may have begun and ended meanwhile
        clear_leftovers(folder)
        yield
