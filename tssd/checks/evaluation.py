"""Evaluation: what every engine did on the same samples, and whether they agree.

The integer definition is the reference; each engine is compared with it slot by slot, batch by
batch, so that memory stays bounded.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from tssd.calibration.int_network import IntNetwork, Runner
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import reference
from tssd.calibration.tally import Tally, merge, tally
from tssd.checks.verify import Quantity, compare_activities
from tssd.contracts import Contract
from tssd.report.model import ShareInterval

ALL_EQUAL = "0 differences"
CONFIDENCE = 0.95
BATCH = 16  # samples whose full activity is held at once


@dataclass(frozen=True)
class EngineUnderTest:
    """An engine, and which of its values must equal the definition's."""

    name: str
    run: Runner
    quantities: tuple[Quantity, ...] = ("spikes",)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """``accuracy``: stage to fraction or None; ``tallies``: engine to its event counts;
    ``float_spikes``: population to the float network's total, or None where it did not run;
    ``only_quantized``: population to the accuracy with only its integers, all others float;
    ``intervals``: stage to where its accuracy lies, given this number of samples."""

    samples: int
    time_steps: int
    accuracy: Mapping[str, float | None]
    tallies: Mapping[str, Tally]
    float_spikes: Mapping[str, int] | None
    contracts: tuple[Contract, ...]
    only_quantized: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    intervals: Mapping[str, ShareInterval] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(contract.status != "fail" for contract in self.contracts)


def compare_engines(
    network: IntNetwork,
    inputs: IntArray,
    engines: tuple[EngineUnderTest, ...],
    on_batch: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, Tally], tuple[Contract, ...]]:
    """Run the definition and every engine on ``inputs`` (T, B, *shape): tallies and contracts."""
    tallies: dict[str, list[Tally]] = {name: [] for name in ("integer", *_names(engines))}
    rows: list[Contract] = []
    for first, part in _batches(inputs):
        expected = reference(network, part)
        tallies["integer"].append(tally(expected))
        for engine in engines:
            found = engine.run(network, part)
            tallies[engine.name].append(tally(found))
            rows += compare_activities(
                engine.name, expected, found, quantities=engine.quantities, first_sample=first
            )
        on_batch(first + part.shape[1])
    merged = {name: merge(parts) for name, parts in tallies.items()}
    return merged, condense(first_failures(rows), network, engines)


def accuracy(tallied: Tally, labels: IntArray | None) -> float | None:
    """Fraction of right classes; None where there are no labels."""
    return None if labels is None else float(np.mean(tallied.classes() == labels))


def wilson(share: float, samples: int) -> ShareInterval:
    """Where the share lies with 95 % confidence, of *samples* drawn at random (Wilson, 1927)."""
    right = round(share * samples)
    found = binomtest(right, samples).proportion_ci(CONFIDENCE, method="wilson")
    return ShareInterval(float(found.low), float(found.high))


def first_failures(rows: list[Contract]) -> tuple[Contract, ...]:
    """One row per contract name over all batches: its first failure, or a pass."""
    kept: dict[str, Contract] = {}
    for row in rows:
        if row.name not in kept or (kept[row.name].status == "pass" and row.status == "fail"):
            kept[row.name] = row
    return tuple(kept.values())


def condense(
    rows: tuple[Contract, ...], network: IntNetwork, engines: tuple[EngineUnderTest, ...]
) -> tuple[Contract, ...]:
    """One row per engine and population instead of one per quantity; failures stay as they are."""
    by_name = {row.name: row for row in rows}
    out: list[Contract] = []
    for engine in engines:
        for name in (p.name for p in network.populations):
            labels = [*engine.quantities, "membrane"]
            mine = [
                by_name[key] for x in labels if (key := f"{engine.name}: {name} {x}") in by_name
            ]
            failed = [row for row in mine if row.status == "fail"]
            compared = ", ".join(row.name.rpartition(" ")[2] for row in mine)
            equal = Contract(f"{engine.name}: {name} ({compared})", "pass", ALL_EQUAL, ALL_EQUAL)
            out += failed or [equal]
    return tuple(out)


def _names(engines: tuple[EngineUnderTest, ...]) -> list[str]:
    return [engine.name for engine in engines]


def _batches(inputs: IntArray) -> Iterator[tuple[int, IntArray]]:
    for first in range(0, inputs.shape[1], BATCH):
        yield first, inputs[:, first : first + BATCH]
