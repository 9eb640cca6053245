"""Cuts cover every neuron once, and their sums are those of the cores that they make."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_conv_network, residual_network

from tssd.calibration.int_network import IntNetwork, Projection, Reset
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.fanout import Fanout, as_image, sum_at
from tssd.hw_targets.mapping.partition import tiled
from tssd.hw_targets.optimising.cuts import BlockCut, arriving, box_sums, cuts, reach
from tssd.hw_targets.optimising.workload import received
from tssd.train.handover.float_network import FloatArray

CHIP = load_chip("loihi2")


def without_zeros(network: IntNetwork) -> IntNetwork:
    full = [replace(j, weight=np.abs(j.weight) + 1) for j in network.projections]
    return replace(network, projections=tuple(full))


def one_cut_each(network: IntNetwork, rng: np.random.Generator) -> dict[str, BlockCut]:
    """Any cut of each population."""
    chosen = {}
    for p in network.populations:
        image = as_image(p.shape)
        every = list(cuts(image, rng.random(image), 12))
        chosen[p.name] = every[rng.integers(len(every))]
    return chosen


def test_a_cut_covers_every_neuron_once() -> None:
    shape, load = (5, 7, 3), np.random.default_rng(0).random((5, 7, 3))
    found = list(cuts(shape, load, 30))
    assert len(found) == len(set(found)) > 20
    for cut in found:
        assert cut.cores == len(cut.boxes) <= 30
        for size, spans in zip(shape, cut.spans, strict=True):
            assert (spans[0][0], spans[-1][1]) == (0, size)
            assert all(a < b for a, b in spans)
            assert all(left[1] == right[0] for left, right in pairwise(spans))


def test_spans_of_equal_load_split_where_the_load_is() -> None:
    load = np.zeros((1, 8, 1))
    load[0, :2] = 10.0  # all of it in two rows
    halves = [cut.rows for cut in cuts((1, 8, 1), load, 2) if len(cut.rows) == 2]
    assert halves == [((0, 4), (4, 8)), ((0, 1), (1, 8))]


def test_spans_of_equal_load_are_never_empty() -> None:
    load = np.zeros((1, 9, 1))
    load[0, 8] = 1.0
    for cut in cuts((1, 9, 1), load, 9):
        assert all(a < b for a, b in cut.rows)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), residual=st.booleans())
def test_sums_over_boxes_are_those_of_the_fan_outs(seed: int, residual: bool) -> None:
    """Synapses met, messages heard and cores reached, against the fan-out neuron by neuron."""
    rng = np.random.default_rng(seed)
    make = residual_network if residual else random_conv_network
    network = make(seed, Reset.HARD)
    chosen = one_cut_each(network, rng)
    parts = tiled(network, CHIP, {name: cut.boxes for name, cut in chosen.items()})
    first = {s.population: s.core for s in reversed(parts.slices)}
    for j, table in zip(network.projections, parts.fanouts, strict=True):
        source, target = network.population(j.source), network.population(j.target)
        events = rng.integers(0, 5, as_image(source.shape))
        cut, local = chosen[j.target], table.core - first[j.target]
        met = box_sums(received(j, events.astype(float), as_image(target.shape)), cut)
        sent = events.ravel()[table.source]
        assert np.allclose(met.ravel(), sum_at(local, sent * table.synapses, cut.cores))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_messages_are_bounded_and_exact_without_zero_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_conv_network(seed, Reset.HARD)
    full = without_zeros(network)
    chosen = one_cut_each(network, rng)
    boxes = {name: cut.boxes for name, cut in chosen.items()}
    parts = tiled(full, CHIP, boxes)
    first = {s.population: s.core for s in reversed(parts.slices)}
    tables = zip(parts.fanouts, tiled(network, CHIP, boxes).fanouts, strict=True)
    for j, (whole, some) in zip(full.projections, tables, strict=True):
        shape = network.population(j.source).shape
        events = rng.integers(0, 5, as_image(shape))
        cut = chosen[j.target]
        bounds = [
            np.broadcast_to(arriving(j, events.astype(float), cut), grid(cut)).ravel(),
            np.broadcast_to(reach(j, shape, cut), as_image(shape)).ravel(),
        ]
        for bound, exact, fewer in zip(
            bounds,
            heard_and_reached(whole, events, cut, first[j.target]),
            heard_and_reached(some, events, cut, first[j.target]),
            strict=True,
        ):  # fmt: skip
            assert (fewer <= bound + 1e-9).all()
            assert skips(j) or np.allclose(bound, exact)


def grid(cut: BlockCut) -> tuple[int, int, int]:
    return len(cut.channels), len(cut.rows), len(cut.columns)


def heard_and_reached(
    table: Fanout, events: IntArray, cut: BlockCut, first: int
) -> tuple[FloatArray, IntArray]:
    """Messages to each box of the target, and boxes of each source neuron."""
    heard = np.bincount(table.core - first, events.ravel()[table.source], cut.cores)
    return heard.astype(np.float64), table.cores_per_neuron()


def skips(projection: Projection) -> bool:
    """Whether a stride is longer than the kernel, or taps are apart: some of a field is unseen."""
    if not projection.kind.spatial:
        return False
    kernel = projection.weight.shape[2:]
    longer = any(s > k for s, k in zip(projection.stride, kernel, strict=True))
    return longer or max(projection.dilation) > 1
