"""Where a threshold is put between two whole numbers: spikes of integers beside float.

    python -m benchmarks.thresholds [--networks N]            (also: make bench-thresholds)

Random layers of 48 neurons behind 40 trains of events, 64 steps, for every leak, reset and synaptic
memory: hidden spikes of the integers over those of the float network, on samples that did not
calibrate. Beside the rule (``calibration.layer.above_whole``) stand half a weight unit and half of
1/64, everywhere.
"""

import argparse
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import product
from unittest import mock

import numpy as np

from benchmarks.harness import Row, at_most, report, write
from tssd.calibration.integer import UNIT
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing import search
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.hw_targets.gpu.engine import count
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.float_run import run

INPUTS, NEURONS, CLASSES, STEPS, SAMPLES, CALIBRATED = 40, 48, 5, 64, 48, 16
LEAKS = (1.0, 0.98, 0.9, 0.8, 0.5, 0.0)
MEMORIES = (0.0, 0.5, 0.9)
RULE, HALF, STEP = "the rule", "1/2 everywhere", "1/128 everywhere"
PLACES = {RULE: None, HALF: 0.5, STEP: 0.5 / UNIT}


def main() -> None:
    networks = _arguments()
    rows: list[Row] = []
    pooled: dict[str, list[float]] = {place: [] for place in PLACES}
    for bits, leak in product((8, 5), LEAKS):
        found = {place: _errors(leak, bits, place, networks) for place in PLACES}
        for place, errors in found.items():
            pooled[place] += errors
        rows.append(report(f"leak {leak:g}, {bits} bits", *_figures(found)))
    value, unit, how = _figures(pooled)
    rows.append(at_most("all of them", value, _mean_size(pooled[HALF]), unit, how))
    write("thresholds", f"python -m benchmarks.thresholds --networks {networks}", rows)


def _figures(found: dict[str, list[float]]) -> tuple[float, str, str]:
    """Mean size of the rule's error in percent; the signed means, and the other places'."""
    told = [
        f"{place}: {_mean_size(errors):.2f}, signed {np.mean(errors):+.2f}"
        for place, errors in found.items()
    ]
    networks = len(found[RULE])
    how = f"mean over {networks} networks of the size of the error; {'; '.join(told)}"
    return _mean_size(found[RULE]), "% of spikes", how


def _mean_size(errors: Sequence[float]) -> float:
    return round(float(np.abs(errors).mean()), 2)


def _errors(leak: float, bits: int, place: str, networks: int) -> list[float]:
    """Percent by which integer spikes are off, one for each random network."""
    cells = product((Reset.SOFT, Reset.HARD), MEMORIES, range(networks))
    with _placing(PLACES[place]):
        return [_error(np.random.default_rng(k), leak, r, m, bits) for r, m, k in cells]


def _placing(above: float | None) -> AbstractContextManager[object]:
    if above is None:
        return nullcontext()
    return mock.patch.object(search, "above_whole", return_value=above)


def _error(rng: np.random.Generator, leak: float, reset: Reset, memory: float, bits: int) -> float:
    network = _network(rng, leak, reset, memory)
    frames = np.where(rng.random((SAMPLES, STEPS, INPUTS)) < 0.1, 255, 0).astype(np.uint8)
    seen, unseen = frames[:CALIBRATED], frames[CALIBRATED:]
    integers = quantize(network, Precision(weight_bits=bits), observe(network, seen))
    wanted = run(network, unseen).spike_total("hidden")
    return 100 * (count(integers, unseen).spikes("hidden") / wanted - 1)


def _network(rng: np.random.Generator, leak: float, reset: Reset, memory: float) -> FloatNetwork:
    """Weights such that a membrane, whatever its memory, moves by about half a threshold; a quarter
    of the neurons have larger ones."""
    spread = np.sqrt(max(1 - leak, 0.1)) * (1 - memory) * rng.uniform(0.25, 0.6)
    sizes = rng.choice([1, 1, 1, 2.5], (NEURONS, 1))
    first = rng.normal(0, spread, (NEURONS, INPUTS)) * sizes + 0.02 * spread
    one = np.ones(1)
    hidden = FloatPopulation(
        "hidden", (NEURONS,), PopulationKind.LIF, reset, leak * one, one, 0 * one,
        synapse_decay=memory * one if memory else None,
    )  # fmt: skip
    second = rng.normal(0, 1, (CLASSES, NEURONS)) / np.sqrt(NEURONS)
    return FloatNetwork(
        (
            _stateless("input", INPUTS, PopulationKind.INPUT, 0 * one),
            hidden,
            _stateless("readout", CLASSES, PopulationKind.READOUT, one),
        ),
        (
            FloatProjection("input", "hidden", ProjectionKind.DENSE, first),
            FloatProjection("hidden", "readout", ProjectionKind.DENSE, second),
        ),
        STEPS,
    )


def _stateless(name: str, size: int, kind: PopulationKind, decay: FloatArray) -> FloatPopulation:
    return FloatPopulation(name, (size,), kind, Reset.NONE, decay, np.zeros(1), np.zeros(1))


def _arguments() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--networks", type=int, default=8, help="of each kind")
    networks: int = parser.parse_args().networks
    return networks


if __name__ == "__main__":
    main()
