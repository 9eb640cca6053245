"""A pruned run: the channels that move most stay, and it is a run like any other."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import float_nets
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tssd.budget import pruning
from tssd.budget.channels import without_channels
from tssd.budget.pruning import _silenced, kept_channels, same_arrays, scores, smaller_config
from tssd.calibration.quantizing.fold import fold
from tssd.cli import cli
from tssd.errors import ConfigError
from tssd.train.config import Method, TrainConfig, WeakDesign
from tssd.train.data.data_sets import load
from tssd.train.handover.float_run import run
from tssd.train.loop.checkpoint import load_net
from tssd.train.networks.models import MODELS, build_stages
from tssd.train.networks.network import READOUT, SpikingNet
from tssd.train.networks.pruning import pruned_tensors, tied
from tssd.train.networks.strip import deployed

SHAPE = (1, 16, 16)


def net_of(model: str, **more: object) -> tuple[SpikingNet, TrainConfig]:
    config = TrainConfig(model=model, width=0.125, **more)  # type: ignore[arg-type]
    net = build_stages(config, SHAPE, 5)
    torch.manual_seed(0)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn_like(tensor).abs() + 0.1)
    return net.eval(), config


@pytest.mark.parametrize("model", MODELS)
def test_the_smaller_run_deploys_as_the_network_without_its_channels(model: str) -> None:
    """Every model: skips and sums lose the same channels, weak classifiers are sliced with them."""
    net, config = net_of(model, method=Method.TSSD, weak_design=WeakDesign.CONV_POOL_LINEAR)
    whole = deployed(net, 2)
    rng = np.random.default_rng(0)
    score = {p.name: rng.random(p.shape[0]) for p in whole.populations if p.kind.fires}
    kept = kept_channels(net, score, "0.6")
    smaller = build_stages(smaller_config(config, kept, net), SHAPE, 5)
    smaller.load_state_dict(pruned_tensors(net, kept))
    mine = {p.name: kept[p.name] for p in whole.populations if p.name in kept}
    found = same_arrays(deployed(smaller, 2), without_channels(_silenced(net, kept, 2), mine))
    assert found.status == "pass", found
    for name, group in tied(net.specs).items():
        if name in kept:
            assert all(np.array_equal(kept[name], kept[x]) for x in group if x in kept)
    assert sum(p.neurons for p in deployed(smaller, 2).populations[1:-1]) < sum(
        p.neurons for p in whole.populations[1:-1]
    )


def test_another_array_is_found() -> None:
    net, _ = net_of("tiny")
    whole = deployed(net, 2)
    other = without_channels(whole, {"conv1": np.array([1])})
    assert same_arrays(without_channels(whole, {"conv1": np.array([0])}), other).status == "fail"


def test_a_channel_scores_by_its_spikes_and_the_weights_that_read_it() -> None:
    network = fold(float_nets.small_vgg(1, side=8))
    seen = float_nets.images(network, 12)
    found = scores(network, seen)
    events = run(network, seen).events
    into = network.outgoing("conv1")[0].weight
    for c in range(4):
        wanted = np.sqrt(events["conv1"][c].sum()) * np.linalg.norm(into[:, c])
        assert found["conv1"][c] == pytest.approx(wanted, rel=1e-12)
    matrix = network.outgoing("conv3")[0].weight.reshape(10, 8, -1)
    wanted = np.sqrt(events["conv3"][5].sum()) * np.linalg.norm(matrix[:, 5])
    assert found["conv3"][5] == pytest.approx(wanted, rel=1e-12)


def test_the_best_stay_in_order_and_one_at_least() -> None:
    net, _ = net_of("tiny")
    widths = {name: net.shapes[name][0] for name in ("conv1", "conv2", "fc1")}
    score = {name: np.arange(width, dtype=float) for name, width in widths.items()}
    kept = kept_channels(net, score, "0.5,conv1=0.01,fc1=1")
    assert kept["conv1"].tolist() == [widths["conv1"] - 1]
    assert kept["conv2"].tolist() == list(range(widths["conv2"] // 2, widths["conv2"]))
    assert len(kept["fc1"]) == widths["fc1"]
    assert READOUT not in kept


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("0", "--keep: found '0'; allowed: above 0, up to 1"),
        ("1.5", "--keep: found '1.5'"),
        ("nan", "--keep: found 'nan'"),
        ("half", "--keep: found 'half'"),
        ("0.5,conv9=1", "--keep: found unknown stage 'conv9'"),
        ("conv1=1", "--keep: found 'conv1=1'; allowed: one width for all"),
    ],
)
def test_shares_that_are_none_are_refused(keep: str, said: str) -> None:
    net, _ = net_of("tiny")
    with pytest.raises(ConfigError, match=said):
        kept_channels(net, {}, keep)


def test_stages_that_a_skip_adds_have_one_share() -> None:
    net, _ = net_of("resnet-18")
    score = {spec.name: np.ones(net.shapes[spec.name][0]) for spec in net.specs}
    with pytest.raises(ConfigError, match=r"--keep: found stem=1, g1b1c2=0.5.*one share for these"):
        kept_channels(net, score, "0.5,stem=1")


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ("conv1=99", r"channels of conv1: found 99; allowed: 1 \.\. 2"),
        ("conv1=0", "channels of conv1: found 0"),
        ("conv7=1", "unknown stage 'conv7'"),
        ("readout=1", "unknown stage 'readout'"),
        ("conv1", "training: channels: found 'conv1'; allowed: conv1=12,fc1=64"),
    ],
)
def test_widths_that_no_stage_has_are_refused(channels: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build_stages(TrainConfig(model="tiny", width=0.125, channels=channels), SHAPE, 5)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (r"--samples 4: found no sample of class \d", ("--samples", 4)),
        (r"--check-samples 3: found no sample of class \d", ("--check-samples", 3)),
        (r"calibration samples: found 64 samples of the one value 7; allowed: samples that differ",
         ("--samples", 64)),
    ],
)  # fmt: skip
def test_samples_that_score_no_channel_are_refused(
    said: str, words: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``calibrate`` does: a class without a sample would lose its channels unseen."""
    net, config = net_of("tiny")
    digits = load("digits")
    if "one value" in said:
        same = np.full((64, *digits.train.images.shape[1:]), 7, np.uint8)
        digits = replace(
            digits, train=replace(digits.train, images=same, labels=np.arange(64) % 10)
        )
    checkpoint = SimpleNamespace(config=config)
    monkeypatch.setattr(pruning, "built_in_float", lambda run, what: (net, checkpoint))
    monkeypatch.setattr(pruning, "data_of", lambda config, data: digits)
    done = CliRunner().invoke(
        cli, [str(x) for x in ("prune", "run", "--keep", 0.5, *words, "--out", tmp_path / "half")]
    )
    assert re.search(said, str(done.exception)), done.output
    assert not (tmp_path / "half").exists()


