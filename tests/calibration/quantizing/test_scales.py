"""What an input counts for, which way in is taken, and integers at the edge of a current."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_nets import images, lif, stateless

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    Projection,
    constant,
    plain_population,
)
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing import scales
from tssd.calibration.quantizing.entering import BiasRoute, Entry, entries, units_of
from tssd.calibration.quantizing.given import GivenIntegers, GivenWeights
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply, check_integers
from tssd.calibration.quantizing.scales import Options, Search, choose
from tssd.errors import NetworkError
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)


def pooled(weight: float = 1.0) -> FloatNetwork:
    """An input, a relay that sums windows of 2 x 2, a dense layer, a readout; all biases 0.9."""
    shape = (1, 4, 4)
    hidden = replace(lif("hidden", (3,), Reset.SOFT), bias=np.array([0.9, -0.9, 0.9]))
    populations = (
        stateless("input", shape, PopulationKind.INPUT),
        stateless("sum", (1, 2, 2), PopulationKind.RELAY),
        hidden,
        stateless("readout", (2,), PopulationKind.READOUT),
    )
    window = np.full((1, 1, 2, 2), 1.0)
    window[0, 0, 0, 0] = weight
    rng = np.random.default_rng(0)
    pool = FloatProjection("input", "sum", ProjectionKind.SUM_POOL, window, stride=(2, 2))
    projections = [pool, *(
        FloatProjection(a, b, ProjectionKind.DENSE, rng.normal(0, 0.3, size))
        for a, b, size in (("sum", "hidden", (3, 4)), ("hidden", "readout", (2, 3)))
    )]  # fmt: skip
    return FloatNetwork(populations, tuple(projections), 4)


def test_a_relay_passes_on_what_it_sums_in_the_units_of_its_source() -> None:
    units, payloads = units_of(pooled(), 255)
    assert payloads == {"input": 255, "sum": 4 * 255, "hidden": 1, "readout": 1}
    assert units == {"input": 1 / 255, "sum": 1 / 255, "hidden": 1.0, "readout": 1.0}


def test_a_relay_may_leave_a_source_out() -> None:
    assert units_of(pooled(0.0), 255)[1]["sum"] == 3 * 255


def test_a_relay_that_weighs_is_refused() -> None:
    with pytest.raises(NetworkError, match="population sum: found a relay that weighs or mixes"):
        units_of(pooled(0.5), 255)


def test_layers_behind_a_relay_of_the_input_are_fed_by_it() -> None:
    assert [p.name for p in scales._fed_by_input(pooled())] == ["hidden"]


@pytest.mark.parametrize(("score", "taken"), [(0.51, False), (0.49, True)])
def test_a_constant_channel_is_taken_only_where_it_halves_the_error(
    score: float, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, entry = (
        pooled(),
        (Entry(InputCoding.GRADED, 255), Entry(InputCoding.GRADED, 255, True)),
    )

    class Fit:
        def __init__(self, score: float) -> None:
            self.score, self.whole = score, False

    made = {entry[0]: Fit(1.0), entry[1]: Fit(score)}
    monkeypatch.setattr(scales, "entries", lambda *given: iter(entry))
    monkeypatch.setattr(scales, "_fit", lambda setting, fed, entry: made[entry])
    monkeypatch.setattr(scales, "_pays", lambda *given: True)
    setting = scales._setting(network, images(network, 2), LOIHI, Options())
    found, _ = scales._way_in(setting, scales._fed_by_input(network))
    assert found.constant is taken


@pytest.mark.parametrize(
    ("search", "route", "tried"),
    [
        (Search.OUTPUT, BiasRoute.AUTO, BiasRoute.AUTO),
        (Search.MAX_ABS, BiasRoute.AUTO, BiasRoute.SCALE),
        (Search.MAX_ABS, BiasRoute.EXPONENT, BiasRoute.EXPONENT),
        (Search.OUTPUT, BiasRoute.LEVELS, BiasRoute.LEVELS),
    ],
)
def test_ways_in_are_compared_by_what_comes_out_or_as_asked(
    search: Search, route: BiasRoute, tried: BiasRoute, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of other searches say nothing of the output: nothing is chosen by them."""
    asked: list[BiasRoute] = []

    def seen(*given: Any) -> Any:
        asked.append(given[3])
        return entries(*given)

    monkeypatch.setattr(scales, "entries", seen)
    network = pooled()
    choose(network, observe(network, images(network, 2)), LOIHI, Options(None, route, search))
    assert asked == [tried]


