"""Every width of a chip acts on calibration; what the integer neuron cannot honour is refused."""

from dataclasses import fields

import pytest

from tssd.calibration.precision import LOIHI, Precision
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import HONOURED
from tssd.hw_targets.chip.widths import precision_of

CHIP = load_chip("loihi2")
# number of a chip file -> another value, and the fields of Precision that follow
CHANGES: dict[str, tuple[int, dict[str, int]]] = {
    "bits.weight": (6, {"weight_bits": 6}),
    "bits.decay": (8, {"decay_bits": 8}),
    "bits.threshold": (15, {"vth_max": 32767}),
    "bits.bias": (10, {"bias_mant_max": 511}),
    "bits.bias_exponent": (2, {"bias_exp_max": 3, "bias_exp": 3}),
    "bits.weight_exponent": (0, {"finer_max": 0}),
    "bits.payload": (0, {"payload_bits": 0}),
    "limits.delay": (0, {"delay_max": 0}),
}


def changed(name: str, value: int) -> dict[str, int]:
    """The fields of Precision that differ once the number *name* is *value*."""
    found, usual = vars(precision_of(CHIP.with_value(name, value))), vars(precision_of(CHIP))
    return {key: found[key] for key in found if found[key] != usual[key]}


@pytest.mark.parametrize("name", CHANGES)
def test_changing_a_number_changes_what_calibration_keeps_to(name: str) -> None:
    value, wanted = CHANGES[name]
    assert changed(name, value) == wanted


def test_every_field_of_precision_follows_a_number_of_the_chip() -> None:
    """All but the width of the states, of which the integer neuron has one only."""
    followed = {key for _, keys in CHANGES.values() for key in keys}
    assert followed | {"state_bits"} == {field.name for field in fields(Precision)}
    assert set(CHANGES) | {"bits.state"} == set(HONOURED)


def test_loihi_is_the_default() -> None:
    """Payloads apart, which Loihi 2 has wider than a pixel and Loihi 1 not at all."""
    for name, bits in (("loihi2", 24), ("loihi1", 0)):
        found = precision_of(load_chip(name))
        assert vars(found) | {"payload_bits": LOIHI.payload_bits} == vars(LOIHI)
        assert found.payload_bits == bits


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("bits.state", 16, "24"),
        ("bits.state", 32, "24"),
        ("bits.decay", 13, r"1 \.\. 12"),
        ("bits.decay", 0, r"1 \.\. 12"),
        ("bits.threshold", 18, r"1 \.\. 17"),
        ("bits.weight", 17, r"2 \.\. 16"),
        ("bits.payload", 25, r"0 \.\. 24"),
        ("bits.bias", 25, r"2 \.\. 24"),
        ("bits.bias_exponent", 4, r"0 \.\. 3"),
        ("bits.weight_exponent", 5, r"0 \.\. 4"),
        ("limits.delay", 70000, r"0 \.\. 65536"),
    ],
)
def test_what_the_neuron_cannot_honour_is_an_error_of_the_chip_said_once(
    name: str, value: int, allowed: str
) -> None:
    message = f"- {name}: found {value}; allowed: {allowed}, what the integer neuron can honour"
    with pytest.raises(ConfigError, match=message) as caught:
        CHIP.with_value(name, value)
    assert str(caught.value).count("\n  - ") == 1


def test_a_narrower_network_may_be_asked_for_not_a_wider() -> None:
    assert precision_of(CHIP, 4).weight_bits == 4
    with pytest.raises(ConfigError, match=r"--weight-bits 9: found chip loihi2-n3b, whose weights"):
        precision_of(CHIP, 9)


def test_decays_of_eight_bits_count_in_sixteenths() -> None:
    assert precision_of(CHIP.with_value("bits.decay", 8)).decay_step == 16
    assert precision_of(CHIP).decay_step == 1
