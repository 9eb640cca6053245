"""``tssd check`` of an image of the open core: whether it is whole, and whether a mesh takes it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click
from click.core import ParameterSource

from tssd import terminal
from tssd.errors import ConfigError

DESCRIPTION = "image.json"
USUAL = "open-core"
OWN = ("network", "target", "as_json")  # what says something of an image


def is_image(folder: Path) -> bool:
    """Whether *folder* claims to be one."""
    return (folder / DESCRIPTION).is_file()


def check(
    folder: Path,
    target: str | None,
    as_json: bool,
    asked: Mapping[str, ParameterSource | None],
) -> None:
    """Read *folder* and compare it with the chip *target*: an error where it is damaged, or made
    for another mesh."""
    from tssd.hw_targets.chip.chips import load_chip
    from tssd.hw_targets.rtl.image_file import MEMORIES, check_fits, read_image
    from tssd.hw_targets.rtl.sizing import build_of

    given = [n for n, how in asked.items() if how is ParameterSource.COMMANDLINE and n not in OWN]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ConfigError(options, found="an image of the open core", allowed="--target, --json")
    image, chip = read_image(folder), load_chip(target or USUAL)
    sizes = build_of(chip)
    check_fits(image, sizes, chip.name)
    if as_json:
        used = {name: {"most": most, "core": core} for name, (most, core) in image.used.items()}
        told = {"fits": True, "chip": chip.name, "sizes": asdict(image.sizes), "used": used}
        click.echo(json.dumps(told))
        return
    rows = [
        [name, f"{image.used[name][0]:,}", f"{getattr(sizes, depth):,}", str(image.used[name][1])]
        for name, (_, _, depth) in MEMORIES.items()
    ]
    table = terminal.plain_table(
        ["memory of a core", "most", "limit", "core"], rows, right=("most", "limit", "core")
    )
    terminal.say(f"{folder}: whole; fits {chip.name}")
    terminal.say(terminal.to_text(table))
    reads = sum(word == "r" for word, _, _ in image.samples)
    terminal.say(f"{len(image.load):,} orders to load; {image.steps} steps with {reads:,} values")
