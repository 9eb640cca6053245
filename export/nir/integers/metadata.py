"""What NIR has no field for, as metadata (schema ``tssd-nir/1``, see docs/formats.md).

Values are numbers, strings or arrays of numbers: NIR cannot write None and returns lists of
strings as bytes. A reader may ignore all of it.
"""

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np

from tssd import __version__
from tssd.calibration.int_network import IntNetwork, MembraneRead, Population, Reset
from tssd.calibration.integer import STATE_BITS, UNIT, signed_bits
from tssd.train.handover.fields import said_late

SCHEMA = "tssd-nir/1"
READOUT_WORDS = {
    MembraneRead.LAST: "argmax of the membrane after the last step",
    MembraneRead.LARGEST: "argmax of the largest membrane of all steps",
}
RESET_WORDS = {Reset.HARD: "zero", Reset.SOFT: "subtract", Reset.NONE: "none"}


def graph_metadata(
    network: IntNetwork, mode: str, dt_seconds: float, nodes: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole network: time, discretisation, reset, readout."""
    resets = {RESET_WORDS[p.reset] for p in network.populations if not p.reset.keeps}
    own = any(said_late(p) for p in network.populations)
    return {
        "schema": SCHEMA,
        "producer": f"tssd {__version__}",
        "mode": mode,
        "dt": dt_seconds,
        "time_steps": network.time_steps,
        "discretisation": "euler",
        "gain": "unit",
        "reset": resets.pop() if len(resets) == 1 and not own else "per node" if resets else "none",
        "reset_delay": False,
        "reset_order": "after leak and input, in the step of the spike",
        "compare": "gt",
        "input_coding": str(network.input_coding),
        "input_max": network.input_max,
        "readout_rule": READOUT_WORDS[network.readout.membrane_read],
        "layout": "C, H, W; no batch or time axis",
        "nir_type_check": all(_infers_right(node) for node in nodes.values()),
    }


def _infers_right(node: Any) -> bool:
    """nir 1.0.8 takes the kernel's height for both sides."""
    return not isinstance(node, nir.Conv2d) or node.weight.shape[2] == node.weight.shape[3]


def neuron_metadata(population: Population) -> dict[str, Any]:
    """A population: the integer rule behind the float parameters."""
    about: dict[str, Any] = {"population": population.name, "kind": str(population.kind)}
    if not population.has_state:
        return about
    for name, array in said_late(population).items():
        about[name] = np.broadcast_to(array, population.shape).copy()
    if population.channel_scales:
        about["channel_scales"] = np.array(population.channel_scales)
    return about | {
        "reset": RESET_WORDS[population.reset],
        "scale": population.scale,
        "states_per_weight_unit": UNIT,
        "decay_bits": 12,
        "rounding": "toward zero",
        "state_bits": STATE_BITS,
        "membrane_overflow": "saturate",
        "current_overflow": "wrap",
    }


def synapse_metadata(
    network: IntNetwork, index: int, late: int, depth: Mapping[str, int]
) -> dict[str, Any]:
    """A projection: its place in the integer model, its exponent, its delays."""
    projection = network.projections[index]
    return {
        "projection": index,
        "source": projection.source,
        "target": projection.target,
        "kind": str(projection.kind),
        "groups": projection.groups,
        "kernel": np.array(projection.weight.shape[2:] or (1, 1)),
        "padding": np.array(projection.padding),
        "weight_bits": _bits(projection.weight),
        "weight_exp": projection.weight_exp,
        "delay_steps": projection.delay,
        "explicit_delay_steps": late,
        "source_depth": depth[projection.source],
        "target_depth": depth[projection.target],
    }


def _bits(weight: Any) -> int:
    """Bits of a two's-complement number that holds every weight."""
    low, high = (int(weight.min()), int(weight.max())) if weight.size else (0, 0)
    return signed_bits(low, high)
