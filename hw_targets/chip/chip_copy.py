"""A user's chip file inside a bundle: one file that needs no other.

``chip.toml`` holds every number of the chip, those of the files that it extends included. Bundles
for a packaged chip only name it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tssd.errors import FileFormatError
from tssd.hw_targets.chip.chip_file import parse_chip
from tssd.hw_targets.chip.chips import CHIPS, chip_table, find_chip, load_chip
from tssd.hw_targets.chip.spec import ChipSpec

CHIP_FILE = "chip.toml"


def chip_files(target: str) -> dict[str, bytes]:
    """What a bundle for *target* carries: nothing for a packaged chip."""
    if target in CHIPS:
        return {}
    table = chip_table(find_chip(target))
    parse_chip(table, target)
    return {CHIP_FILE: to_toml(table).encode()}


def bundled_chip(folder: Path, manifest: Mapping[str, Any]) -> ChipSpec:
    """The chip that the bundle in *folder* was made for: its own copy, else by name."""
    if CHIP_FILE in manifest.get("files", {}):
        return load_chip(folder / CHIP_FILE)
    name = manifest.get("target", "loihi2")
    if not isinstance(name, str):
        raise FileFormatError(str(folder), found=f"target {name!r}", allowed="a chip's name")
    return load_chip(name)


def to_toml(table: Mapping[str, Any]) -> str:
    """A chip's tables as TOML."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if not isinstance(value, dict) and key != "extends":
            yield f"{key} = {_value(value)}"
    for section, values in table.items():
        if isinstance(values, dict):
            yield f"\n[{section}]"
            yield from (f"{json.dumps(key)} = {_value(value)}" for key, value in values.items())


def _value(value: Any) -> str:
    """One value in TOML's inline form; texts are quoted as in JSON, which TOML reads alike."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)
