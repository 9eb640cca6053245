"""Evaluation: what every engine did on the same samples, and whether they agree.

The integer definition is the reference; each engine is compared with it slot by slot, batch by
batch, so that memory stays bounded. The definition is slow: a compiled stand-in that equals it in
every slot of the first batch gives the answers of the others. Where an engine differs from the
stand-in, the definition decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import binomtest

from tssd.calibration.comparing.histogram import Histogram
from tssd.calibration.encode import Inputs, as_inputs
from tssd.calibration.int_network import SPIKES, Activity, IntNetwork, Runner, state_names
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import reference
from tssd.calibration.tally import Tally, merge, tally
from tssd.checks.verify import compare_activities
from tssd.contracts import Contract, check
from tssd.errors import NetworkError, counted
from tssd.report.behaviour.by_layer import ByLayer
from tssd.report.behaviour.model import Behaviour, Divergence
from tssd.report.model import ShareInterval

ALL_EQUAL = "0 differences"
CONFIDENCE = 0.95
BATCH = 16  # samples whose full activity is held at once


@dataclass(frozen=True)
class EngineUnderTest:
    """An engine, and which of its values must equal the definition's; ``also``: what it compares
    itself, or raises ContractError."""

    name: str
    run: Runner
    quantities: tuple[str, ...] = (SPIKES,)
    also: str | None = None


@dataclass(frozen=True, eq=False)
class FloatSide:
    """What the float networks did on the same samples: what they tell of each layer, stage to
    accuracy, the contracts of folding, the class of each sample, the first slot that differs in
    integers and in how many samples it was looked for, the folded network's classes, its membranes.
    Empty where a bundle carries none."""

    layers: ByLayer = ByLayer()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    contracts: tuple[Contract, ...] = ()
    classes: IntArray | None = None
    divergence: Divergence | None = None
    compared: int = 0
    folded_classes: IntArray | None = None
    membranes: Mapping[str, Histogram] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """``accuracy``: stage to fraction or None; ``tallies``: engine to its event counts;
    ``layers``: what each did beside its counts; ``intervals``: stage to where its accuracy lies,
    given this number of samples; ``behaviour``: answers over time and by class, and the first
    difference from float."""

    samples: int
    time_steps: int
    accuracy: Mapping[str, float | None]
    tallies: Mapping[str, Tally]
    layers: ByLayer
    contracts: tuple[Contract, ...]
    notes: tuple[str, ...] = ()
    intervals: Mapping[str, ShareInterval] = field(default_factory=dict)
    behaviour: Behaviour = Behaviour()

    @property
    def passed(self) -> bool:
        return all(contract.status != "fail" for contract in self.contracts)


def compare_engines(
    network: IntNetwork,
    inputs: IntArray | Inputs,
    engines: tuple[EngineUnderTest, ...],
    on_batch: Callable[[int], None] = lambda done: None,
    stand_in: Runner | None = None,
    on_activity: Callable[[int, Activity], None] = lambda first, activity: None,
) -> tuple[dict[str, Tally], tuple[Contract, ...]]:
    """Run the definition and every engine on ``inputs`` (T, B, *shape): tallies and contracts.

    ``stand_in``: a compiled engine, none of those under test, that may answer for the definition.
    ``on_activity`` sees what the definition did, batch by batch, from sample number *first* on.
    """
    given = as_inputs(inputs)
    tallies: dict[str, list[Tally]] = {name: [] for name in ("integer", *_names(engines))}
    rows: tuple[Contract, ...] = ()
    proven: tuple[Contract, ...] = ()
    for first, part in given.batches(BATCH):
        definition = stand_in if proven and stand_in is not None else reference
        expected = definition(network, part)
        found = {engine.name: engine.run(network, part) for engine in engines}
        compared = _compared(engines, expected, found, first)
        if definition is not reference and any(row.status == "fail" for row in compared):
            expected = reference(network, part)
            compared = _compared(engines, expected, found, first)
        on_activity(first, expected)
        for name, activity in {"integer": expected, **found}.items():
            tallies[name] = [merge([*tallies[name], tally(activity)])]
        rows = first_failures([*rows, *compared])
        if first == 0 and stand_in is not None:  # for few samples too: a report's rows are the same
            proven = _equal_to_definition(stand_in, network, part, expected)
        on_batch(first + part.shape[1])
    return {name: merge(parts) for name, parts in tallies.items()}, (
        *proven,
        *condense(rows, network, engines),
    )


def _compared(
    engines: tuple[EngineUnderTest, ...],
    expected: Activity,
    found: Mapping[str, Activity],
    first: int,
) -> list[Contract]:
    """All rows of one batch, whose first sample is number *first*."""
    return [
        row
        for engine in engines
        for row in compare_activities(
            engine.name,
            expected,
            found[engine.name],
            quantities=engine.quantities,
            first_sample=first,
        )
    ]


def _equal_to_definition(
    stand_in: Runner, network: IntNetwork, part: IntArray, expected: Activity
) -> tuple[Contract, ...]:
    """A row if *stand_in* does what the definition does in every slot of *part*; else none, and it
    is not used."""
    try:
        found = stand_in(network, part)
    except NetworkError:  # recurrence, or sums, that it does not take
        return ()
    every = (SPIKES, *state_names(network))
    rows = compare_activities("stand-in", expected, found, quantities=every)
    if any(row.status == "fail" for row in rows):
        return ()
    title = f"integer: compiled ({', '.join(every)})"
    shown = f"the first {counted(part.shape[1], 'sample')}"
    return (check(title, True, ALL_EQUAL, ALL_EQUAL, shown),)


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
        if engine.also is not None:
            out.append(check(f"{engine.name}: {engine.also}", True, ALL_EQUAL, ALL_EQUAL))
    return tuple(out)


def _names(engines: tuple[EngineUnderTest, ...]) -> list[str]:
    return [engine.name for engine in engines]
