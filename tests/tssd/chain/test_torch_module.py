"""A bundle comes back as a torch module: integers bit for bit, floats that train again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from float_nets import images, small_residual, small_vgg
from hypothesis import given, settings
from strategies import Case, cases, random_conv_network

from tssd.calibration.int_network import Reset
from tssd.calibration.simulate import layerwise
from tssd.chain.torch_module import FloatModule, IntegerModule, load
from tssd.errors import FileFormatError
from tssd.export.bundle.folder import write_bundle
from tssd.train.handover import float_file
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run

MEMORY = small_vgg(4)
FIRST = replace(MEMORY.populations[1], synapse_decay=np.full((4, 1, 1), 0.7))
NETWORKS = {
    "vgg soft": small_vgg(0),
    "vgg hard": small_vgg(1, Reset.HARD),
    "residual": small_residual(3, time_steps=6),
    "memory": replace(MEMORY, populations=(MEMORY.populations[0], FIRST, *MEMORY.populations[2:])),
}


@given(cases())
@settings(max_examples=15, deadline=None)
def test_the_exact_module_equals_the_definition(case: Case) -> None:
    module, inputs = IntegerModule(case.network), torch.tensor(case.inputs)
    expected = layerwise(case.network, case.inputs)
    np.testing.assert_array_equal(module(inputs).numpy(), expected.readout)
    for name, spikes in module.spikes(inputs).items():
        np.testing.assert_array_equal(spikes.numpy(), expected.spikes[name])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_float_module_fires_as_the_float_network(name: str) -> None:
    network = NETWORKS[name]
    pictures = images(network, 4)
    wanted = run(network, pictures, dtype="float64", keep_spikes=True)
    module = FloatModule(network).double()
    with torch.no_grad():
        found = module.spikes(module.inputs(pictures).double())
        logits = module(module.inputs(pictures).double())
    for label in found:
        fired = wanted.spikes[label]
        assert fired.any()
        if label != "input":
            share = np.mean(found[label].numpy() != fired)
            assert share < 2e-4, f"{label}: {share}"
    np.testing.assert_allclose(logits.numpy(), wanted.logits, atol=2e-3)


def test_every_parameter_of_the_float_module_gets_a_gradient() -> None:
    """Squares: a cross entropy is blind to the one bias that all classes share here."""
    module = FloatModule(NETWORKS["vgg soft"]).train()
    pictures = images(NETWORKS["vgg soft"], 8)
    loss = module(module.inputs(pictures)).square().sum()
    loss.backward()
    silent = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_a_step_of_training_lowers_the_loss() -> None:
    network: FloatNetwork = NETWORKS["vgg soft"]
    module, labels = FloatModule(network), torch.arange(6)
    inputs = module.inputs(images(network, 6))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(module(inputs), labels)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert losses[-1] < losses[0]


def test_load_takes_a_bundle_either_way(tmp_path: Path) -> None:
    floats, integers = NETWORKS["vgg soft"], random_conv_network(0, Reset.SOFT)
    files = {float_file.FLOAT_FILE: float_file.to_bytes(floats)}
    write_bundle(tmp_path / "both", integers, extra_files=files)
    write_bundle(tmp_path / "plain", integers)
    assert isinstance(load(tmp_path / "both", exact=True), IntegerModule)
    pictures = images(floats, 2)
    module = load(tmp_path / "both")
    wanted = FloatModule(floats)
    assert torch.equal(module(module.inputs(pictures)), wanted(wanted.inputs(pictures)))
    with pytest.raises(FileFormatError, match="no float.safetensors"):
        load(tmp_path / "plain")
