"""Where chips come from: packaged files, installed third parties, the user's own TOML."""

from importlib import metadata, resources
from pathlib import Path
from typing import Any

from tssd.config import load_toml, unknown_name
from tssd.errors import ConfigError, refusing
from tssd.hw_targets.chip.chip_file import extend, parse_chip
from tssd.hw_targets.chip.spec import ChipSpec

# name -> "package:file"; an alias names the same file twice
CHIPS: dict[str, str] = {
    "loihi2": "tssd.hw_targets.chip.loihi2:loihi2-n3b.toml",  # Oheo Gulch, which most have used
    "loihi2-n3b": "tssd.hw_targets.chip.loihi2:loihi2-n3b.toml",
    "loihi2-n3c": "tssd.hw_targets.chip.loihi2:loihi2-n3c.toml",
    "loihi2-prior": "tssd.hw_targets.chip.loihi2:loihi2-prior.toml",
    "loihi2-brief": "tssd.hw_targets.chip.loihi2:loihi2-brief.toml",
    "loihi1": "tssd.hw_targets.chip.loihi1:loihi1-nahuku.toml",
    "loihi1-nahuku": "tssd.hw_targets.chip.loihi1:loihi1-nahuku.toml",
    "loihi1-sanafe": "tssd.hw_targets.chip.loihi1:loihi1-sanafe.toml",
    "loihi1-davies2018": "tssd.hw_targets.chip.loihi1:loihi1-davies2018.toml",
    "open-core": "tssd.hw_targets.rtl:open-core.toml",
    "sanafe-loihi": "tssd.hw_targets.chip.loihi1:sanafe-loihi.toml",
}
CHIP_GROUP = "tssd.chips"  # entry points of third parties: name = "package:file.toml"


def chip_names() -> dict[str, str]:
    """Packaged chips and those that installed packages announce, name -> "package:file"."""
    found = {entry.name: entry.value for entry in metadata.entry_points(group=CHIP_GROUP)}
    return found | CHIPS


def load_chip(name: str | Path) -> ChipSpec:
    """The chip *name* (see ``chip_names``), or the one described in a TOML file.

    Raises ConfigError for an unknown name, or listing every mistake of the file.
    """
    path = find_chip(name)
    return parse_chip(chip_table(path), str(path))


def find_chip(name: str | Path) -> Path:
    """The file of a chip given by name or path."""
    if str(name).endswith(".toml") or _is_file(Path(name)):
        return Path(name)
    chips = chip_names()
    if str(name) not in chips:
        raise unknown_name("target", f"chip {str(name)!r}", str(name), chips)
    package, _, file = chips[str(name)].partition(":")
    return Path(str(resources.files(package))) / file


def _is_file(path: Path) -> bool:
    """Whether there is such a file; what cannot be the name of one is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def chip_table(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a chip file with everything that it extends filled in."""
    table = load_toml(path)
    base = table.get("extends")
    if base is None:
        return table
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends", found=repr(base), allowed="a chip's name or file")
    below = path.parent / base if base.endswith(".toml") else find_chip(base)
    with refusing((OSError, ValueError, RuntimeError), ConfigError, f"{path}: extends", "no file"):
        circle = below.resolve() in (path.resolve(), *seen)
    if circle:
        raise ConfigError(f"{path}: extends", found=f"a circle through {base}")
    return extend(chip_table(below, (*seen, path.resolve())), table)
