"""Compare what two engines did: pure functions from activities or tallies to contract rows.

A failed row names the first difference in processing order (populations from input to readout,
then sample, step, neuron), so the layer that broke first is the one shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import SPIKES, Activity
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.contracts import Contract, check


@dataclass(frozen=True)
class SlotDifference:
    """One slot in which two engines disagree; ``step`` is None for sums over steps."""

    population: str
    quantity: str
    neuron: tuple[int, ...]
    sample: int | None
    step: int | None
    expected: int
    found: int

    def where(self) -> str:
        """The place in words: ``conv2 spikes[3, 0, 7], sample 2, step 1``."""
        parts = [f"{self.population} {self.quantity}{list(self.neuron)}"]
        parts += [f"sample {self.sample}"] if self.sample is not None else []
        parts += [f"step {self.step}"] if self.step is not None else []
        return ", ".join(parts)


def compare_activities(
    engine: str,
    expected: Activity,
    found: Activity,
    *,
    quantities: Iterable[str] = (SPIKES,),
    first_sample: int = 0,
) -> tuple[Contract, ...]:
    """One row per population and quantity, then the readout; arrays (T, B, *shape) must be equal.

    ``quantities``: "spikes" and names of states. A population that the engine does not report fails
    by name.
    ``first_sample`` is the index of the batch's first sample in the whole set.
    """
    rows = []
    for quantity in quantities:
        wanted, got = expected.recorded(quantity), found.recorded(quantity)
        rows += [
            _slot_row(f"{engine}: {name} {quantity}", name, quantity, array, got, first_sample)
            for name, array in wanted.items()
        ]
    readout = list(expected.spikes)[-1]
    rows.append(compare_readouts(engine, readout, expected.readout, found.readout, first_sample))
    return tuple(rows)


def compare_tallies(engine: str, expected: Tally, found: Tally) -> tuple[Contract, ...]:
    """One row per population (events of every neuron over all samples and steps), then readout."""
    rows = [
        _slot_row(f"{engine}: {name} spikes", name, "events", events, found.events, None)
        for name, events in expected.events.items()
    ]
    readout = list(expected.events)[-1]
    rows.append(compare_readouts(engine, readout, expected.readout, found.readout))
    return tuple(rows)


def compare_readouts(
    engine: str, name: str, expected: IntArray, found: IntArray, first_sample: int = 0
) -> Contract:
    """Final readout membranes (B, *shape) must be equal."""
    title = f"{engine}: {name} membrane"
    if expected.shape != found.shape:
        return _shape_row(title, name, expected, found)
    return _row(title, expected, found, _first_by_sample(name, expected, found, first_sample))


def _slot_row(
    title: str,
    name: str,
    quantity: str,
    expected: IntArray,
    engine: Mapping[str, IntArray],
    first_sample: int | None,
) -> Contract:
    if name not in engine:
        return check(title, False, "no such population", "its counts", name)
    found = engine[name]
    if expected.shape != found.shape:
        return _shape_row(title, name, expected, found)
    if first_sample is None:
        return _row(title, expected, found, _first_by_neuron(name, quantity, expected, found))
    return _row(
        title, expected, found, _first_by_step(name, quantity, expected, found, first_sample)
    )


def _shape_row(title: str, name: str, expected: IntArray, found: IntArray) -> Contract:
    return check(title, False, f"shape {found.shape}", f"shape {expected.shape}", name)


def _row(title: str, expected: IntArray, found: IntArray, first: SlotDifference | None) -> Contract:
    if first is None:
        return check(title, True, "0 differences", "0 differences")
    count = int(np.count_nonzero(expected != found))
    text = f"{count} differ; first {first.found}, expected {first.expected}"
    return check(title, False, text, "0 differences", first.where())


def _first(expected: IntArray, found: IntArray) -> tuple[int, ...] | None:
    """Index of the first differing element in C order."""
    different = expected != found
    if not different.any():
        return None
    return tuple(int(i) for i in np.unravel_index(int(different.argmax()), different.shape))


def _first_by_step(
    name: str, quantity: str, expected: IntArray, found: IntArray, first_sample: int
) -> SlotDifference | None:
    by_sample = np.swapaxes(expected, 0, 1), np.swapaxes(found, 0, 1)  # sample, step, neuron
    at = _first(*by_sample)
    if at is None:
        return None
    sample, step, *neuron = at
    values = int(by_sample[0][at]), int(by_sample[1][at])
    return SlotDifference(name, quantity, tuple(neuron), first_sample + sample, step, *values)


def _first_by_sample(
    name: str, expected: IntArray, found: IntArray, first_sample: int
) -> SlotDifference | None:
    at = _first(expected, found)
    if at is None:
        return None
    values = int(expected[at]), int(found[at])
    return SlotDifference(name, "membrane", at[1:], first_sample + at[0], None, *values)


def _first_by_neuron(
    name: str, quantity: str, expected: IntArray, found: IntArray
) -> SlotDifference | None:
    at = _first(expected, found)
    if at is None:
        return None
    return SlotDifference(name, quantity, at, None, None, int(expected[at]), int(found[at]))
