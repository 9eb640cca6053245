"""A user's snnTorch module: trained, stripped, exported; refused by path where it cannot be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from small_digits import few_digits

from tssd.chain.users_module import take_over_trained
from tssd.cli import cli
from tssd.errors import ConfigError, NetworkError
from tssd.train.config import Method, TrainConfig
from tssd.train.data.data_sets import Dataset
from tssd.train.handover.costs import costs
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run
from tssd.train.loop.checkpoint import load_net
from tssd.train.loop.loop import train
from tssd.train.networks.coding import to_current
from tssd.train.networks.models import build, build_users
from tssd.train.networks.network import READOUT, Unrolling
from tssd.train.networks.strip import strip
from tssd.train.networks.user_module import UserNet

CONFIG = TrainConfig(
    model="user_nets:build", epochs=1, batch_size=32, train_limit=256, student_steps=2, lr=5e-3
)
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), np.uint8)


def net_of(function: str, **changes: Any) -> UserNet:
    return build_users(replace(CONFIG, model=f"user_nets:{function}", **changes), (1, 8, 8), 10)


def proved(net: UserNet, steps: int) -> FloatNetwork:
    """The network of the module, after every neuron was found to fire as in it."""
    taken = take_over_trained(net, IMAGES, steps)
    assert taken.agreement.differing == 0
    assert taken.agreement.slots > 0
    return taken.network


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


@pytest.mark.parametrize(
    ("function", "head"), [("build", "weak"), ("build_two_outputs", "output1")]
)
def test_heads_are_found_trained_and_left_behind(
    function: str, head: str, digits: Dataset, tmp_path: Path
) -> None:
    config = replace(CONFIG, model=f"user_nets:{function}", ema=0.9)
    outcome = train(config, digits, tmp_path)
    assert outcome.net.heads == [head]
    assert outcome.position.history[0]["spatial"] > 0
    net, _ = load_net(tmp_path, config.model)
    assert isinstance(net, UserNet)
    network = proved(net, 2)
    assert [p.name for p in network.populations] == ["input", "lif1", "lif2", READOUT]
    with torch.no_grad():
        expected = net(to_current(IMAGES), 2).mean(0).numpy()
    activity = run(network, IMAGES)
    agreeing = np.isclose(activity.logits, expected, rtol=0, atol=1e-4).all(axis=1)
    assert agreeing.mean() >= 0.75
    assert costs(network, IMAGES).total_synops > 0


def test_a_run_continues_bit_for_bit(digits: Dataset, tmp_path: Path) -> None:
    seen = 0

    def interrupt(epoch: int, batch: int, means: dict[str, float]) -> None:
        nonlocal seen
        seen += 1
        if seen == 3:
            raise KeyboardInterrupt

    train(CONFIG, digits, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, digits, tmp_path / "cut", progress=interrupt)
    train(CONFIG, digits, tmp_path / "cut", resume=True)
    states = [load_net(tmp_path / name, CONFIG.model)[0].state_dict() for name in ("whole", "cut")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_the_reset_that_comes_a_step_late_is_exported() -> None:
    """snnTorch's default."""
    net = net_of("build_late_reset").eval()
    with torch.no_grad():
        expected = net(to_current(IMAGES), 4).mean(0).numpy()
    activity = run(proved(net, 4), IMAGES)
    agreeing = np.isclose(activity.logits, expected, rtol=0, atol=1e-4).all(axis=1)
    assert agreeing.mean() >= 0.75
    assert activity.spike_total("lif1") > 0


def test_a_subtraction_that_is_not_delayed_is_exported() -> None:
    net = net_of("build_soft").eval()
    with torch.no_grad():
        expected = net(to_current(IMAGES), 4).mean(0).numpy()
    np.testing.assert_allclose(run(proved(net, 4), IMAGES).logits, expected, atol=1e-4)


def test_spike_counts_are_logits() -> None:
    net = net_of("build_spikes", method=Method.CE)
    network = proved(net, 3)
    with torch.no_grad():
        expected = net.run(to_current(IMAGES), Unrolling(16, 3))[READOUT].mean(0).numpy()
    np.testing.assert_allclose(run(network, IMAGES.copy()).logits, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("build_layer_norm", r"(?s)module 2.*(layer|Layer)"),
        ("build_sigmoid", r"(?s)module: found sigmoid in forward.*export --model"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_training(
    function: str, message: str, tmp_path: Path
) -> None:
    arguments = ["train", "--model", f"user_nets:{function}", "--out", str(tmp_path / "run")]
    with pytest.raises(NetworkError, match=message):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("user_nets:buid", "did you mean 'build'"),
        ("no_such_file:build", "No module named 'no_such_file'"),
        ("user_nets:build_number", "found int; allowed: a torch.nn.Module"),
    ],
)
def test_functions_that_do_not_exist(model: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(replace(CONFIG, model=model), (1, 8, 8), 10)


def test_states_must_stay_inside() -> None:
    with pytest.raises(NetworkError, match=r"(?s)module lif1.*init_hidden=True"):
        net_of("build_loose_state")


def test_classes_must_fit() -> None:
    config = replace(CONFIG, model="user_nets:build")
    with pytest.raises(NetworkError, match=r"found an output \(2, 10\) .* allowed: \(2, 4\)"):
        build(config, (1, 8, 8), 4)


def test_a_method_with_heads_needs_a_head(digits: Dataset, tmp_path: Path) -> None:
    config = replace(CONFIG, model="user_nets:build_spikes")
    with pytest.raises(ConfigError, match="a network without weak classifiers"):
        train(config, digits, tmp_path)


def test_strip_points_to_export() -> None:
    with pytest.raises(NetworkError, match="tssd export reads the module itself"):
        strip(net_of("build"), IMAGES, 2)


def test_from_the_command_to_a_bundle(tmp_path: Path) -> None:
    run_folder, bundle = str(tmp_path / "run"), str(tmp_path / "bundle")
    settings = ["--set", "train_limit=768", "--set", "student_steps=2", "--epochs", "2"]
    settings += ["--batch-size", "32", "--lr", "0.01"]
    arguments = ["train", "--model", "user_nets:build", "--out", run_folder, "--json", *settings]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["test"] > 30
    words = ["export", run_folder, "--model", "user_nets:build", "--out", bundle]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "bundle" / "network.nir").is_file()
