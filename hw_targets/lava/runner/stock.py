# pyright: reportMissingImports=false
"""network.net in the stock netx loader of lava-dl, under the CPU's fixed-point models."""

import math
import tempfile
from typing import Any

import numpy as np
from graph import Refused, interval_of, present
from lava.lib.dl.netx.hdf5 import Network
from lava.proc.io.source import RingBuffer
from model import Model, to_lava
from runtime import collect, execute, record


def run(model: Model, inputs: Any, net: str, folder: str, interval: int, states: bool) -> Any:
    """Spikes (and states) of every population; blocks and populations are in the same order."""
    if model.input_coding == "bias":
        return _one_by_one(model, inputs, net, interval, states)
    interval = interval_of(model, interval)
    steps = interval * inputs.shape[1] + len(model.populations)
    bits = 0 if model.input_coding == "spikes" else math.ceil(math.log2(inputs.max() + 2))
    shape = model.populations[0].lava_shape
    network = Network(
        net_config=net,
        input_message_bits=bits,
        input_shape=shape,
        reset_interval=interval,
        reset_offset=1,
    )
    source = RingBuffer(data=np.moveaxis(present(model, inputs, interval, steps), 0, -1))
    source.s_out.connect(network.inp)
    processes = [source, *(layer.neuron for layer in network.layers)]
    return _record(model, processes, interval, inputs, folder, steps, states)


def _one_by_one(model: Model, inputs: Any, net: str, interval: int, states: bool) -> Any:
    """An input given as bias is fixed for a run: a fresh network per sample."""
    if np.any(inputs != inputs[:1]):
        raise Refused("netx takes one bias per sample; this input changes from step to step")
    interval = interval_of(model, interval)
    steps = interval + len(model.populations)
    parts = []
    for n in range(inputs.shape[1]):
        one = inputs[:, n : n + 1]
        network = Network(net_config=net, reset_interval=interval, reset_offset=0)
        network.in_layer.neuron.bias_mant.init = to_lava(one[0, 0], one[0, 0].ndim)
        processes = [layer.neuron for layer in network.layers]
        with tempfile.TemporaryDirectory() as folder:
            parts.append(_record(model, processes, interval, one, folder, steps, states))
    return {
        label: {k: np.concatenate([p[label][k] for p in parts], axis=1) for k in parts[0][label]}
        for label in parts[0]
    }


def _record(
    model: Model, processes: Any, interval: int, inputs: Any, folder: str, steps: int, states: bool
) -> Any:
    populations = model.populations
    if len(processes) != len(populations):
        raise Refused(f"netx built {len(processes)} blocks for {len(populations)} populations")
    last, size = len(populations) - 1, (interval, len(inputs), inputs.shape[1])
    recorders = [
        record(process, p, (k, *size), folder, k, states or k == last)
        for k, (process, p) in enumerate(zip(processes, populations))  # noqa: B905 (checked)
    ]
    execute(recorders[-1], steps)
    return collect(folder, populations)
