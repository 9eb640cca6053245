"""A snnTorch module as it becomes a float network and plain NIR: read from what it does."""

import numpy as np
from torch import nn

from tssd.export.nir.from_float import DT_SECONDS, from_float
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.integers.graph import NirMode
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import record


def recorded(module: nn.Module, shape: tuple[int, ...], steps: int = 3) -> FloatNetwork:
    """The network of *module*, which does one step per call."""
    x = np.random.default_rng(0).random((2, *shape), np.float32)
    return to_float(record(module, x, time_steps=steps, frames=False))


def graph_of(
    module: nn.Module,
    shape: tuple[int, ...],
    dt_seconds: float = DT_SECONDS,
    mode: NirMode = NirMode.EXACT,
) -> Graph:
    """The graph of one of its steps."""
    return from_float(recorded(module, shape), dt_seconds, mode)
