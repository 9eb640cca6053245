"""The files that a command is to write, tried before its work: no output takes another's place, or
that of what the command reads."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from tssd.atomic import check_writable
from tssd.errors import ConfigError, FileFormatError


def check_outputs(*names: str) -> None:
    """The parameters *names* of the running command are files that it will write: ConfigError for
    one that cannot be written, that two of them share, or that the command reads."""
    context = click.get_current_context()
    options = {str(p.name): p.opts[0] for p in context.command.params}
    taken: dict[Path, str] = {}
    for name in names:
        path = context.params[name]
        if path is None:
            continue
        option, place = options[name], _place(path)
        check_writable(path, option)
        if place in taken:
            raise ConfigError(
                f"{option} {path}",
                found=f"the file of {taken[place]} too",
                allowed="a name of its own",
            )
        taken[place] = option
        for given in _inputs(context, names):
            _check_apart(f"{option} {path}", place, given)


PARTS = frozenset(  # of runs and studies; a bundle's manifest names its own
    ("manifest.json", "checkpoint.safetensors", "config.toml", "history.csv")
    + ("study.json", "study.md", "measured.json")
)


def _check_apart(where: str, place: Path, given: Path) -> None:
    read = _place(given)
    if place == read or (read in place.parents and place.exists() and _is_part(place)):
        raise ConfigError(
            where,
            found="an input of this command" if place == read else f"a file of the input {given}",
            allowed="a new name, or one outside of what is read",
        )


def _is_part(place: Path) -> bool:
    """Whether a file belongs to the bundle, run or study that it lies in."""
    from tssd.export.bundle.manifest import read_manifest
    from tssd.export.bundle.place import REPORT, REPORT_FILES

    folder = place.parent
    if folder.name == REPORT and place.name in REPORT_FILES:
        return True
    try:
        return place.name in {*PARTS, *read_manifest(folder)["files"]}
    except FileFormatError:
        return place.name in PARTS


def _inputs(context: click.Context, outputs: tuple[str, ...]) -> Iterator[Path]:
    """What is there under the words of the command line, outputs apart."""
    for name, value in context.params.items():
        if name in outputs:
            continue
        for word in value if isinstance(value, tuple) else (value,):
            if isinstance(word, str | Path) and os.path.exists(word):
                yield Path(word)


def _place(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
