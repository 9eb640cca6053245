"""A network on the user's numbers and on their levels is one network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from float_nets import lif, random_norm, stateless

from tssd.calibration.quantizing.fold import align, fold
from tssd.errors import NetworkError
from tssd.train.handover.float_file import read, to_bytes
from tssd.train.handover.float_network import (
    AveragePool,
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.handover.float_run import run
from tssd.train.handover.input_map import InputMap, plain_map
from tssd.train.handover.mapped_input import with_input_map

RNG = np.random.default_rng(7)
LOW, HIGH = np.array([-0.5, 0.2, -1.0, 0.0]), np.array([1.5, 0.7, 2.0, 3.0])
CHANNELS = InputMap(LOW.reshape(4, 1, 1), HIGH.reshape(4, 1, 1))


def network(first: FloatProjection, hidden: tuple[int, ...], memory: float = 0.0) -> FloatNetwork:
    shape = (4, 6, 6) if first.kind is not ProjectionKind.DENSE or first.pool else (4,)
    middle = lif("h", hidden, Reset.SOFT)
    if memory:
        middle = replace(middle, synapse_decay=np.full((1,) * len(hidden), memory))
    readout = RNG.normal(0, 1, (3, int(np.prod(hidden))))
    return FloatNetwork(
        (
            stateless("input", shape, PopulationKind.INPUT),
            middle,
            stateless("out", (3,), PopulationKind.READOUT),
        ),
        (first, FloatProjection("h", "out", ProjectionKind.DENSE, readout)),
        5,
    )


def conv(groups: int = 1, padding: int = 0, **more: object) -> FloatProjection:
    weight = RNG.normal(0, 0.5, (6, 4 // groups, 3, 3))
    made = FloatProjection("input", "h", ProjectionKind.CONV2D, weight, RNG.normal(0, 0.3, 6))
    return replace(made, groups=groups, padding=(padding, padding), **more)  # type: ignore[arg-type]


DENSE = FloatProjection("input", "h", ProjectionKind.DENSE, RNG.normal(0, 1, (7, 4)))
POOLED = FloatProjection(
    "input", "h", ProjectionKind.DENSE, RNG.normal(0, 1, (7, 36)), pool=AveragePool((2, 2), (2, 2))
)
CASES = {
    "dense": (DENSE, (7,), 0.0),
    "dense with memory": (replace(DENSE, bias=RNG.normal(0, 0.3, 7)), (7,), 0.6),
    "dense after a pool": (POOLED, (7,), 0.0),
    "conv": (conv(), (6, 4, 4), 0.0),
    "grouped": (conv(groups=2), (6, 4, 4), 0.0),
    "normalised": (conv(norm=random_norm(RNG, 6)), (6, 4, 4), 0.0),
    "padded": (conv(padding=1), (6, 6, 6), 0.0),
    "padded and normalised": (conv(padding=1, norm=random_norm(RNG, 6)), (6, 6, 6), 0.0),
    "conv with memory": (conv(), (6, 4, 4), 0.6),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_spikes_from_values_and_from_levels(case: str) -> None:
    first, hidden, memory = CASES[case]
    plain = network(first, hidden, memory)
    shape = plain.populations[0].shape
    made = CHANNELS if len(shape) == 3 else InputMap(LOW, HIGH)
    levels = RNG.integers(0, 256, (6, *shape)).astype(np.uint8)
    mapped = with_input_map(plain, made)
    wanted = run(plain, made.to_values(levels), dtype="float64", keep_spikes=True)
    for found_by in (mapped, align(fold(mapped))):
        found = run(found_by, levels, dtype="float64", keep_spikes=True)
        np.testing.assert_array_equal(found.spikes["h"], wanted.spikes["h"])
        np.testing.assert_allclose(found.logits, wanted.logits, rtol=1e-9, atol=1e-9)
    assert wanted.spikes["h"].any()


def test_a_plain_map_changes_nothing_and_a_map_goes_into_the_file(tmp_path: Path) -> None:
    plain = network(DENSE, (7,))
    assert with_input_map(plain, plain_map((4,))) is plain
    mapped = with_input_map(plain, InputMap(LOW, HIGH))
    path = tmp_path / "float.safetensors"
    path.write_bytes(to_bytes(mapped))
    entry = read(path).entry
    assert entry is not None
    np.testing.assert_array_equal(entry.low, LOW)
    np.testing.assert_array_equal(entry.high, HIGH)
    path.write_bytes(to_bytes(plain))
    assert read(path).entry is None


def test_what_no_bias_can_say_is_refused() -> None:
    with pytest.raises(NetworkError, match="a padded border, synaptic memory and samples whose"):
        with_input_map(network(conv(padding=1), (6, 6, 6), 0.5), CHANNELS)
    pool = FloatProjection("input", "h", ProjectionKind.SUM_POOL, np.ones((4, 1, 2, 2)), groups=4)
    relayed = network(replace(pool, stride=(2, 2)), (4, 3, 3))
    relay = stateless("h", (4, 3, 3), PopulationKind.RELAY)
    relayed = replace(relayed, populations=(relayed.populations[0], relay, relayed.populations[2]))
    with pytest.raises(NetworkError, match="summed before it has weights"):
        with_input_map(relayed, CHANNELS)
