"""A folder of other people's networks through the front door.

    python -m benchmarks.bench_door --folder FOLDER      (also: make bench-door FOLDER=...)

FOLDER holds ``networks.py``, whose classes and functions make modules, and ``README.md`` with a
table whose first two columns are the name and ``sample, T``: ``(784,), 10``, or ``frames (T,784),
10``. Each is tried as it is; then as its refusal says: with the output that is asked for, or with
its maximum pools swapped. What deploys has every neuron's spikes and the class of the module's own
run (contract 0). ``lively`` makes fresh weights fire.
"""

import importlib.util
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from written_networks import lively

from benchmarks.harness import Row, at_most, report
from tssd.chain.own_module import ModuleReading, Taken, take_over
from tssd.errors import TssdError

SAMPLES = 12
PREFIX = "others: "
LINE = re.compile(r"^\| *(\w+) *\| *((?:frames )?\([^)|]*\))[^|]*?,? *(\d+)? *(?:at once)? *\|")


@dataclass(frozen=True)
class Other:
    """One network of the folder: how it is made, its samples' shape and steps."""

    name: str
    make: Any
    shape: tuple[int, ...]
    frames: bool
    steps: int | None


def rows_of(folder: Path) -> list[Row]:
    """One row per network, then the sums."""
    tried = [(other.name, *_tried(other)) for other in others(folder)]
    rows = [Row(PREFIX + name, found, "", None, None, how) for name, how, found in tried]
    ways = [how for _, how, _ in tried]
    count = f"of {len(ways)}"
    deployed = ways.count("as it is") + ways.count("when told")
    told = f"{ways.count('when told')} of them when told which output"
    return [
        *rows,
        report("networks of others that deploy and are right", deployed, count, told),
        report("more with their maximum pools swapped", ways.count("swapped"), count, ""),
        report("refused", ways.count("refused"), count, "by the path of the module"),
        at_most("taken, and not the module", ways.count("WRONG"), 0, count, "contract 0"),
    ]


def others(folder: Path) -> Iterator[Other]:
    """The networks that the folder's table lists."""
    module = _imported(folder / "networks.py")
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        found = LINE.match(line)
        if found is None or not hasattr(module, found[1]):
            continue
        name, sample, steps = found.groups()
        count = None if steps is None else int(steps)
        inside = sample[sample.index("(") + 1 : -1].split(",")
        sizes = [part.strip() for part in inside if part.strip() and part.strip() != "B"]
        shape = tuple(int(size) if size.isdigit() else (count or 10) for size in sizes)
        frames = not sizes[0].isdigit()
        yield Other(name, getattr(module, name), shape, frames, count)


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("others_networks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tried(other: Other) -> tuple[str, str]:
    """(how it went, what was found)."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).random((SAMPLES, *other.shape), dtype=np.float32)
    plain = ModuleReading(default_steps=other.steps, frames=None)
    with warnings.catch_warnings(action="ignore"):
        module = lively(other.make().eval())
        first = _taken(module, x, plain)
        if not isinstance(first, TssdError):
            return _judged("as it is", first)
        told = re.search(r"--output (\S+)$", str(first))
        ways = {"swapped": replace(plain, swap_max_pool=True)}
        if told is not None:
            ways = {"when told": replace(plain, output=told[1])}
        for how, reading in ways.items():
            again = _taken(module, x, reading)
            if not isinstance(again, TssdError):
                return _judged(how, again)
    return "refused", f"refused: {str(first).splitlines()[0]}"


def _taken(module: torch.nn.Module, x: np.ndarray, reading: ModuleReading) -> Taken | TssdError:
    try:
        return take_over(module, x, reading)
    except TssdError as error:
        return error


def _judged(how: str, taken: Taken) -> tuple[str, str]:
    agreement = taken.agreement
    if agreement.swapped:
        return how, f"pools swapped: {100 * agreement.same_class:.0f} % of the classes are the same"
    row = agreement.contract()
    right = agreement.holds and agreement.same_class == 1
    return how if right else "WRONG", f"{row.found}; {taken.read_out()}"
