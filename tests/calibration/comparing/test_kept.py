"""What quantization kept is said: bits of the weights, clipped biases, spikes that moved."""

from dataclasses import replace

import pytest
from dense_nets import grey, mlp

from tssd.calibration.comparing.kept import Kept, kept, moved, notes, weight_table
from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import BiasRoute, Exponents, Options, Scales, choose
from tssd.calibration.simulate import reference
from tssd.calibration.tally import tally
from tssd.train.handover.float_network import FloatNetwork, Reset
from tssd.train.handover.float_run import run

NARROW = Options(bias_route=BiasRoute.SCALE, exponents=Exponents.NEVER)


def told(network: FloatNetwork, options: Options) -> tuple[IntNetwork, Scales, tuple[str, ...]]:
    images = grey(12)
    scales = choose(network, observe(network, images), LOIHI, options)
    quantized = apply(network, scales)
    found = tally(reference(quantized, encode(quantized, images)))
    wanted = run(network, images)
    events = {name: wanted.spike_total(name) for name in wanted.events}
    return quantized, scales, notes(quantized, scales, events, found)


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-127, 90, 7.99), (-4, 5, 3.46), (-1, 0, 1.58), (0, 15, 4.95)]
)
def test_kept_bits_are_those_of_the_largest_weight(low: int, high: int, bits: float) -> None:
    assert Kept("b", "a", low, high, 0, 8).bits == pytest.approx(bits, abs=0.01)


def test_a_layer_without_bits_is_noted_with_the_reason_and_one_with_bits_is_not() -> None:
    _, _, found = told(mlp(Reset.HARD), NARROW)
    few = [note for note in found if note.startswith("hidden: weights from input keep")]
    assert len(few) == 1
    assert "of 8 bits (-" in few[0]
    assert few[0].endswith("the worst-case current has no room for more")
    quantized, _, fine = told(mlp(), Options())
    assert fine == ()
    assert min(row.bits for row in kept(quantized)) >= 7


def test_clipped_biases_are_noted_how_many_and_by_how_much() -> None:
    network = mlp(Reset.HARD)
    hidden = network.populations[1]
    heavy = hidden.bias.copy()
    heavy[:7] = 40.0  # they fire at every step, clipped or not
    clipped = replace(hidden, bias=heavy)
    populations = (network.populations[0], clipped, network.populations[2])
    _, scales, found = told(replace(network, populations=populations), NARROW)
    (clip,) = (c for c in scales.clips if c.layer == "hidden" and c.quantity == "bias mantissas")
    assert clip.count == 7
    wanted = f"hidden: 7 of 64 biases are clipped at 4095, the largest from {clip.largest:.0f}"
    assert wanted in found


@pytest.mark.parametrize(
    ("wanted", "found", "noted"),
    [(10_000, 10_200, False), (10_000, 10_400, True), (11, 15, False), (0, 0, False), (0, 9, True)],
)
def test_spikes_that_moved_are_noted_unless_chance_explains_it(
    wanted: int, found: int, noted: bool
) -> None:
    assert moved(wanted, found) is noted


def test_moved_spikes_stand_in_the_note() -> None:
    quantized, scales, _ = told(mlp(), Options())
    images = grey(12)
    found = tally(reference(quantized, encode(quantized, images)))
    spikes = found.spikes("hidden")
    said = notes(quantized, scales, {"hidden": spikes // 2}, found)
    assert said == (f"hidden: {spikes:,} spikes in integers, {spikes // 2:,} in float (+100.0 %)",)


def test_the_table_for_the_manifest_holds_plain_values() -> None:
    quantized, scales, _ = told(mlp(), Options())
    first, second = weight_table(quantized, scales)
    assert (first["layer"], first["from"], first["exponent"]) == ("hidden", "input", -6)
    assert first["kept_bits"] == pytest.approx(8, abs=0.1)
    assert second["limited_by"] is None
