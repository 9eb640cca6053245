"""A small float64 interpreter of plain NIR graphs: Euler at dt, nothing of tssd imported.

Nodes are evaluated in topological order within a step; an edge that closes a cycle carries the
value of the step before. Used to show that the NIR part of our files makes sense alone.
"""

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import numpy.typing as npt
import torch

FloatArray = npt.NDArray[np.float64]


def run(graph: nir.NIRGraph, inputs: FloatArray, dt: float) -> dict[str, FloatArray]:
    """Outputs of every node for ``inputs`` (T, *shape): name -> (T, *node shape)."""
    order, late = _order(graph)
    state: dict[str, Any] = {}
    before: dict[str, FloatArray] = {}
    record: dict[str, list[FloatArray]] = {name: [] for name in order}
    for x in inputs:
        now: dict[str, FloatArray] = {}
        for name in order:
            arriving = [
                before.get(a) if (a, name) in late else now[a] for a, b in graph.edges if b == name
            ]
            known = [value for value in arriving if value is not None]
            entering = sum(known, np.zeros(())) if known else x
            now[name] = _step(graph.nodes[name], np.asarray(entering), state, name, dt)
            record[name].append(now[name])
        before = now
    return {name: np.stack(values) for name, values in record.items()}


def _order(graph: nir.NIRGraph) -> tuple[list[str], set[tuple[str, str]]]:
    """Depth-first order from the inputs, and the edges that go backwards in it."""
    done: list[str] = []
    open_names: set[str] = set()
    late: set[tuple[str, str]] = set()

    def visit(name: str) -> None:
        open_names.add(name)
        for a, b in sorted(graph.edges):
            if a == name and b in open_names:
                late.add((a, b))
            elif a == name and b not in done:
                visit(b)
        open_names.discard(name)
        done.append(name)

    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            visit(name)
    return done[::-1], late


def _step(node: Any, x: FloatArray, state: dict[str, Any], name: str, dt: float) -> FloatArray:
    if isinstance(node, nir.Input | nir.Output):
        return x
    if isinstance(node, nir.Delay):
        queue = state.setdefault(name, [np.zeros_like(x)] * round(float(node.delay.flat[0]) / dt))
        queue.append(x)
        out: FloatArray = queue.pop(0)
        return out
    if isinstance(node, nir.Flatten):
        return x.reshape(-1)
    if isinstance(node, nir.Scale):
        scaled: FloatArray = x * node.scale
        return scaled
    if isinstance(node, nir.Threshold):
        return np.where(x > node.threshold, 1.0, 0.0)
    if isinstance(node, nir.Linear | nir.Affine):
        total: FloatArray = node.weight.astype(np.float64) @ x + getattr(node, "bias", 0.0)
        return total
    if isinstance(node, nir.Conv2d | nir.SumPool2d):
        return _windows(node, x)
    return _neurons(node, x, state, name, dt)


def _windows(node: Any, x: FloatArray) -> FloatArray:
    image = torch.from_numpy(x)[None]
    if isinstance(node, nir.SumPool2d):
        weight = torch.ones((len(x), 1, *(int(k) for k in node.kernel_size)), dtype=torch.float64)
        options: Mapping[str, Any] = {"groups": len(x)}
    else:
        weight = torch.from_numpy(node.weight.astype(np.float64))
        options = {"groups": int(node.groups), "dilation": tuple(int(d) for d in node.dilation)}
        options = {**options, "bias": torch.from_numpy(node.bias.astype(np.float64))}
    stride, padding = (tuple(int(v) for v in pair) for pair in (node.stride, node.padding))
    out = torch.nn.functional.conv2d(image, weight, stride=stride, padding=padding, **options)
    array: FloatArray = out[0].numpy()
    return array


def _neurons(node: Any, x: FloatArray, state: dict[str, Any], name: str, dt: float) -> FloatArray:
    old_u, old_v = state.get(name, (np.zeros_like(x), np.zeros_like(x)))
    u = x
    if isinstance(node, nir.CubaLI | nir.CubaLIF):
        u = (1 - dt / node.tau_syn) * old_u + dt / node.tau_syn * node.w_in * x
        v = (1 - dt / node.tau_mem) * old_v + dt / node.tau_mem * (node.v_leak + node.r * u)
    elif isinstance(node, nir.I | nir.IF):
        v = old_v + dt * node.r * x
    elif isinstance(node, nir.LI | nir.LIF):
        v = (1 - dt / node.tau) * old_v + dt / node.tau * (node.v_leak + node.r * x)
    else:
        raise NotImplementedError(type(node).__name__)
    if not isinstance(node, nir.IF | nir.LIF | nir.CubaLIF):
        state[name] = (u, v)
        return np.asarray(v, np.float64)
    fired: npt.NDArray[np.bool_] = v > node.v_threshold
    state[name] = (u, np.where(fired, node.v_reset, v))
    return fired.astype(np.float64)
