"""Which numbers of a graph a scale can bring to integers."""

import numpy as np

from tssd.export.nirio.graph import Graph
from tssd.train.float_network import FloatNetwork

LARGEST = 1e15  # of weights, biases and thresholds once the gain is taken out


def check_range(graph: Graph, network: FloatNetwork) -> None:
    """Refuse what is not finite, and magnitudes beyond all use."""
    groups = {p.name: (p.threshold, p.bias) for p in network.populations}
    for j in network.projections:
        name = f"way {j.source} -> {j.target}"
        groups[name] = (j.weight, np.zeros(1) if j.bias is None else j.bias)
    for name, arrays in groups.items():
        largest = max(float(np.abs(x).max(initial=0)) for x in arrays)
        if not (largest == 0 or 1 / LARGEST <= largest <= LARGEST):
            raise graph.fault(
                name, f"numbers up to {largest:g}", f"{1 / LARGEST:g} .. {LARGEST:g}, or zero"
            )
