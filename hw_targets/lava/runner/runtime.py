# pyright: reportMissingImports=false
"""Run a graph, or a netx network, in Lava's own runtime: one operating-system process per node."""

from pathlib import Path
from typing import Any

import numpy as np
from graph import Graph
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from model import from_lava
from tssd_processes.processes import STATES, SpikeRecorder, StateRecorder


def run(graph: Graph, folder: str, states: bool) -> Any:
    """Every population's spikes (and states): {label: {index: (T, N, *shape)}}."""
    _connect(graph)
    depth = graph.model.depths()
    last = len(depth) - 1  # its membranes are the answer
    recorders = [
        record(process, p, window(graph, depth[k]), folder, k, states or k == last)
        for k, (process, p) in enumerate(zip(graph.populations, graph.model.populations))  # noqa: B905
    ]
    execute(recorders[-1], graph.steps)
    return collect(folder, graph.model.populations)


def window(graph: Graph, depth: int) -> Any:
    return depth, graph.interval, graph.model.time_steps, graph.samples


def execute(process: Any, steps: int) -> None:
    """Run *process* and all that is connected to it in the CPU's fixed-point models."""
    try:
        process.run(
            condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt")
        )
    finally:
        process.stop()


def record(process: Any, population: Any, window: Any, folder: str, k: int, states: bool) -> Any:
    """Connect a recorder to a neuron process; it writes <folder>/<k>.npz at its last step."""
    parameters = {
        "shape": population.lava_shape,
        "window": window,
        "path": str(Path(folder) / f"{k}.npz"),
    }
    if not (population.has_state and states):
        recorder = SpikeRecorder(**parameters)
    else:
        recorder = StateRecorder(**parameters)
        for name in STATES:
            getattr(recorder, name).connect_var(getattr(process, name))
    process.s_out.connect(recorder.s_in)
    return recorder


def collect(folder: str, populations: Any) -> Any:
    """What the recorders wrote, in tssd's layout."""
    kept: Any = {}
    for k, population in enumerate(populations):
        with np.load(str(Path(folder) / f"{k}.npz")) as data:
            for label in data.files:
                kept.setdefault(label, {})[k] = from_lava(data[label], len(population.shape))
    return kept


def _connect(graph: Graph) -> None:
    for link in graph.links:
        out = graph.populations[link.projection.source].s_out
        if link.delay is not None:
            out.connect(link.delay.s_in)
            out = link.delay.s_out
        _join(out, link.synapse.s_in)
        _join(link.synapse.a_out, graph.populations[link.projection.target].a_in)


def _join(out: Any, into: Any) -> None:
    if out.shape == into.shape:
        out.connect(into)
    else:
        out.reshape(into.shape).connect(into)
