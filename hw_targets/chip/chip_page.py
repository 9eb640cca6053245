"""All chips' numbers as one Markdown page, made from the chip files (``tssd targets docs``)."""

from collections.abc import Iterator

from tssd.hw_targets.chip.chips import CHIPS, load_chip
from tssd.hw_targets.chip.spec import ChipSpec, Quantity

HEAD = """# Numbers

Every limit, latency, bandwidth, energy and power that `tssd` knows, by chip file. This page is made
from the files by `tssd targets docs docs/numbers.md`; a test keeps it up to date.

| kind | what it means |
|---|---|
| measured | on silicon, or fitted to measurements on silicon by those named |
| published | by the makers, or quoted from them (*secondary*), simulated or *read* in public code |
| derived | by arithmetic from other numbers here, which the source shows |
| assumed | no datum exists: a modelling choice |

A range is how far the number could be off, not a distribution. Intel has published no energy per
operation for Loihi 2: everything that rests on `loihi2` is a scaled estimate.
"""


def page() -> str:
    """The page, one section for each chip file (aliases once)."""
    files: dict[str, list[str]] = {}
    for name, resource in CHIPS.items():
        files.setdefault(resource, []).append(name)
    parts = [HEAD, *("\n".join(_chip(load_chip(names[0]), names)) for names in files.values())]
    return "\n".join(parts) + "\n"


def span(quantity: Quantity) -> str:
    """``low .. high``, or nothing where there is no range."""
    if quantity.low == quantity.high:
        return ""
    return f"{quantity.low:g} .. {quantity.high:g}"


def _chip(chip: ChipSpec, names: list[str]) -> Iterator[str]:
    yield f"## {chip.name}\n"
    others = [name for name in names if name != chip.name]
    also = f" Also called {', '.join(f'`{name}`' for name in others)}." if others else ""
    yield f"{chip.title}.{also}\n"
    if chip.calibrated_on:
        yield "Calibrated on these runs, which are therefore no tests of it:\n"
        yield from (f"* {text}" for text in chip.calibrated_on)
        yield ""
    else:
        yield "Calibrated on nothing.\n"
    if chip.untold:
        yield f"Not told, and therefore unknown: {', '.join(f'`{x}`' for x in chip.untold)}.\n"
    yield "| number | value | low .. high | unit | kind | source |"
    yield "|---|---:|---:|---|---|---|"
    for label, q in chip.quantities():
        source = q.source.replace("|", "\\|")
        yield f"| `{label}` | {q.value:g} | {span(q)} | {q.unit} | {q.kind} | {source} |"
    yield ""
    if chip.boards:
        yield "| board (`--board`) | barrier, ns | low .. high | board, W a chip | kind | source |"
        yield "|---|---:|---:|---:|---|---|"
        for name, board in chip.boards.items():
            q, watts = board.barrier, board.board_per_chip.value
            what = f"`{name}`: {board.title}"
            yield f"| {what} | {q.value:g} | {span(q)} | {watts:g} | {q.kind} | {q.source} |"
        yield ""
