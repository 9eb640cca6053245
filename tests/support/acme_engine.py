"""Someone else's package: engines announced to tssd, good ones and bad ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import Activity, IntNetwork, Runner
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import pipelined
from tssd.hw_targets.engine import Engine, Presence, Setting

ACME = Engine("acme", "Acme's chip", "acme_engine:opened", needs=("numpy",), states=("v",))
LATE = Engine("acme-late", "spikes a step late", "acme_engine:opened_late")
ODD = Engine("acme-odd", "returns its inputs", "acme_engine:opened_odd")
ABSENT = replace(ACME, name="acme-board", needs=("acme_driver",), install="pip install acme-driver")
BUSY = replace(ACME, name="acme-busy", presence="acme_engine:presence")
ALONG = replace(ACME, name="acme-too", joins="acme", reads="network.nir")
PLACES = {
    "acme": "ACME",
    "acme-late": "LATE",
    "acme-odd": "ODD",
    "acme-board": "ABSENT",
    "acme-busy": "BUSY",
    "acme-too": "ALONG",
}


def announce(folder: Path, places: Mapping[str, str]) -> None:
    """Leave in *folder* what pip would: the entry points of this package, name -> attribute."""
    info = folder / "acme_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-engine\nVersion: 1.0\n")
    lines = [f"{name} = acme_engine:{attribute}" for name, attribute in places.items()]
    (info / "entry_points.txt").write_text("\n".join(["[tssd.engines]", *lines, ""]))


def opened(setting: Setting) -> Runner:
    """The network in the chip's order, all populations each step."""
    return pipelined


def opened_late(setting: Setting) -> Runner:
    def run(network: IntNetwork, inputs: IntArray) -> Activity:
        found = pipelined(network, inputs)
        moved = {name: np.roll(x, 1, axis=0) for name, x in found.spikes.items()}
        return replace(found, spikes=moved | {network.source.name: inputs})

    return run


def opened_odd(setting: Setting) -> Runner:
    return lambda network, inputs: inputs  # type: ignore[return-value]


def presence() -> Presence:
    return Presence("missing", "another job has the chip", "wait")
