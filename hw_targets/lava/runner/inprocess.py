# pyright: reportMissingImports=false
"""Run a graph with Lava's own process models in this process, without Lava's runtime.

Each model gets its variables and ports as the runtime's builder would give them; a step calls the
models' ``run_spk``. A synapse first sends what it accumulated in the step before, so its buffer is
read before the neurons run and refilled after: recurrence needs nothing special.
"""

from typing import Any

import numpy as np
from graph import Graph
from lava.proc.conv.models import PyConvModelFixed
from lava.proc.conv.process import Conv
from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import PySendModelFixed, RingBuffer
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from model import from_lava
from tssd_processes.processes import (
    DelayLine,
    DelayLineModel,
    OurLif,
    OurLifModel,
    Relay,
    RelayModel,
    StateRecorderModel,
)

MODELS: Any = {
    RingBuffer: PySendModelFixed,
    LIFReset: PyLifResetModelBitAcc,
    OurLif: OurLifModel,
    Relay: RelayModel,
    DelayLine: DelayLineModel,
    Dense: PyDenseModelBitAcc,
    DelayDense: PyDelayDenseModelBitAcc,
    Conv: PyConvModelFixed,
}


class Port:
    """Stands for both kinds of port: what was put in is handed out."""

    def __init__(self) -> None:
        self.value: Any = None

    def recv(self) -> Any:
        return self.value

    def send(self, value: Any) -> None:
        self.value = value


def instantiate(process: Any) -> Any:
    """The fixed-point model of *process* with variables of its declared types, and plain ports."""
    cls = MODELS[type(process)]
    model = cls(process.proc_params)
    for var in process.vars:
        declared = getattr(cls, var.name)
        if issubclass(declared.cls, np.ndarray):
            array = np.empty(var.shape, declared.d_type)
            array[:] = var.init
            setattr(model, var.name, array)
        else:
            setattr(model, var.name, var.init)
    for port in (*process.in_ports, *process.out_ports):
        setattr(model, port.name, Port())
    return model


def run(graph: Graph) -> Any:
    """Every population's spikes and states: {label: {index: (T, N, *shape)}}."""
    machine = _Machine(graph)
    depth, model = graph.model.depths(), graph.model
    labels = StateRecorderModel.LABELS
    shape = (model.time_steps, graph.samples)
    kept: Any = {
        label: {
            k: np.zeros((*shape, *p.lava_shape), np.int32)
            for k, p in enumerate(model.populations)
            if label == "spikes" or p.has_state
        }
        for label in labels
    }
    for clock in range(graph.steps):
        machine.advance(clock)
        for k, d in enumerate(depth):
            sample, t = divmod(clock - d, graph.interval)
            if 0 <= sample < graph.samples and t < model.time_steps:
                for label in labels:
                    if k in kept[label]:
                        kept[label][k][t, sample] = machine.observed(k, label)
    return {
        label: {k: from_lava(x, len(model.populations[k].shape)) for k, x in group.items()}
        for label, group in kept.items()
    }


class _Machine:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.neurons = [instantiate(p) for p in graph.populations]
        self.synapses = [instantiate(link.synapse) for link in graph.links]
        self.delays = [link.delay and instantiate(link.delay) for link in graph.links]

    def advance(self, clock: int) -> None:
        arrived = self._arrived()
        for k, neuron in enumerate(self.neurons):
            neuron.time_step = clock + 1
            if hasattr(neuron, "a_in"):
                neuron.a_in.value = arrived[k]
            neuron.run_spk()
        for i, link in enumerate(self.graph.links):
            self._send(link.projection.source, self.delays[i], self.synapses[i])

    def observed(self, k: int, label: str) -> Any:
        neuron = self.neurons[k]
        return neuron.s_out.value if label == "spikes" else getattr(neuron, label)

    def _arrived(self) -> Any:
        """Sum over incoming synapses of what they are about to send, in the ports' int32."""
        shapes = [p.lava_shape for p in self.graph.model.populations]
        total = [np.zeros(shape, np.int32) for shape in shapes]
        for link, synapse in zip(self.graph.links, self.synapses):  # noqa: B905 (equal lengths)
            k = link.projection.target
            total[k] = total[k] + _pending(synapse).astype(np.int32).reshape(shapes[k])
        return total

    def _send(self, source: int, delay: Any, synapse: Any) -> None:
        spikes = np.asarray(self.neurons[source].s_out.value).astype(np.int32)
        if delay is not None:
            delay.s_in.value = spikes
            delay.run_spk()
            spikes = delay.s_out.value
        flat = not isinstance(synapse, PyConvModelFixed)
        synapse.s_in.value = spikes.ravel() if flat else spikes
        synapse.run_spk()


def _pending(synapse: Any) -> Any:
    if isinstance(synapse, PyConvModelFixed):
        return synapse.a_buf
    if isinstance(synapse, PyDelayDenseModelBitAcc):
        return synapse.a_buff[:, 0]
    return synapse.a_buff