def flat() -> FloatNetwork:
    """A dense layer of an input without an image, and a bias that leaves its mantissa."""
    hidden = replace(lif("hidden", (3,), Reset.SOFT), bias=np.array([0.6, -0.6, 0.01]))
    rng = np.random.default_rng(1)
    populations = (
        stateless("input", (6,), PopulationKind.INPUT),
        hidden,
        stateless("readout", (2,), PopulationKind.READOUT),
    )
    sizes: Sequence[tuple[str, str, tuple[int, int]]]
    sizes = (("input", "hidden", (3, 6)), ("hidden", "readout", (2, 3)))
    projections = tuple(
        FloatProjection(a, b, ProjectionKind.DENSE, rng.normal(0, 0.5, size))
        for a, b, size in sizes
    )
    return FloatNetwork(populations, projections, 4)


def test_the_constant_of_a_flat_input_is_one_more_value() -> None:
    network = flat()
    samples = np.random.default_rng(2).integers(0, 256, (8, 6)).astype(np.uint8)
    found = choose(
        network, observe(network, samples), LOIHI, Options(bias_route=BiasRoute.CONSTANT)
    )
    integers = apply(network, found)
    hidden = integers.population("hidden")
    assert integers.source.shape == (7,)
    coarse = integers.projections[0].weight[:, 6]
    assert coarse[:2].all()
    carried = coarse * found.layers["hidden"].form.constant * 64 + (
        hidden.bias_mant << hidden.bias_exp
    )
    wanted = hidden.scale * network.population("hidden").bias * 64
    np.testing.assert_allclose(carried, wanted, atol=32 + (1 << hidden.bias_exp) / 2)


def reaching(weights: Sequence[int], du: int) -> IntNetwork:
    """One neuron that spikes can drive by the sum of *weights*, for two steps."""
    source = plain_population("input", (len(weights),), PopulationKind.INPUT)
    du_, dv, vth, bias = (constant(x, (1,)) for x in (du, 0, 10, 0))
    neuron = Population("out", (1,), PopulationKind.LIF, Reset.HARD, du_, dv, vth, bias)
    projection = Projection("input", "out", ProjectionKind.DENSE, np.array([weights]))
    return IntNetwork((source, neuron), (projection,), 2, InputCoding.SPIKES, 1)


@pytest.mark.parametrize(
    ("weights", "du"),
    [
        ([127] * 1032 + [7], 4096),  # 131,071 of 131,071
        ([127] * 688 + [4], 2048),  # 87,380 x 1.5 = 131,070
    ],
)
def test_a_current_that_just_fits_is_taken(weights: list[int], du: int) -> None:
    check_integers(reaching(weights, du), LOIHI)


@pytest.mark.parametrize(
    ("weights", "du"),
    [
        ([127] * 1032 + [8], 4096),
        ([127] * 688 + [5], 2048),  # 87,381 x 1.5 = 131,071.5: half a unit too much
        ([-127] * 1032 + [-8], 4096),
    ],
)
def test_a_current_that_could_wrap_is_refused(weights: list[int], du: int) -> None:
    with pytest.raises(NetworkError, match="worst-case activation of 131072; allowed: <= 131071"):
        check_integers(reaching(weights, du), LOIHI)


