"""The NIR contracts: read(write(x)) is x bit for bit, and the plain part says the same network."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np

from tssd.calibration.int_network import IntNetwork, Population, PopulationKind
from tssd.calibration.integer import DECAY_ONE
from tssd.calibration.serial import to_arrays
from tssd.contracts import Contract, check
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.nodes import in_weight_units, plain_weight
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.write import write_nir
from tssd.train.handover.fields import array_names, said_late


def check_round_trip(network: IntNetwork, mode: NirMode = NirMode.COMPATIBLE) -> list[Contract]:
    """Write, read and compare, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.nir"
        write_nir(network, path, mode)
        return check_file(network, path)


def check_file(network: IntNetwork, path: Path) -> list[Contract]:
    """*path* holds exactly *network*, in the private group and in the plain part."""
    where = first_difference(network, read_nir(path))
    found = "differs" if where else "identical"
    rows = [check("IntNetwork -> NIR -> IntNetwork", not where, found, "identical", where or "")]
    return rows + check_plain_nir(network, nir.read(path, type_check=False))


def first_difference(a: IntNetwork, b: IntNetwork) -> str | None:
    """The first array or header field in which two networks differ; None if they are identical."""
    (head_a, arrays_a), (head_b, arrays_b) = to_arrays(a), to_arrays(b)
    if head_a != head_b:
        return "header"
    for key, array in arrays_a.items():
        other = arrays_b[key]
        if array.shape != other.shape or not np.array_equal(array, other):
            return key
    return None


def check_plain_nir(network: IntNetwork, graph: nir.NIRGraph) -> list[Contract]:
    """Weights, thresholds, decays and biases recovered from the nodes equal the integers."""
    dt = float(graph.metadata["dt"])
    checks: dict[str, Callable[[Any], int]] = {
        "weights": lambda node: _wrong_weights(network, node),
        "thresholds": lambda node: _wrong_thresholds(network, node),
        "decays": lambda node: _wrong_decays(network, node, dt),
    }
    rows = [_count(f"plain NIR: {name}", wrong, graph) for name, wrong in checks.items()]
    biased = {p.name: _wrong_biases(network, p, graph) for p in _with_bias(network)}
    first = next((name for name, wrong in biased.items() if wrong), "")
    return [*rows, _differing("plain NIR: biases", sum(biased.values()), first)]


def _count(name: str, wrong: Callable[[Any], int], graph: nir.NIRGraph) -> Contract:
    """One row: values that differ over all nodes, and the first node that has one."""
    counts = {node: wrong(graph.nodes[node]) for node in graph.nodes}
    first = next((node for node, count in counts.items() if count), "")
    return _differing(name, sum(counts.values()), first)


def _differing(name: str, count: int, first: str) -> Contract:
    return check(name, not first, f"{count} differ", "0 differ", first)


def _wrong_weights(network: IntNetwork, node: Any) -> int:
    if "projection" not in node.metadata:
        return 0
    index = int(node.metadata["projection"])
    if isinstance(node, nir.SumPool2d):
        return int((network.projections[index].weight != 1).sum())
    return int((node.weight != plain_weight(network, index)).sum())


def _wrong_thresholds(network: IntNetwork, node: Any) -> int:
    threshold = getattr(node, "v_threshold", getattr(node, "threshold", None))
    if threshold is None:
        return 0
    population = network.population(str(node.metadata["population"]))
    wrong = int((threshold != np.broadcast_to(population.vth, population.shape)).sum())
    said = said_late(population)
    for name in (name for name, always in array_names(Population).items() if not always):
        if name in said:
            amount = np.asarray(node.metadata.get(name, np.nan))
            wrong += int((amount != np.broadcast_to(said[name], population.shape)).sum())
        else:
            wrong += name in node.metadata
    return wrong


def _wrong_decays(network: IntNetwork, node: Any, dt: float) -> int:
    """Recovered from tau by Euler's rule, with the gain r dt / tau = 1."""
    if "population" not in node.metadata or isinstance(node, nir.Threshold):
        return 0
    population = network.population(str(node.metadata["population"]))
    if isinstance(node, nir.CubaLIF | nir.CubaLI):
        memory = _differs(node.tau_syn, node.w_in, population.du, dt)
        return memory + _differs(node.tau_mem, node.r, population.dv, dt)
    if isinstance(node, nir.LIF | nir.LI):
        return _differs(node.tau, node.r, population.dv, dt)
    if isinstance(node, nir.IF | nir.I):
        return int((abs(node.r * dt - 1) > 1e-12).sum()) + int(population.dv.any())
    return 0


def _differs(tau: Any, r: Any, decay: Any, dt: float) -> int:
    recovered = DECAY_ONE * dt / tau
    unit_gain = abs(r * dt / tau - 1) < 1e-12
    return int((~unit_gain | (abs(recovered - decay) > 1e-6)).sum())


def _with_bias(network: IntNetwork) -> list[Population]:
    """Populations whose bias the network uses: not relays, and not an input fed by bias."""
    kinds = (PopulationKind.LIF, PopulationKind.READOUT)
    return [p for p in network.populations[1:] if p.kind in kinds]


def _wrong_biases(network: IntNetwork, population: Population, graph: nir.NIRGraph) -> int:
    """All constant currents that reach the membrane, summed: Affine, Conv2d, LI with v_leak."""
    total = np.zeros(population.shape)
    for node in graph.nodes.values():
        if node.metadata.get("target") == population.name and hasattr(node, "bias"):
            total = total + node.bias.reshape(-1, *(1,) * (total.ndim - 1))
        if node.metadata.get("bias_of") == population.name:
            total = total + node.v_leak
    return int((total != in_weight_units(population)).sum())
