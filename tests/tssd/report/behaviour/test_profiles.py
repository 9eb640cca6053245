"""What the page draws of weights and membranes, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sample_report import bare_report, full_report, sample_network

from tssd.calibration.comparing.histogram import histogram
from tssd.calibration.comparing.spread import HALF_STEP, integer_weights
from tssd.report.behaviour.distributions import MOST_BINS, TAIL, weight_distributions
from tssd.report.behaviour.model import BinCounts, Distribution
from tssd.report.behaviour.profiles import described, outline, profile, profile_table, profiles
from tssd.report.paper.spread import bin_rows

THREE = Distribution("step", -1.5, 1.0, BinCounts(0, (2, 0, 1), 0), BinCounts(1, (1, 1, 0), 1))


def test_a_height_goes_with_the_logarithm_of_the_count() -> None:
    """log(1 + 3) is twice log(1 + 1): a count of 1 reaches half as high as one of 3."""
    assert outline((3, 1, 0, 3), 3) == "M0 100V0H25V50H50V100H75V0H100V100"


def test_whole_numbers_are_named_by_the_first_and_the_last() -> None:
    assert described(THREE) == "-1 .. 1 steps; outside: 0.00 % of integers, 50.00 % of float"
    eights = Distribution("step", -128.5, 8.0, BinCounts(0, (1,) * 32, 0))
    assert described(eights) == "-128 .. 127 steps"


def test_zero_lies_where_it_is() -> None:
    assert profile("x", THREE).zero == 50
    onward = Distribution("threshold", 1.0, 0.5, BinCounts(3, (1, 0), 0))
    assert profile("x", onward).zero is None
    assert profile("x", onward).in_float == ""
    assert described(onward) == "1 .. 2 thresholds; outside: 75.00 % of integers"


def test_every_weight_has_a_bin_and_what_float_had_beyond_them_too() -> None:
    network = sample_network()
    ours = integer_weights(network)
    wide = {n: histogram(np.array([-400, 400]) + HALF_STEP, 0) for n in ours}
    for name, found in weight_distributions(ours, wide).items():
        stored = sum(j.weight.size for j in network.incoming(name))
        assert (sum(found.integer.bins), found.integer.below, found.integer.above) == (stored, 0, 0)
        assert found.float is not None
        assert sum(found.float.bins) == 2
        assert len(found.integer.bins) <= MOST_BINS


def test_few_membranes_lie_outside() -> None:
    for layer in full_report().layers:
        if found := layer.membranes:
            assert found.float is not None
            ends = [[side.below, side.above] for side in (found.integer, found.float)]
            whole = [sum(s.bins) + s.below + s.above for s in (found.integer, found.float)]
            assert (np.array(ends) / np.array(whole)[:, None]).mean(axis=0).max() <= TAIL


def test_layers_without_either_have_no_row() -> None:
    report = full_report()
    assert [row.name for row in profiles(report)] == [x.name for x in report.layers if x.weights]
    assert len(profile_table(report)) == len(profiles(report))
    assert profiles(bare_report()) == ()
    assert profile_table(bare_report()) == ()


@pytest.mark.parametrize("in_float", [THREE.float, None])
def test_a_record_of_every_bin_and_of_both_sides(in_float: BinCounts | None) -> None:
    layer = replace(full_report().layers[1], weights=replace(THREE, float=in_float), membranes=None)
    rows = list(bin_rows(layer))
    assert [(x["low"], x["high"]) for x in rows] == [
        (None, -1.5), (-1.5, -0.5), (-0.5, 0.5), (0.5, 1.5), (1.5, None),
    ]  # fmt: skip
    assert [x["integer"] for x in rows] == [0, 2, 0, 1, 0]
    assert [x["float"] for x in rows] == ([1, 1, 1, 0, 1] if in_float else [None] * 5)