class Tried:
    """What a way in came to, as far as ``_pays`` looks."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole


PLAIN, FEWER = Entry(InputCoding.GRADED, 255), Entry(InputCoding.GRADED, 127)
WITH_CONSTANT = Entry(InputCoding.GRADED, 255, constant=True)


def two_branches(*biases: float) -> FloatNetwork:
    """An input into layers with these biases, and a readout of all."""
    rng = np.random.default_rng(1)
    names = [f"layer{i}" for i in range(len(biases))]
    hidden = (
        replace(lif(name, (3,), Reset.SOFT), bias=np.full(3, bias))
        for name, bias in zip(names, biases, strict=True)
    )
    source = stateless("input", (6,), PopulationKind.INPUT)
    readout = stateless("readout", (2,), PopulationKind.READOUT)
    made = [dense("input", name, rng.normal(0, 0.5, (3, 6))) for name in names]
    made += [dense(name, "readout", rng.normal(0, 0.5, (2, 3))) for name in names]
    return FloatNetwork((source, *hidden, readout), tuple(made), 4)


def dense(source: str, target: str, weight: Any) -> FloatProjection:
    return FloatProjection(source, target, ProjectionKind.DENSE, np.asarray(weight, np.float64))


def shown(count: int) -> Any:
    """Flat samples of black and white."""
    return np.random.default_rng(0).integers(0, 2, (count, 6)).astype(np.uint8) * 255


@pytest.mark.parametrize(
    ("biases", "entry", "tried", "pays"),
    [
        ((0, 0), PLAIN, [], True),
        ((0, 0), WITH_CONSTANT, [], True),
        ((0, 0), FEWER, [(PLAIN, False)], True),
        ((0, 0), FEWER, [(PLAIN, True)], False),
        ((9, 9), WITH_CONSTANT, [(PLAIN, False)], True),
        ((9, 9), WITH_CONSTANT, [(PLAIN, True)], False),  # weights are whole: nothing to win
        ((9, 9), WITH_CONSTANT, [(PLAIN, False), (FEWER, True)], True),
        ((9, 9), WITH_CONSTANT, [(PLAIN, False), (WITH_CONSTANT, True)], False),
        ((9, 0), WITH_CONSTANT, [(PLAIN, False)], True),  # one layer that needs it is enough
        ((0, 9), WITH_CONSTANT, [(PLAIN, False)], True),
        ((0, 0), WITH_CONSTANT, [(PLAIN, False)], False),  # no bias asks for it
    ],
)  # fmt: skip
def test_which_ways_in_can_be_better_than_those_tried(
    biases: tuple[float, float], entry: Entry, tried: list[tuple[Entry, bool]], pays: bool
) -> None:
    network = two_branches(*biases)
    setting = scales._setting(network, shown(2), LOIHI, Options())
    known: Any = [(made, Tried(whole)) for made, whole in tried]
    assert scales._pays(setting, scales._fed_by_input(network), entry, known) is pays


@pytest.mark.parametrize(
    ("limits", "whole"),
    [
        ({"a": None, "b": None}, True),
        ({"a": "bias", "b": None}, False),
        ({"a": None, "b": "current"}, False),
        ({"a": "bias", "b": "current"}, False),
    ],
)
def test_a_way_in_is_whole_where_no_layer_at_all_is_limited(
    limits: dict[str, str | None], whole: bool
) -> None:
    assert scales._Fit({}, {}, limits).whole is whole


def test_whole_numbers_keep_their_own_bits_in_a_field_of_the_widest() -> None:
    rng = np.random.default_rng(0)
    plain = lif("hidden", (3,), Reset.HARD)
    hidden = replace(plain, threshold=np.full(1, 5.0), bias=np.array([2.0, -1.0, 0.0]))
    populations = (
        stateless("input", (1, 2, 3), PopulationKind.INPUT),
        hidden,
        stateless("readout", (2,), PopulationKind.READOUT),
    )
    first, last = rng.integers(-7, 8, (3, 6)), rng.integers(-1, 2, (2, 3))
    projections = (dense("input", "hidden", first), dense("hidden", "readout", last))
    network = FloatNetwork(populations, projections, 4)
    given = GivenIntegers(1, {"hidden": (GivenWeights(4),), "readout": (GivenWeights(2),)})
    found = choose(
        network, observe(network, shown(2).reshape(2, 1, 2, 3)), LOIHI, Options(given=given)
    )
    assert found.precision.weight_bits == 4
    assert found.input_coding is InputCoding.GRADED  # stills, whatever is behind them
    own = {name: layer.form.precision.weight_bits for name, layer in found.layers.items()}
    assert own == {"hidden": 4, "readout": 2}
    integers = apply(network, found)
    np.testing.assert_array_equal(integers.projections[0].weight, first)
    np.testing.assert_array_equal(integers.projections[1].weight, last)
