"""What quantization did, layer by layer: which layer is named, what is advised, what is counted."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from known import known
from sample_report import bare_report, full_report, sample_network
from strategies import random_inputs

from tssd.calibration.int_network import MEMBRANE
from tssd.calibration.integer import STATE_LIMIT
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import tally
from tssd.report.behaviour.layers import layer_table, likeness, worst_layer
from tssd.report.behaviour.model import FiringChange
from tssd.report.behaviour.observe import all_layer_events, layer_events
from tssd.report.markdown import render_markdown
from tssd.report.model import Provenance, Report

NETWORK = sample_network()
FIRING = [p.name for p in NETWORK.populations if p.kind.fires]


def change(rate: float = 0.5, ratio: float = 1.0, cosine: float | None = 1.0) -> FiringChange:
    return FiringChange(8, rate, rate * ratio, ratio if rate else None, cosine, 0, 0, 0, 0, 0)


def fired(
    firing: Mapping[str, FiringChange],
    *commands: str,
    alone: Mapping[str, float] | None = None,
    agreed: Mapping[str, float] | None = None,
) -> Report:
    """The full report with these changes, 8 kept bits, and these commands behind it."""
    full = full_report()
    layers = tuple(
        replace(
            layer,
            firing=firing.get(layer.name, layer.firing and change()),
            kept_bits=8.0,
            accuracy_if_only_this_layer_is_quantized=(alone or {}).get(layer.name),
            agreement_if_only_this_layer_is_quantized=(agreed or {}).get(layer.name),
        )
        for layer in full.layers
    )
    return replace(full, layers=layers, provenance=Provenance(commands, {}, {}))


def test_the_layer_that_costs_answers_alone_comes_first() -> None:
    report = fired({FIRING[0]: change(cosine=0.1)}, alone={FIRING[0]: 1.0, FIRING[1]: 0.75})
    said = f"{FIRING[1]} costs most: 75.00 % right with it alone in integers, 100.00 % in float."
    assert worst_layer(report).startswith(said)


def test_then_the_one_that_changes_answers() -> None:
    report = fired({FIRING[0]: change(cosine=0.1)}, agreed={FIRING[0]: 1.0, FIRING[1]: 0.875})
    said = f"{FIRING[1]} changes most answers: 87.50 % are float's with it alone in integers."
    assert worst_layer(report).startswith(said)


def test_else_the_one_that_fires_least_as_in_float() -> None:
    firing = {FIRING[0]: change(cosine=0.9), FIRING[1]: change(ratio=1.25)}
    report = fired(firing, alone=dict.fromkeys(FIRING, 1.0))
    said = f"{FIRING[1]} is moved most: spike ratio 1.2500, cosine 1.0000, with what the layers"
    assert worst_layer(report).startswith(said)


@pytest.mark.parametrize(
    ("found", "commands", "advice"),
    [
        (change(cosine=0.9), (), "Try --scales channel"),
        (change(cosine=0.9), ("tssd export r --scales channel",), "Try --tuning spikes"),
        (change(ratio=0.8), (), "Try --tuning spikes"),
        (change(ratio=0.8), ("tssd export r --tuning spikes",), "Try --scales channel"),
        (change(ratio=0.8), ("x --tuning bias --scales layer",), "Try tssd calibrate"),
    ],
)
def test_what_was_not_done_yet_is_advised(
    found: FiringChange, commands: tuple[str, ...], advice: str
) -> None:
    assert advice in worst_layer(fired({FIRING[0]: found}, *commands))


def test_where_few_bits_are_kept_more_are_advised() -> None:
    report = fired({FIRING[0]: change(cosine=0.9)})
    few = tuple(replace(x, kept_bits=3.5) if x.name == FIRING[0] else x for x in report.layers)
    assert "It keeps 3.5 bits: try more for it alone" in worst_layer(replace(report, layers=few))


def test_of_a_run_trained_with_few_bits_its_own_bits_are_advised() -> None:
    report = fired({FIRING[0]: change(ratio=0.8)}, "tssd train --set bits=6 --out r")
    assert worst_layer(report).endswith("as tssd calibrate --bits takes exceptions by layer.")


def test_where_nothing_moved_nothing_is_advised() -> None:
    assert worst_layer(fired({})) == "Quantization moved no layer's spikes."


def test_a_silent_layer_is_like_a_silent_one_alone() -> None:
    assert likeness(change(rate=0.0, cosine=None)) == 1
    assert likeness(FiringChange(8, 0.5, 0.0, 0.0, None, 0.5, 0, 4, 0, 0)) == 0
    assert likeness(change(ratio=2.0)) == likeness(change(ratio=0.5)) == 0.5


def test_without_float_there_is_no_section() -> None:
    assert layer_table(bare_report()) is None
    assert "layer by layer" not in render_markdown(bare_report())
    table = known(layer_table(full_report()))
    assert [row[0] for row in table.rows] == [*FIRING, NETWORK.readout.name]
    assert table.lead.endswith("with every layer in integers 62.50 %.")
    assert table.sentence in render_markdown(full_report())


def test_batches_keep_each_sample_s_events() -> None:
    batches = [layerwise(NETWORK, random_inputs(NETWORK, seed, batch=3)) for seed in (1, 2)]
    found = all_layer_events([layer_events(NETWORK, batch) for batch in batches])
    assert list(found.events) == FIRING
    for name in FIRING:
        assert found.events[name].shape == (6, NETWORK.population(name).neurons)
        wanted = sum(tally(batch).events[name].ravel() for batch in batches)
        assert found.events[name].sum(axis=0).tolist() == np.asarray(wanted).tolist()


def test_membranes_at_either_end_of_their_range_are_counted() -> None:
    activity = layerwise(NETWORK, random_inputs(NETWORK, 1, batch=2))
    membranes = dict(activity.states[MEMBRANE])
    name = FIRING[0]
    before = layer_events(NETWORK, activity).saturated[name]
    changed = membranes[name].copy()
    changed.flat[:3] = STATE_LIMIT - 1, 1 - STATE_LIMIT, STATE_LIMIT - 2
    states = {**activity.states, MEMBRANE: {**membranes, name: changed}}
    found = layer_events(NETWORK, replace(activity, states=states)).saturated
    assert (before, found[name]) == (0, 2)
