"""Weights on a grid, the step that follows them, and the words for bits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.precision import LOIHI
from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.quantization.weights import first_step, next_step, rounded
from tssd.train.quantization.widths import ChipWidths, WeightBits, chip_of, weight_bits

BITS = [WeightBits(1), WeightBits(1, binary=True), WeightBits(3), WeightBits(7), WeightBits(127)]


def weights(seed: int, *shape: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(0, 0.3, shape), dtype=torch.float32)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(BITS), st.booleans())
def test_weights_are_whole_within_their_range(seed: int, bits: WeightBits, single: bool) -> None:
    w = weights(seed, 6, 4, 3, 3).requires_grad_()
    step = first_step(w, bits, single)
    n = rounded(w, step, bits)
    assert torch.equal(n.detach(), n.detach().round())
    assert n.detach().abs().max() <= bits.largest
    assert (n.detach() != 0).all() or not bits.binary
    n.sum().backward()  # type: ignore[no-untyped-call]
    size = step.to(torch.float32).view(-1, 1, 1, 1).expand(6 if not single else 1, 1, 1, 1)
    assert w.grad is not None
    torch.testing.assert_close(w.grad, (1 / size).expand_as(w))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(BITS))
def test_the_step_that_follows_never_rounds_worse(seed: int, bits: WeightBits) -> None:
    """Each move takes the least squares for the integers at hand: the error cannot grow."""
    w = weights(seed, 5, 30)
    step = first_step(w, bits, single=False)
    last = np.inf
    for _ in range(4):
        made = rounded(w, step, bits).double() * step[:, None]
        error = float((made - w.double()).square().sum())
        assert error <= last * (1 + 1e-6)
        last, step = error, next_step(w, step, bits)


def test_a_channel_of_zeros_keeps_a_step() -> None:
    w = torch.zeros(2, 9)
    for bits in BITS:
        step = first_step(w, bits, single=False)
        assert (step > 0).all()
        assert torch.isfinite(next_step(w, step, bits)).all()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4", {"conv1": 7, "readout": 7}),
        ("ternary", {"conv1": 1, "readout": 1}),
        ("2", {"conv1": 1, "readout": 1}),
        ("4, conv1=8", {"conv1": 127, "readout": 7}),
        ("readout=8,3", {"conv1": 3, "readout": 127}),
    ],
)
def test_words_for_bits(text: str, found: dict[str, int]) -> None:
    made = weight_bits(text, ["conv1", "readout"], ChipWidths())
    assert {name: bits.largest for name, bits in made.items()} == found
    assert not any(bits.binary for bits in made.values())
    assert weight_bits("binary", ["a"], ChipWidths())["a"] == WeightBits(1, binary=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv1=4", "one width for all, and"),
        ("4,8", "one width for all, and"),
        ("1", r"found '1'; allowed: 2 \.\. 8, ternary or binary"),
        ("four", r"found 'four'; allowed: 2 \.\. 8, ternary or binary"),
        ("4,conv7=8", "stage 'conv7'.*conv1"),
        ("9", "found 9 bits; allowed: at most 8, the chip's"),
    ],
)
def test_what_no_stage_or_chip_has_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        weight_bits(text, ["conv1", "readout"], ChipWidths())


def test_the_defaults_are_loihi_s() -> None:
    chip = chip_of(TrainConfig())
    assert chip == ChipWidths()
    assert chip.weight_bits == LOIHI.weight_bits
    assert chip.decay_bits == LOIHI.decay_bits
    assert chip.vth_max == LOIHI.vth_max
    assert chip.bias_max == LOIHI.bias_mant_max
    assert chip.activation_max == LOIHI.activation_max
    assert chip.payload_max == LOIHI.payload_max
