"""The bits of each layer: steps in the order of what they lose for what they save, all measured."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import float_nets
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.budget import of_run
from tssd.budget.costs import ChipCost, Minimise, check_told, chip_cost
from tssd.budget.of_run import check_classes, width_trials
from tssd.budget.widths import (
    LADDER,
    AloneWidth,
    divergence,
    measure,
    mixed_widths,
    next_step,
)
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.options import Options
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import choose
from tssd.calibration.tally import Tally
from tssd.chain.pipeline import ExportOptions
from tssd.cli import cli
from tssd.errors import ConfigError
from tssd.export.bundle.folder import read_bundle
from tssd.hw_targets.chip import loihi2
from tssd.hw_targets.chip.chips import load_chip
from tssd.train.data.data_sets import Dataset, load
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run

CHIP = load_chip("loihi2")


def cost(memory_bytes: int) -> ChipCost:
    return ChipCost(memory_bytes, 1.0, 1.0, 1.0, 1)


def alone(layer: str, bits: int, lost: float, memory_bytes: int) -> AloneWidth:
    return AloneWidth(layer, bits, lost, 0.0, cost(memory_bytes))


def taken(found: tuple[AloneWidth, ...], widths: Mapping[str, int], **refused: int) -> object:
    closed = {**dict.fromkeys(widths, 0), **refused}
    step = next_step(100.0, found, widths, closed, Minimise.MEMORY)
    return None if step is None else (step.layer, step.bits)


def test_the_step_that_loses_least_for_a_saved_byte_comes_first() -> None:
    found = (alone("a", 4, 0.2, 50), alone("b", 4, 0.1, 90), alone("b", 2, 0.3, 80))
    assert taken(found, {"a": 8, "b": 8}) == ("a", 4)  # 0.004 a byte, b 0.01 and 0.015
    assert taken(found, {"a": 4, "b": 8}) == ("b", 4)
    assert taken(found, {"a": 4, "b": 4}) == ("b", 2)  # 0.02 for each of 10 bytes more
    assert taken(found, {"a": 8, "b": 8}, a=4) == ("b", 4)
    assert taken(found, {"a": 4, "b": 8}, b=4) is None
    assert taken((alone("a", 4, 0.0, 100),), {"a": 8}) is None  # it saves nothing


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_walk_ends_and_only_narrows(data: st.DataObject) -> None:
    """Whatever single layers lose and save, and whatever is then refused."""
    layers = ["a", "b", "c"]
    found = tuple(
        alone(x, bits, data.draw(st.floats(0, 2)), data.draw(st.integers(0, 120)))
        for x in layers
        for bits in LADDER[1:]
    )
    widths: dict[str, int] = dict.fromkeys(layers, 8)
    refused: dict[str, int] = dict.fromkeys(layers, 0)
    step = None
    for _ in range(len(found) + 1):
        step = next_step(100.0, found, widths, refused, Minimise.MEMORY)
        if step is None:
            break
        assert refused[step.layer] < step.bits < widths[step.layer]
        if data.draw(st.booleans()):
            widths[step.layer] = step.bits
        else:
            refused[step.layer] = step.bits
    assert step is None


def trained_on() -> tuple[Dataset, FloatNetwork]:
    """A network of three convolutions, and samples whose labels are what it answers."""
    network = float_nets.small_vgg(3, side=8)
    digits = load("digits")
    seen = float_nets.images(network, 96)
    labels = run(network, seen).classes()
    part = replace(digits.train, images=seen[:32], labels=labels[:32])
    rest = replace(digits.val, images=seen[32:], labels=labels[32:])
    return replace(digits, train=part, val=rest, test=rest), network


def test_widths_are_found_within_the_drop_and_are_what_export_makes() -> None:
    data, network = trained_on()
    options = ExportOptions(calibration_samples=32)
    trials = width_trials(network, data, options)
    found = mixed_widths(trials, Minimise.MEMORY, 40.0)
    best = found.found
    assert best.lost.points <= 40.0
    assert best.cost.memory_bytes < found.widest.cost.memory_bytes
    assert found.share == best.cost.memory_bytes / found.widest.cost.memory_bytes
    kept = [step for step in found.steps if step.kept]
    assert {step.layer: step.bits for step in kept}.items() <= best.widths.items()
    for j in best.network.projections:
        assert np.abs(j.weight).max() < 1 << (best.widths[j.target] - 1)
    folded = align(fold(network))
    again = apply(
        folded,
        choose(
            folded,
            Observation(data.train.images[:], {}),
            Precision(),
            Options(layer_bits=dict(best.widths)),
        ),
    )
    for a, b in zip(again.projections, best.network.projections, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
    assert best.tally.samples == 64
    assert chip_cost(best.network, best.tally, CHIP) == best.cost


def test_single_layers_are_tried_on_few_samples_steps_on_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(of_run, "ALONE_SAMPLES", 20)
    data, network = trained_on()
    trials = width_trials(network, data, ExportOptions(calibration_samples=8))
    found = mixed_widths(trials, Minimise.MEMORY, 40.0)
    assert found.alone_samples == 20
    assert found.found.tally.samples == found.widest.tally.samples == 64
    first = found.alone[0]
    whole = dict.fromkeys(trials.layers, 8)
    both = [measure(trials, widths) for widths in (whole, {**whole, first.layer: first.bits})]
    logits = [replace(one, tally=replace(one.tally, samples=20, readout=one.tally.readout[:20]))
              for one in both]  # fmt: skip
    assert first.divergence_nats == pytest.approx(divergence(*logits), rel=1e-9)


def test_an_exception_is_as_if_the_layer_had_been_asked_alone() -> None:
    """One layer of 3 bits among 8: its first search is that of a network of 3 bits."""
    network = align(fold(float_nets.small_vgg(3, side=8)))
    seen = Observation(float_nets.images(network, 24), {})
    mixed = choose(network, seen, Precision(), Options(layer_bits={"conv1": 3}))
    few = choose(network, seen, Precision(weight_bits=3))
    whole = choose(network, seen, Precision())
    np.testing.assert_array_equal(mixed.layers["conv1"].weights[0], few.layers["conv1"].weights[0])
    for name in ("conv2", "conv3", "readout"):
        np.testing.assert_array_equal(mixed.layers[name].weights[0], whole.layers[name].weights[0])
    assert mixed.precision.weight_bits == 8
    wider = choose(network, seen, Precision(weight_bits=3), Options(layer_bits={"conv2": 6}))
    assert 3 < np.abs(wider.layers["conv2"].weights[0]).max() <= 31


def test_divergence_is_zero_for_itself_and_closed_for_two_classes() -> None:
    data, network = trained_on()
    trials = width_trials(network, data, ExportOptions(calibration_samples=8))
    one = measure(trials, dict.fromkeys(trials.layers, 8))
    assert divergence(one, one) == 0
    readout = one.network.readout
    whole = replace(readout, scale=1e6)
    one = replace(
        one, network=replace(one.network, populations=(*one.network.populations[:-1], whole))
    )
    unit = 64 * 1e6 * one.network.time_steps
    logits = np.round(np.array([[0.0, np.log(3.0)]]) * unit).astype(np.int64)
    flat = np.zeros((1, 2), np.int64)
    pair = [replace(one, tally=Tally(1, 4, {}, values)) for values in (logits, flat)]
    wanted = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    assert divergence(pair[0], pair[1]) == pytest.approx(wanted, rel=1e-9)


def test_a_drop_that_the_chip_s_own_bits_exceed_says_what_was_reached() -> None:
    data, network = trained_on()
    trials = width_trials(network, data, ExportOptions(calibration_samples=8))
    right = replace(trials, float_right=np.ones(64, np.bool_), labels=np.full(64, 11))
    with pytest.raises(
        ConfigError,
        match=r"--max-drop 0.5: found 100.00 points lost \(95 %: 88.67 to 100.00\) with "
        r"all 8 bits .* bytes of memory; allowed: 100.00 or",
    ):
        mixed_widths(right, Minimise.MEMORY, 0.5)


def test_energy_of_a_chip_that_tells_none_is_refused(tmp_path: Path) -> None:
    head = 'name = "dumb"\ntitle = "t"\ncalibrated_on = []\n'
    path = tmp_path / "dumb.toml"
    bare = (Path(loihi2.__file__).parent / "loihi2-prior.toml").read_text()
    kept = re.sub(r"(?ms)^\[(energy_pj|power_w)\].*?(?=^\[|\Z)", "", bare)
    path.write_text(head + kept[kept.index("\n[") :])
    chip = load_chip(str(path))
    with pytest.raises(ConfigError, match=r"--minimise energy: found chip dumb, whose file has no"):
        check_told(Minimise.ENERGY, chip)
    check_told(Minimise.MEMORY, chip)


def test_a_class_without_a_sample_is_refused() -> None:
    """Nothing would choose its scale, or measure what it loses."""
    digits = load("digits")
    check_classes(digits, ExportOptions(calibration_samples=64, check_samples=60))
    with pytest.raises(ConfigError, match=r"--calibration-samples 4: found no sample of class \d"):
        check_classes(digits, ExportOptions(calibration_samples=4))
    with pytest.raises(ConfigError, match=r"--check-samples 3: found no sample of class \d, \d"):
        check_classes(digits, ExportOptions(check_samples=3))


def told(*words: object) -> str:
    done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


SEARCH = ("calibrate", "run", "--max-drop", 5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*SEARCH, "--epochs", 2), "--epochs: found an option with nothing to act on"),
        (("calibrate", "run", "--bits", 4, "--minimise", "time"), "--minimise: found an option"),
        (("calibrate", "run", "--max-drop", -1), "--max-drop: found -1; allowed: 0 points"),
        (("calibrate", "run", "--max-drop", "nan"), "--max-drop: found nan; allowed: 0 points"),
        (("export", "run", "--weight-bits", "few"), "--weight-bits: found 'few'; allowed: whole"),
        (("export", "run", "--weight-bits", "conv1=4"), "allowed: one width for all, and"),
    ],
)
def test_what_cannot_act_is_refused(words: tuple[object, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        told(*words, "--out", "x")
    assert not Path("x").exists()


def test_one_way_to_few_bits_is_asked_for() -> None:
    done = CliRunner().invoke(cli, ["calibrate", "run", "--out", "x"])
    assert done.exit_code == 2
    assert "give --bits, or --max-drop" in done.output


@pytest.mark.slow
def test_a_run_within_a_drop_becomes_a_bundle(tmp_path: Path) -> None:
    small = ("--set", "train_limit=192", "--set", "batch_size=32", "--epochs", "1")
    run_folder = tmp_path / "run"
    told("train", "--dataset", "digits", *small, "--set", "width=0.25", "--out", run_folder)
    samples = ("--calibration-samples", 64, "--check-samples", 60)
    words = ("calibrate", run_folder, "--max-drop", 5, *samples, "--json", "--out", tmp_path / "a")
    found = json.loads(told(*words).splitlines()[-1])
    bundle = read_bundle(tmp_path / "a")
    rows = {row["layer"]: row["field_bits"] for row in bundle.manifest["weights"]}
    assert rows == found["widths"]
    assert min(rows.values()) < 8
    text = ",".join(["8", *(f"{name}={bits}" for name, bits in rows.items())])
    told("export", run_folder, "--weight-bits", text, *samples, "--tolerance", 5,
         "--out", tmp_path / "b", "-q")  # fmt: skip
    again = read_bundle(tmp_path / "b")
    for a, b in zip(bundle.network.projections, again.network.projections, strict=True):
        np.testing.assert_array_equal(a.weight, b.weight)
    for bits, said in (("8,conv9=4", "conv9"), ("8,conv1=9", "9 for conv1: found chip loihi2")):
        with pytest.raises(ConfigError, match=said):
            told("export", run_folder, "--weight-bits", bits, "--out", tmp_path / "c")
    assert not (tmp_path / "c").exists()
