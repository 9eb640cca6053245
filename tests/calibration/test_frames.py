"""Frames of events through the integers: one frame a step, in every input coding."""

import numpy as np
import pytest
from float_nets import images, small_vgg

from tssd.calibration.encode import encode
from tssd.calibration.int_network import InputCoding
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.front_end import quantize_behind_front_end
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import Options, Search, choose
from tssd.calibration.simulate import layerwise, pipelined
from tssd.errors import DataError
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run

STEPS = 4
NETWORK = align(fold(small_vgg(2, side=8, time_steps=STEPS)))


def frames(network: FloatNetwork, count: int, steps: int = STEPS) -> ImageArray:
    """(count, steps, 1, 8, 8): every step its own image."""
    return np.stack([images(network, count, seed=t) for t in range(steps)], axis=1)


def test_the_same_frame_at_every_step_is_a_still_image() -> None:
    still = images(NETWORK, 3)
    repeated = np.repeat(still[:, None], STEPS, axis=1)
    a, b = (run(NETWORK, x, keep_spikes=True) for x in (still, repeated))
    np.testing.assert_array_equal(a.logits, b.logits)
    for name in a.events:
        np.testing.assert_array_equal(a.events[name], b.events[name])


def test_frames_beyond_the_steps_are_not_read() -> None:
    long = frames(NETWORK, 3, STEPS + 3)
    np.testing.assert_array_equal(run(NETWORK, long).logits, run(NETWORK, long[:, :STEPS]).logits)


@pytest.mark.parametrize("coding", [InputCoding.GRADED, InputCoding.SPIKES])
def test_integers_fire_like_the_float_network(coding: InputCoding) -> None:
    shown = frames(NETWORK, 12)
    if coding is InputCoding.SPIKES:
        shown = np.where(shown > 127, 255, 0).astype(np.uint8)  # what gain 255 makes
    options = Options(input_coding=coding, search=Search.MAX_ABS)
    quantized = apply(NETWORK, choose(NETWORK, observe(NETWORK, shown[:8]), LOIHI, options))
    sent = encode(quantized, shown)
    assert sent.shape == (STEPS, 12, *quantized.source.shape)
    payload = 1 if coding is InputCoding.SPIKES else 255
    np.testing.assert_array_equal(sent[:, :, :1], shown.swapaxes(0, 1) // (255 // payload))
    wanted = run(NETWORK, shown, dtype="float64", keep_spikes=True).spikes
    found = layerwise(quantized, sent)
    assert np.mean(wanted["conv1"] != found.spikes["conv1"]) < 0.01
    np.testing.assert_array_equal(found.readout, pipelined(quantized, sent).readout)


def test_the_front_end_computes_a_current_for_every_frame() -> None:
    shown = frames(NETWORK, 6)
    front, behind, _ = quantize_behind_front_end(
        NETWORK, LOIHI, observe(NETWORK, shown), Options(search=Search.MAX_ABS)
    )
    sent = front.encode(shown)
    for step in range(STEPS):
        np.testing.assert_array_equal(sent[step], front.encode(shown[:, step])[0])
    wanted = run(NETWORK, shown, dtype="float64", keep_spikes=True).spikes
    found = layerwise(behind, sent).spikes
    assert np.mean(wanted["conv1"] != found["conv1"]) < 0.003


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(DataError, match=r"frames \(samples, T >= 4, 1, 8, 8\)"):
        run(NETWORK, frames(NETWORK, 2, 3))
