"""Training with few bits ends in the integers that are deployed: no spike differs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tssd.calibration.encode import encode
from tssd.calibration.precision import LOIHI
from tssd.calibration.simulate import layerwise
from tssd.chain import few_bits
from tssd.chain.few_bits import SAME_SPIKES, integers_of, same_spikes
from tssd.cli import cli
from tssd.errors import ConfigError
from tssd.export.bundle.folder import read_bundle
from tssd.train.config import Method, Surrogate, TrainConfig, TrainingPrecision
from tssd.train.data.data_sets import ByteArray
from tssd.train.handover.float_network import Reset
from tssd.train.networks.network import READOUT, Unrolling, scale_to_unit_current
from tssd.train.quantization.build import build
from tssd.train.quantization.network import QuantizedNet
from tssd.train.quantization.stage import stage_integers
from tssd.train.quantization.whole import fired

SHAPE, CLASSES = (1, 12, 12), 5
PLAIN = TrainConfig(model="tiny", method=Method.CE, width=0.25)


def pictures(count: int, seed: int = 0) -> ByteArray:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def trained(config: TrainConfig, updates: int = 3, tail: int = 0) -> QuantizedNet:
    """A network a few updates from its beginning, with gains of both signs and one of zero."""
    net = build(config, SHAPE, CLASSES)
    assert isinstance(net, QuantizedNet)
    torch.manual_seed(0)
    x = torch.from_numpy(pictures(16)).float() / 255
    scale_to_unit_current(net, x, 4)
    for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_var = torch.full_like(norm.weight.detach(), 0.1)
        norm.weight.data[:2] *= -1
        norm.weight.data[3] = 0
        norm.bias.data.normal_(0.3, 0.3)
    net.begin(x)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(updates):
        logits = net.run(x, Unrolling(16, 4, tail, tail_gradient=True))[READOUT]
        loss = torch.nn.functional.cross_entropy(logits.mean(0), torch.arange(16) % CLASSES)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net


CASES = {
    "tiny 4": replace(PLAIN, bits="4"),
    "tiny hard, mixed": replace(PLAIN, bits="3,conv1=8,readout=binary", reset=Reset.HARD, tau=1.7),
    "tiny ternary, learned leak": replace(PLAIN, bits="ternary", learn_leak=True),
    "tiny 8, atan": replace(PLAIN, bits="8", surrogate=Surrogate.ATAN, detach_reset=False),
    "vgg 4": replace(PLAIN, model="vgg-small", bits="4", width=0.2),
    "vgg binary": replace(PLAIN, model="vgg-small", bits="binary", width=0.2),
}


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_training_network_and_integers_fire_the_same_spikes(config: TrainConfig) -> None:
    """Beside the definition itself: every spike, and the read-out's membrane."""
    net = trained(config, tail=2)
    images = pictures(6, seed=1)
    ours, integers = fired(net, images, 4), integers_of(net, images, 4, LOIHI)
    theirs = layerwise(integers, encode(integers, images))
    for name, spikes in ours.spikes.items():
        np.testing.assert_array_equal(spikes, theirs.spikes[name], err_msg=name)
    assert sum(spikes.sum() for spikes in ours.spikes.values()) > 0
    np.testing.assert_array_equal(ours.membrane, theirs.readout)
    classes = net.eval()(torch.from_numpy(images).float() / 255).mean(0).argmax(-1)
    np.testing.assert_array_equal(classes.numpy(), theirs.readout.argmax(-1))
    for name, bits in net.bits.items():
        weight = integers.incoming(name)[0].weight
        assert np.abs(weight).max() <= bits.largest
        assert not bits.binary or set(np.unique(stage_integers(net.layer(name)).weight)) == {-1, 1}


def test_one_other_weight_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    net, images = trained(CASES["vgg 4"]), pictures(4, seed=2)
    assert same_spikes(net, images, 4, LOIHI).status == "pass"
    right = integers_of(net, images, 4, LOIHI)
    first = right.projections[0]
    other = replace(first, weight=np.where(first.weight > 0, first.weight - 1, first.weight))
    wrong = replace(right, projections=(other, *right.projections[1:]))
    monkeypatch.setattr(few_bits, "integers_of", lambda *_: wrong)
    found = same_spikes(net, images, 4, LOIHI)
    assert found.status == "fail"
    assert "first in conv1" in str(found.where)


def test_the_loss_falls_with_whole_weights() -> None:
    """Gradients reach the first layer and lead down."""
    net = trained(replace(PLAIN, bits="ternary", width=1.0), updates=1)
    x, labels = torch.from_numpy(pictures(16)).float() / 255, torch.arange(16) % CLASSES
    optimizer, losses = torch.optim.Adam(net.parameters(), 5e-3), []
    for _ in range(40):
        logits = net.run(x, Unrolling(16, 4))[READOUT]
        loss = torch.nn.functional.cross_entropy(logits.mean(0), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert net.stage("conv1").links[0].weights.weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]


def test_bf16_is_refused() -> None:
    with pytest.raises(ConfigError, match="fp32 with bits: bf16 rounds whole numbers"):
        replace(PLAIN, bits="4", precision=TrainingPrecision.BF16)


def test_a_chip_without_payloads_cannot_take_pictures() -> None:
    net = build(replace(PLAIN, bits="4", chip_payload_max=1), SHAPE, CLASSES)
    assert isinstance(net, QuantizedNet)
    with pytest.raises(ConfigError, match="a chip whose spikes carry no payload"):
        net.begin(torch.from_numpy(pictures(4)).float() / 255)


def told(*words: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_goes_on_with_few_bits_and_is_exported(tmp_path: Path) -> None:
    """train -> calibrate -> export: the contract stands in each, and nothing is rounded twice."""
    small = ("--set", "train_limit=192", "--set", "batch_size=32", "--epochs", "1")
    told("train", "--dataset", "digits", *small, "--out", tmp_path / "float", "--json")
    found = told("calibrate", tmp_path / "float", "--bits", "4", *small, "--out",
                 tmp_path / "run", "--json")  # fmt: skip
    (contract,) = json.loads(found.splitlines()[-1])["contracts"]
    assert contract["name"] == SAME_SPIKES
    assert contract["found"].startswith("0 of ")
    told("export", tmp_path / "run", "--out", tmp_path / "bundle", "--tolerance", "0", "--json")
    bundle = read_bundle(tmp_path / "bundle")
    assert max(np.abs(j.weight).max() for j in bundle.network.projections) <= 7
    names = {row["name"]: row["status"] for row in bundle.manifest["contracts"]}
    assert names[SAME_SPIKES] == "pass"
    assert all(row["field_bits"] == 4 for row in bundle.manifest["weights"])
    assert not bundle.manifest.get("notes")
    with pytest.raises(ConfigError, match=r"--weight-bits 8: found a run that was trained"):
        told("export", tmp_path / "run", "--weight-bits", "8", "--out", tmp_path / "b")
    with pytest.raises(ConfigError, match=r"--target loihi2: found a training in float"):
        told("train", "--dataset", "digits", "--target", "loihi2", "--out", tmp_path / "c")