def told(*words: object) -> str:
    done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
def test_a_run_is_pruned_trained_on_and_exported(tmp_path: Path) -> None:
    small = ("--set", "train_limit=192", "--set", "batch_size=32", "--epochs", "1")
    told("train", "--dataset", "digits", *small, "--out", tmp_path / "run")
    words = ("--keep", "0.5", "--samples", 32, "--check-samples", 40, "--json")
    found = json.loads(told("prune", tmp_path / "run", *words, "--out", tmp_path / "half"))
    assert [row["status"] for row in found["contracts"]] == ["pass", "pass"]
    before, after = found["cost"]
    assert after["memory_bytes"] < 0.5 * before["memory_bytes"]
    net, checkpoint = load_net(tmp_path / "half")
    assert isinstance(net, SpikingNet)
    assert checkpoint.config.channels == "conv1=8,conv2=16,fc1=64"
    told("calibrate", tmp_path / "half", "--bits", "4", *small, "--out", tmp_path / "few", "--json")
    told("export", tmp_path / "few", "--tolerance", 20, "--out", tmp_path / "bundle", "-q")
    told("train", "--dataset", "digits", *small, "--set", "channels=conv1=8,conv2=16,fc1=64",
         "--start-from", tmp_path / "half", "--out", tmp_path / "on", "--json")  # fmt: skip
    with pytest.raises(ConfigError, match=r"tssd prune of .*: found a run that was trained in int"):
        told("prune", tmp_path / "few", *words, "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
