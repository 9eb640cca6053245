"""Rounding whose errors cancel: by closed forms, by least squares, through every geometry."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.quantizing import rounding
from tssd.calibration.quantizing.rounding import compensated, input_blocks
from tssd.train.handover.float_layers import project
from tssd.train.handover.float_network import FloatArray, FloatProjection, ProjectionKind
from tssd.train.handover.geometry import output_shape


def dense(weight: FloatArray) -> FloatProjection:
    return FloatProjection("a", "b", ProjectionKind.DENSE, weight)


def arriving(values: FloatArray) -> torch.Tensor:
    """(1, samples, inputs) of (samples, inputs)."""
    return torch.tensor(values, dtype=torch.float32)[None]


def whole(weight: FloatArray, values: FloatArray, largest: int = 7) -> FloatArray:
    read = dense(weight)
    blocks = input_blocks(read, arriving(values))
    found: FloatArray = compensated(read, blocks, np.ones(len(weight)), largest)
    return found


def test_two_inputs_that_always_come_together_share_an_error() -> None:
    """0.4 + 0.4 is 1 to the nearest, though each alone is 0."""
    together = np.repeat(np.random.default_rng(0).uniform(0, 1, (50, 1)), 2, axis=1)
    assert whole(np.array([[0.4, 0.4]]), together).sum() == 1


def test_inputs_that_never_meet_are_rounded_to_the_nearest() -> None:
    weight = np.array([[0.4, -1.6, 2.5, 9.0]])
    np.testing.assert_array_equal(whole(weight, np.eye(4)), [[0, -2, 3, 7]])


def test_silent_inputs_are_rounded_to_the_nearest() -> None:
    weight = np.array([[0.4, 1.7]])
    np.testing.assert_array_equal(whole(weight, np.zeros((5, 2))), [[0, 2]])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7]))
def test_whole_within_the_range_and_nearer_in_the_currents(seed: int, largest: int) -> None:
    """Spikes that come in groups: the squared error of currents falls, the range holds."""
    rng = np.random.default_rng(seed)
    hidden = rng.uniform(0, 1, (300, 4)) @ rng.uniform(0, 1, (4, 24))
    spikes = (hidden > np.median(hidden, axis=0)).astype(np.float64)
    weight = rng.normal(0, 0.3 * largest, (6, 24))
    found = whole(weight, spikes, largest)
    assert np.array_equal(found, np.round(found))
    assert np.abs(found).max() <= largest
    nearest = np.clip(np.floor(weight + 0.5), -largest, largest)
    errors = [np.square((n - weight) @ spikes.T).sum() for n in (found, nearest)]
    assert errors[0] < errors[1]


CONV, TURNED = ProjectionKind.CONV2D, ProjectionKind.CONV2D_TRANSPOSED
GEOMETRIES = [
    (CONV, (6, 4, 3, 3), {"padding": (1, 1)}),
    (CONV, (6, 4, 6, 6), {"stride": (2, 2), "padding": (2, 2)}),
    (CONV, (6, 4, 3, 2), {"stride": (1, 2), "padding": (0, 1), "dilation": (2, 1)}),
    (CONV, (4, 1, 3, 3), {"groups": 4, "padding": (1, 0)}),
    (TURNED, (6, 4, 2, 2), {"stride": (2, 2)}),
    (TURNED, (6, 2, 3, 3), {"stride": (2, 1), "padding": (1, 0), "groups": 2}),
]


@pytest.mark.parametrize(("kind", "shape", "how"), GEOMETRIES)
def test_what_targets_see_is_what_the_map_weighs(
    kind: ProjectionKind,
    shape: tuple[int, ...],
    how: dict[str, tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every group's weights times what its targets see is the map's own output."""
    rng = np.random.default_rng(3)
    projection = replace(FloatProjection("a", "b", kind, rng.normal(0, 1, shape)), **how)  # type: ignore[arg-type]
    source = (4, 7, 8)
    target = output_shape(projection, source)
    sent = torch.tensor(rng.integers(0, 2, (1, 1, *source)), dtype=torch.float32)
    seen: list[torch.Tensor] = []

    def kept(rows: torch.Tensor, *given: Any) -> torch.Tensor:
        seen.append(rows @ torch.cat(given[1]))
        return rows

    monkeypatch.setattr(rounding, "_block", lambda inputs: inputs)
    monkeypatch.setattr(rounding, "_whole_rows", kept)
    compensated(projection, input_blocks(projection, sent), np.ones(shape[0]), 7)
    found = torch.cat(seen).reshape(target)
    wanted = project(projection, sent.double(), target)[0, 0]
    torch.testing.assert_close(found, wanted)


def test_blocks_are_compensated_each_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors do not cross the border of a block."""
    monkeypatch.setattr(rounding, "BLOCK", 2)
    together = np.repeat(np.random.default_rng(0).uniform(0, 1, (50, 1)), 4, axis=1)
    found = whole(np.full((1, 4), 0.4), together)
    assert found[0, :2].sum() == found[0, 2:].sum() == 1
