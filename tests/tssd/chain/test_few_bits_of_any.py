"""Residual networks and users' modules in few bits: no spike of the exported integers differs."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from snntorch_nets import NETS, REFUSED, Net, prepared
from torch import nn
from written_modules import STEPS
from written_networks import WRITTEN, lively

from tssd.calibration.precision import LOIHI
from tssd.chain.few_bits import SAME_SPIKES, same_spikes
from tssd.chain.module_export import entered
from tssd.chain.own_module import ModuleReading, take_over
from tssd.chain.user_data import Given, gather
from tssd.cli import cli
from tssd.errors import ConfigError, NetworkError
from tssd.export.bundle.folder import read_bundle
from tssd.train.config import Method, TrainConfig
from tssd.train.data.data_sets import ByteArray
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.mapped_input import with_input_map
from tssd.train.networks.models import build_stages
from tssd.train.networks.network import scale_to_unit_current
from tssd.train.networks.strip import strip
from tssd.train.quantization.build import build
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.widths import ChipWidths

SMALL = TrainConfig(model="resnet-18", method=Method.CE, width=0.1, depth=0.5)
BITS = ("4", "ternary", "binary", "3")


def trained(network: FloatNetwork, images: ByteArray, bits: str) -> QuantizedGraph:
    """A few updates from its beginning."""
    net = QuantizedGraph(network, bits, ChipWidths())
    values = torch.from_numpy(images).float() / 255
    x = values.transpose(0, 1) if values.dim() > len(net.input_shape) + 1 else values
    net.begin(x)
    net.train()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(2):
        logits = net(x)
        loss = nn.functional.cross_entropy(logits, torch.arange(len(logits)) % logits.shape[1])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net


def proved(network: FloatNetwork, images: ByteArray, bits: str) -> None:
    net = trained(network, images, bits)
    found = same_spikes(net, images, network.time_steps, LOIHI)
    assert found.status == "pass", (found.found, found.where)
    assert int(str(found.found).split()[2].replace(",", "")) > 0


def of_module(
    module: nn.Module, given: Given, reading: ModuleReading
) -> tuple[FloatNetwork, ByteArray]:
    """The network on levels, and the samples on them."""
    taken = take_over(module, given.as_seen(), reading)
    samples = entered(module, taken, given)
    return with_input_map(taken.network, samples.entry), samples.images


def residual(model: str) -> tuple[FloatNetwork, ByteArray]:
    net = build_stages(replace(SMALL, model=model), (3, 8, 8), 10)
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 8, 8)).astype(np.uint8)
    scale_to_unit_current(net, torch.from_numpy(images).float() / 255, 4)
    for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.running_var = torch.full_like(norm.weight.detach(), 0.1)
    return strip(net, images[:4], 4), images


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("model", "bits"),
    [
        ("resnet-18", "4"),
        pytest.param("ms-resnet-18", "ternary", marks=SLOW),
        pytest.param("sew-resnet-34", "3", marks=SLOW),
    ],
)
def test_residual_networks(model: str, bits: str) -> None:
    proved(*residual(model), bits)


def matrix(net: Net, bits: str) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (4, *net.shape)).astype(np.uint8)
    reading = ModuleReading(time_steps=20, frames=False)
    proved(*of_module(prepared(net), gather(drawn), reading), bits)


def written(name: str, bits: str) -> None:
    form = WRITTEN[name]
    torch.manual_seed(0)
    module = lively(form.build())
    drawn = np.random.default_rng(0).random((12, *form.samples), np.float32)
    choices = {"population" if k == "groups" else k: v for k, v in form.choices.items()}
    proved(*of_module(module, gather(drawn), ModuleReading(default_steps=STEPS, **choices)), bits)


CHOSEN = {  # one for each kind: resets, memories, loops, pools, sums, codes
    *("synaptic-subtract-True", "rsynaptic-subtract", "rleaky-one-to-one", "add"),
    *("conv-groups-non-square-max-norm", "functional-max-flatten"),
}
DEPLOYED = [net for net in NETS if net.name not in REFUSED]
FORMS = [name for name, form in WRITTEN.items() if form.refusal is None]


@pytest.mark.parametrize("net", [n for n in DEPLOYED if n.name in CHOSEN], ids=lambda n: n.name)
def test_chosen_modules_of_the_matrix(net: Net) -> None:
    matrix(net, "4")


@pytest.mark.parametrize("name", ["recurrent layers", "population code", "pool behind the neuron"])
def test_chosen_forms(name: str) -> None:
    written(name, "ternary")


@pytest.mark.slow
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("net", DEPLOYED, ids=lambda n: n.name)
def test_every_module_of_the_matrix(net: Net, bits: str) -> None:
    matrix(net, bits)


@pytest.mark.slow
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", FORMS)
def test_every_form(name: str, bits: str) -> None:
    written(name, bits)


def test_the_loss_of_a_module_falls() -> None:
    """Late resets, synaptic memory, four bits: gradients reach the first layer and lead down."""
    net = next(n for n in DEPLOYED if n.name == "synaptic-subtract-True")
    drawn = np.random.default_rng(0).integers(0, 256, (16, *net.shape)).astype(np.uint8)
    reading = ModuleReading(time_steps=8, frames=False)
    network, images = of_module(prepared(net), gather(drawn), reading)
    made = QuantizedGraph(network, "4", ChipWidths())
    x, labels = torch.from_numpy(images).float() / 255, torch.arange(16) % 12
    optimizer, losses = torch.optim.Adam(made.parameters(), 2e-2), []
    made.train()
    for _ in range(15):
        loss = nn.functional.cross_entropy(made(x), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1  # counts over T are logits of 0 to 1: 1.62 is the least
    assert made.get_parameter("weight_1").grad is not None


def test_from_the_first_step_on_they_are_refused() -> None:
    hint = "train in float, then: tssd calibrate RUN --bits 4"
    with pytest.raises(NetworkError, match=f"(?s)several projections into one.*{hint}"):
        build(replace(SMALL, bits="4"), (3, 32, 32), 10)
    with pytest.raises(NetworkError, match=r"bits: found '4' from the first step on, with a mod"):
        build(replace(SMALL, model="user_models:hard", bits="4"), (1, 6, 6), 4)


def told(*words: str | Path) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_module_as_its_author_wrote_it_goes_on_in_few_bits(tmp_path: Path) -> None:
    """tssd calibrate --model -> export, on samples in numbers of their own, and on again."""
    rng = np.random.default_rng(0)
    x = (rng.random((60, 1, 6, 6), np.float32) - 0.3) / 0.6
    np.savez(tmp_path / "own.npz", inputs=x, labels=np.arange(60) % 4)
    few = ("--epochs", "1", "--set", "batch_size=16", "--json")
    found = told("calibrate", "--model", "user_models:hard", "--samples", tmp_path / "own.npz",
                 "--time-steps", "6", "--bits", "4", *few, "--out", tmp_path / "run")  # fmt: skip
    (contract,) = json.loads(found.splitlines()[-1])["contracts"]
    assert (contract["name"], contract["found"][:5]) == (SAME_SPIKES, "0 of ")
    told("export", tmp_path / "run", "--data", tmp_path / "own.npz", "--out", tmp_path / "b",
         "--tolerance", "0", "--json")  # fmt: skip
    bundle = read_bundle(tmp_path / "b")
    assert bundle.manifest["input"]["low"] is not None
    assert all(row["field_bits"] == 4 for row in bundle.manifest["weights"])
    told("calibrate", tmp_path / "run", "--data", tmp_path / "own.npz", "--bits", "ternary", *few,
         "--out", tmp_path / "on")  # fmt: skip
    again = ("calibrate", tmp_path / "run", "--data", tmp_path / "own.npz", "--bits", "ternary")
    with pytest.raises(ConfigError, match="--method ssd: found a network that was taken over"):
        told(*again, "--method", "ssd", "--out", tmp_path / "c")
    with pytest.raises(ConfigError, match="gamma=1: found a module of your own"):
        told(*again, "--set", "gamma=1", "--out", tmp_path / "c")


@pytest.mark.slow
def test_runs_of_residual_networks_and_modules_go_on(tmp_path: Path) -> None:
    small = ("--set", "train_limit=192", "--set", "batch_size=32", "--epochs", "1")
    tiny = ("--model", "resnet-18", "--set", "width=0.1", "--set", "depth=0.5", "--method", "ce")
    told("train", "--dataset", "digits", *tiny, *small, "--out", tmp_path / "r", "--json")
    told("calibrate", tmp_path / "r", "--bits", "4", *small, "--set", "gamma=1", "--out",
         tmp_path / "r4", "--json")  # fmt: skip
    told("export", tmp_path / "r4", "--out", tmp_path / "rb", "--tolerance", "0", "--json")
    told("train", "--dataset", "digits", "--model", "user_nets:build", "--method", "ce", *small,
         "--out", tmp_path / "u", "--json")  # fmt: skip
    told("calibrate", tmp_path / "u", "--model", "user_nets:build", "--bits", "4", *small, "--out",
         tmp_path / "u4", "--json")  # fmt: skip
    told("export", tmp_path / "u4", "--out", tmp_path / "ub", "--tolerance", "0", "--json")
    for name in ("rb", "ub"):
        contracts = read_bundle(tmp_path / name).manifest["contracts"]
        assert {c["name"]: c["status"] for c in contracts}[SAME_SPIKES] == "pass"


def test_a_calibration_says_what_it_lacks() -> None:
    for words in (
        ("--bits", "4", "--out", "x"),
        ("--model", "a:b", "--bits", "4", "--out", "x"),
        ("run", "--time-steps", "4", "--bits", "4", "--out", "x"),
    ):
        assert CliRunner().invoke(cli, ["calibrate", *words]).exit_code == 2
