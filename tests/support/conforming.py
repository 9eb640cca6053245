"""Readers to be judged by the conformance suite: ours, one that knows nothing of it, wrong ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import nir_interpreter
import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import RESETTING
from tssd.export.nir.graphs.profiles import resolve
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.train.handover.float_network import Reset

FIRING = (*RESETTING, "Threshold")


def ours(path: str, inputs: FloatArray) -> dict[str, FloatArray]:
    """What every firing node and the output send."""
    graph = read_graph(Path(path))
    found = run(graph, inputs, record=graph.of_type(*FIRING), dtype="float32")
    return {**found.nodes, graph.output: found.output}


def plain(path: str, inputs: FloatArray) -> FloatArray:
    """The output alone, by the tests' own interpreter, sample by sample."""
    graph: Any = nir.read(path, type_check=False)
    dt = float(graph.metadata["dt"])
    samples = [nir_interpreter.run(graph, x, dt)["output"] for x in np.swapaxes(inputs, 0, 1)]
    return np.stack(samples, axis=1)


def subtracting(path: str, inputs: FloatArray) -> FloatArray:
    """Takes every reset for a subtraction."""
    graph = read_graph(Path(path))
    return run(graph, inputs, replace(resolve(graph), reset=Reset.SOFT)).output


def refusing(path: str, inputs: FloatArray) -> FloatArray:
    raise KeyError("Threshold")


def endless(path: str, inputs: FloatArray) -> FloatArray:
    while True:
        pass


NO_READER = "a text"
