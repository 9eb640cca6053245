"""PilotNet LIF: the trained network and the recorded ground truth that ship in lava-dl's wheel.

Conventions of the records (W, H, C, 24 chip steps): reset interval 17, input as bias, and a v of
128 where the neuron fired in that step (a refractory counter kept in the same register).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.export.netx.read import read_netx
from tssd.export.netx.to_integers import import_netx
from tssd.hw_targets.lava import environment

FOLDER = "tests/lava/lib/dl/netx/gts/pilotnet_lif"
INTERVAL = 17
STEPS = 24
REFRACTORY = 128
RECORDED = ("input", *(f"conv-{i}" for i in range(5)), *(f"fc-{i}" for i in range(3)))


def folder() -> Path | None:
    """Where the full Lava environment keeps the records, or None."""
    found = environment.existing("full")
    places = found.python.parents[1].glob(f"lib/*/site-packages/{FOLDER}") if found else iter(())
    return next(places, None)


def load(where: Path) -> tuple[IntNetwork, IntArray]:
    """The imported network with T = 17, and the image twice: (17, 2, 3, 66, 200)."""
    network = import_netx(read_netx(where / "network.net"), time_steps=INTERVAL).network
    image = np.load(where / "image.npy").astype(np.int64).transpose(2, 1, 0)
    return network, np.broadcast_to(image, (INTERVAL, 2, *image.shape))


def records(where: Path, network: IntNetwork) -> Iterator[tuple[str, str, IntArray]]:
    """(population, quantity, (24, C, H, W) or (24, N)) of everything recorded at interval 17."""
    for population, stem in zip(network.populations, RECORDED, strict=False):
        for quantity, suffix in (("spikes", ""), ("u", "-u"), ("v", "-v")):
            path = where / f"{stem}{suffix}.npy"
            if path.exists():
                yield population.name, quantity, _ours(np.load(path), population.shape)


def as_recorded(spikes: IntArray, v: IntArray) -> IntArray:
    """v as the record has it: the refractory counter where the neuron fired."""
    return np.where(spikes != 0, REFRACTORY, v)


def _ours(record: IntArray, shape: tuple[int, ...]) -> IntArray:
    moved = np.moveaxis(record.astype(np.int64), -1, 0)  # (24, W, H, C) or (24, N)
    return moved.transpose(0, 3, 2, 1) if len(shape) == 3 else moved
