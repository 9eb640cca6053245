"""A target is three methods: does it fit, where does it sit, what happens when it runs.

``TARGETS`` names the targets of this package; installed packages add theirs through the entry point
group ``tssd.targets`` (name = "module:Class"). Modules are imported when a target is asked for.
"""

import importlib
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol, runtime_checkable

import numpy as np

from tssd.calibration.int_network import Activity, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.config import unknown_name
from tssd.errors import TargetError
from tssd.hw_targets.costs.counters import Counters
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.mapping.rules import Finding

# name -> "module:attribute", where calling the attribute gives the target
TARGETS: dict[str, str] = {
    "null": "tssd.hw_targets.target:NullTarget",
    "definition": "tssd.hw_targets.engines:definition",
    "gpu": "tssd.hw_targets.engines:gpu",
    "onnx": "tssd.hw_targets.engines:onnx",
    "lava": "tssd.hw_targets.engines:lava",
}
TARGET_GROUP = "tssd.targets"


@dataclass(frozen=True, eq=False)
class Placed:
    """A network with its place on a target; targets without cores have no placement."""

    network: IntNetwork
    placement: Placement | None


@dataclass(frozen=True, eq=False)
class Run:
    """What running did: spikes, and where the target knows them, events and time."""

    activity: Activity
    counters: Counters | None = None
    us_per_step: float | None = None


@runtime_checkable
class Target(Protocol):
    """Something that can take an integer network."""

    def check(self, network: IntNetwork) -> list[Finding]:
        """Everything that keeps *network* from running here; empty when it fits."""
        ...

    def place(self, network: IntNetwork, tally: Tally | None = None) -> Placed:
        """Give every neuron its place, by measured traffic where *tally* is given."""
        ...

    def run(self, placed: Placed, events: IntArray) -> Run:
        """Run inputs (T, B, *input shape)."""
        ...


class NullTarget:
    """Takes everything, places nothing, and every neuron stays silent: the chain without a chip."""

    def check(self, network: IntNetwork) -> list[Finding]:
        return []

    def place(self, network: IntNetwork, tally: Tally | None = None) -> Placed:
        return Placed(network, None)

    def run(self, placed: Placed, events: IntArray) -> Run:
        steps, samples = events.shape[:2]
        silence = {
            p.name: np.zeros((steps, samples, *p.shape), np.int64)
            for p in placed.network.populations
        }
        readout = np.zeros((samples, *placed.network.readout.shape), np.int64)
        return Run(Activity(silence, readout, {}, {}))


def target_names() -> dict[str, str]:
    """Targets of this package and of installed ones, name -> "module:Class"."""
    found = {entry.name: entry.value for entry in metadata.entry_points(group=TARGET_GROUP)}
    return found | TARGETS


def load_target(name: str) -> Target:
    """The target *name*; TargetError where its module is missing or it is no target."""
    names = target_names()
    if name not in names:
        raise unknown_name("target", f"target {name!r}", name, names)
    module, _, attribute = names[name].partition(":")
    try:
        target = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError) as error:
        raise TargetError(
            f"target {name}",
            found=f"{names[name]} cannot be loaded ({error})",
            hint="install the package that announces it, or its missing extra",
        ) from None
    if not isinstance(target, Target):
        raise TargetError(
            f"target {name}", found=f"{names[name]}", allowed="check, place and run methods"
        )
    return target
