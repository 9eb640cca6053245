"""lava-dl's own netx loader against our reading of the same files, and against the record."""

from pathlib import Path
from typing import Any

import numpy as np
import pilotnet
import pytest
from lava_environment import differences, needs_lava
from netx_files import FLATTEN, conv, dense, image, neuron, random_weights, write_net
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Activity, InputCoding, IntNetwork, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import chip_steps, pipelined
from tssd.export.netx.read import read_netx
from tssd.export.netx.to_integers import import_netx
from tssd.export.netx.write import write_netx
from tssd.hw_targets.lava import engine
from tssd.hw_targets.lava.engine import LavaOptions

pytestmark = [pytest.mark.lava, needs_lava("full")]

RNG = np.random.default_rng(11)
IMAGE = image((2, 6, 7))
KERNEL = random_weights(RNG, 4, 1, 3, 2)
CONV = conv(KERNEL, (4, 3, 6), stride=[2, 1], padding=[1, 0], groups=2, bias=np.arange(4) * 20)
FIRST = dense(random_weights(RNG, 6, 72), neuron=neuron(vth=300, du=2500, dv=0))
READ = dense(2 * random_weights(RNG, 3, 6), neuron=neuron(vth=131072, dv=0))
NETS: dict[str, tuple[list[dict[str, Any]], InputCoding]] = {
    "graded": ([IMAGE, CONV, FLATTEN, FIRST, READ], InputCoding.GRADED),
    "bias": (
        [image((2, 6, 7), neuron=neuron(vth=900)), CONV, FLATTEN, FIRST, READ],
        InputCoding.BIAS,
    ),
    "delays": (
        [
            dense(random_weights(RNG, 6, 9), delay=RNG.integers(0, 5, (6, 9))),
            dense(random_weights(RNG, 4, 6), delay=RNG.integers(0, 3, 4)),
        ],
        InputCoding.SPIKES,
    ),
    "recurrent": (
        [
            dense(random_weights(RNG, 6, 9), weight_rec=random_weights(RNG, 6, 6))
            | {"type": "dense_rec"},
            READ,
        ],
        InputCoding.SPIKES,
    ),
    "nine bits": ([dense(np.array([[-200, 131, 7], [3, 5, -2]]))], InputCoding.SPIKES),
    "no neuron": (
        [{"type": "dense", "shape": [3], "weight": random_weights(RNG, 3, 9)}],
        InputCoding.SPIKES,
    ),
}


Runs = dict[str, tuple[IntNetwork, IntArray, Activity]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All files in one subprocess: lava-dl takes seconds to import."""
    folder = tmp_path_factory.mktemp("netx")
    paths = {name: write_net(folder / f"{name}.net", layers) for name, (layers, _) in NETS.items()}
    networks = {name: _imported(paths[name], coding) for name, (_, coding) in NETS.items()}
    for seed in (1, 2):
        name = f"exported {seed}"
        networks[name] = random_conv_network(seed, Reset.HARD)
        paths[name] = folder / f"{name}.net"
        write_netx(networks[name], paths[name])
    inputs = {name: _inputs(network) for name, network in networks.items()}
    found = engine.run_many(
        [(networks[name], inputs[name]) for name in networks],
        mode="netx",
        options=LavaOptions(nets=tuple(paths[name] for name in networks)),
    )
    return {
        name: (networks[name], inputs[name], activity)
        for name, activity in zip(networks, found, strict=True)
    }


def _imported(path: Path, coding: InputCoding) -> IntNetwork:
    wanted = InputCoding.SPIKES if coding is InputCoding.BIAS else coding
    return import_netx(read_netx(path), time_steps=6, coding=wanted).network


def _inputs(network: IntNetwork) -> IntArray:
    inputs = random_inputs(network, 3, batch=2)
    constant = network.input_coding is InputCoding.BIAS
    return np.broadcast_to(inputs[:1], inputs.shape) if constant else inputs


@pytest.mark.parametrize("name", [*NETS, "exported 1", "exported 2"])
def test_a_file_runs_in_netx_as_it_runs_here(runs: Runs, name: str) -> None:
    network, inputs, found = runs[name]
    assert differences(pipelined(network, inputs), found) == []
    assert found.spikes[network.populations[1].name].any() or name == "no neuron"


def test_pilotnet_repeats_its_record() -> None:
    """lava-dl's trained PilotNet LIF, imported: 0 of 9.5 million recorded values differ."""
    folder = pilotnet.folder()
    assert folder is not None
    network, inputs = pilotnet.load(folder)
    seen = list(chip_steps(network, inputs, pilotnet.INTERVAL, pilotnet.STEPS))
    compared = different = 0
    for name, quantity, record in pilotnet.records(folder, network):
        spikes, u, v = (np.stack([step[name][k] for step in seen]) for k in range(3))
        ours = {"spikes": spikes, "u": u, "v": pilotnet.as_recorded(spikes, v)}[quantity]
        compared += record.size
        different += int(np.count_nonzero(ours != record))
    assert compared > 9_500_000
    assert different == 0
