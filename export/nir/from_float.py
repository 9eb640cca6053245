"""FloatNetwork -> Graph: plain NIR in float64, at the unit input gain (tau = dt / (1 - decay),
r = tau / dt).

    hard reset              LIF (no leak: IF)
    soft reset              COMPATIBLE: LIF or IF, its reset and amount told by metadata; an amount
                            of theta / decay is snnTorch's default, theta a step late
                            EXACT: LI -> Threshold -> Scale(-decay reset_by) -> LI
    no reset                LI -> Threshold
    synaptic memory         an LI in front

Firing is inclusive in a FloatNetwork and strict in NIR: thresholds go down by one float64 step. A
readout that forgets nothing is left out: what it adds up leaves by the Output, step by step.
"""

from dataclasses import replace
from typing import Any, assert_never

import numpy as np

from tssd.arrays import FloatArray
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import Edge, Graph, Node
from tssd.export.nir.graphs.profiles import OWN_AMOUNT
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.nodes import unrolled
from tssd.train.handover.compose import fold_norm
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    check_known,
)

DT_SECONDS = 1e-4
KNOWN = ("reset_by",)
SAME = 1e-12  # relative difference of two float64 ways to one amount
FOREVER = 2.0**60  # tau in steps of a neuron that does not leak: 1 - 1 / FOREVER == 1


def from_float(
    network: FloatNetwork, dt_seconds: float = DT_SECONDS, mode: NirMode = NirMode.EXACT
) -> Graph:
    """The graph of one step of *network*."""
    last = network.populations[-1]
    if last.membrane_read.of_every_step:
        raise NetworkError(
            f"population {last.name}",
            found=f"the {last.membrane_read} membrane as the answer",
            allowed="that of the last step: a NIR graph says no rule for its output",
            hint="--readout membrane-last for the graph, and take the largest of its outputs; or "
            "a bundle (tssd export), which says the rule",
        )
    return _Writer(with_carried_biases(network), dt_seconds, mode).graph()


def with_carried_biases(network: FloatNetwork) -> FloatNetwork:
    """A neuron's own bias joins a projection that can hold it, so that an Affine or Conv2d node
    says it: not behind synaptic memory, nor where it differs within a channel of an image."""
    projections = [fold_norm(j) for j in network.projections]
    populations = []
    for p in network.populations:
        bias = _full(p.bias, p).reshape(p.shape[0], -1)
        at = _carrier(network, p) if bias.any() else None
        if at is not None:
            j = projections[at]
            dense = not j.kind.spatial
            if dense or not (bias != bias[:, :1]).any():
                added = bias.reshape(-1) if dense else bias[:, 0]
                projections[at] = replace(j, bias=added if j.bias is None else j.bias + added)
                p = replace(p, bias=0 * p.bias)
        populations.append(p)
    return FloatNetwork(tuple(populations), tuple(projections), network.time_steps)


def _carrier(network: FloatNetwork, p: FloatPopulation) -> int | None:
    """The projection that acts in every step of *p* and passes no memory."""
    if p.synapse_decay is not None:
        return None
    return next(
        (
            i
            for i, j in enumerate(network.projections)
            if j.target == p.name and not j.is_loop and not j.delay
        ),
        None,
    )


class _Writer:
    """``exit`` and ``entry`` are a population's last and first node."""

    def __init__(self, network: FloatNetwork, dt_seconds: float, mode: NirMode) -> None:
        self.network, self.dt, self.mode = network, dt_seconds, mode
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.exit: dict[str, str] = {}
        self.entry: dict[str, str] = {}

    def graph(self) -> Graph:
        for population in self.network.populations:
            self._population(population)
        for projection in self.network.projections:
            self._projection(projection)
        last = self.network.populations[-1]
        self._add("output", "Output", self.exit[last.name], shape=last.shape)
        metadata = {
            "schema": "tssd-nir/1",
            "producer": "tssd from a float network",
            "dt": self.dt,
            "discretisation": "euler",
            "gain": "unit",
            "mode": str(self.mode),
            "reset": "per node" if self.mode is NirMode.COMPATIBLE else "zero",
        }
        return Graph(self.nodes, tuple(self.edges), metadata, "float network")

    def _add(self, wanted: str, kind: str, *sources: str, **params: Any) -> str:
        return self._put(wanted, Node(kind, params), *sources)

    def _put(self, wanted: str, node: Node, *sources: str) -> str:
        name, number = wanted, 1
        while name in self.nodes:
            number += 1
            name = f"{wanted}_{number}"
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    # ------------------------------------------------------------ populations

    def _population(self, p: FloatPopulation) -> None:
        name = p.name.replace("/", "_").replace(".", "_")
        match p.kind:
            case PopulationKind.INPUT:
                first = last = self._add(name, "Input", shape=p.shape)
            case PopulationKind.RELAY:
                first = last = self._add(name, "Scale", scale=np.ones(p.shape))
            case PopulationKind.LIF:
                first, last = self._neurons(name, p)
            case PopulationKind.READOUT:
                first, last = self._readout(name, p)
            case _:
                assert_never(p.kind)
        self.entry[p.name], self.exit[p.name] = first, last

    def _neurons(self, name: str, p: FloatPopulation) -> tuple[str, str]:
        check_known(p, KNOWN, "a NIR graph")
        before = self._before(name, p)
        theta = np.nextafter(_full(p.threshold, p), -np.inf)
        spelled = p.reset.keeps or (p.reset.subtracts and self.mode is NirMode.EXACT)
        if not spelled:
            about: dict[str, Any] = {"reset": "zero" if p.reset.zeroes else "subtract"}
            about["reset_delay"] = _subtracts_late(p, theta)
            if p.reset_by is not None and not about["reset_delay"]:
                about[OWN_AMOUNT] = _full(p.reset_by, p)
            rule = {"v_threshold": theta, "v_reset": np.zeros(p.shape)}
            kind, leak = self._leak(p.decay, p)
            fires = {"I": "IF", "LI": "LIF"}[kind]
            last = self._put(name, Node(fires, leak | rule, about), *before[-1:])
            return [*before, last][0], last
        kind, leak = self._leak(p.decay, p)
        membrane = self._add(f"{name}_membrane", kind, *before[-1:], **leak)
        last = self._add(name, "Threshold", membrane, threshold=theta)
        if p.reset.subtracts:
            amount = p.threshold if p.reset_by is None else p.reset_by
            late = _subtracts_late(p, theta)
            scale = -theta if late else -_full(p.decay, p) * _full(amount, p)
            back = self._add(f"{name}_reset", "Scale", last, scale=scale)
            self.edges.append((back, membrane))
        return [*before, membrane][0], last

    def _readout(self, name: str, p: FloatPopulation) -> tuple[str, str]:
        before = self._before(name, p)
        if np.all(p.decay == 1):
            last = before[-1] if before else self._add(name, "Scale", scale=np.ones(p.shape))
        else:
            kind, leak = self._leak(p.decay, p)
            last = self._add(name, kind, *before[-1:], **leak)
        return [*before, last][0], last

    def _before(self, name: str, p: FloatPopulation) -> list[str]:
        """The current's own memory, and a bias that acts on the membrane."""
        nodes: list[str] = []
        if p.synapse_decay is not None:
            kind, leak = self._leak(p.synapse_decay, p)
            nodes.append(self._add(f"{name}_synapse", kind, **leak))
        if np.any(p.bias):
            one = np.ones(p.shape)  # tau = dt forgets its state, and v_leak adds up
            params = {"tau": one * self.dt, "r": one, "v_leak": _full(p.bias, p)}
            nodes.append(self._add(f"{name}_bias", "LI", *nodes[-1:], **params))
        return nodes

    def _leak(self, decay: FloatArray, p: FloatPopulation) -> tuple[str, dict[str, FloatArray]]:
        beta = _full(decay, p)
        if np.all(beta == 1):
            return "I", {"r": np.full(p.shape, 1 / self.dt)}
        steps = np.where(beta == 1, FOREVER, 1 / np.where(beta == 1, 1.0, 1 - beta))
        return "LI", {"tau": steps * self.dt, "r": steps, "v_leak": np.zeros(p.shape)}

    # ------------------------------------------------------------ projections

    def _projection(self, j: FloatProjection) -> None:
        source = self.network.population(j.source)
        label = f"{self.exit[j.source]}_to_{self.entry[j.target]}"
        last = self.exit[j.source]
        if j.delay:
            steps = j.delay + j.is_loop  # a Delay in a loop is all its lateness
            late = np.full(source.shape, steps * self.dt)
            last = self._add(f"{label}_delay", "Delay", last, delay=late)
        if j.pool is not None:
            pool = {"kernel_size": j.pool.kernel, "stride": j.pool.stride, "padding": (0, 0)}
            last = self._add(f"{label}_pool", "AvgPool2d", last, **pool)
        last = self._map(label, j, last, source.shape)
        self.edges.append((last, self.entry[j.target]))

    def _map(self, label: str, j: FloatProjection, source: str, shape: tuple[int, ...]) -> str:
        """The weights, with the projection's bias, on a *source* of *shape*."""
        match j.kind:
            case ProjectionKind.DENSE:
                return self._dense(label, j, source, shape)
            case ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
                bias = np.zeros(len(j.weight)) if j.bias is None else j.bias
                geometry = {"stride": j.stride, "padding": j.padding, "dilation": j.dilation}
                return self._conv(label, source, j.weight, bias, groups=j.groups, **geometry)
            case ProjectionKind.CONV2D_TRANSPOSED:
                ends = (self.network.population(x).shape for x in (j.source, j.target))
                kernel = unrolled(j, *ends)
                bias = np.zeros(len(kernel)) if j.bias is None else j.bias
                around = (kernel.shape[2] - 1, kernel.shape[3] - 1)
                pixels = self._pixels(f"{label}_pixels", source, shape)
                return self._conv(label, pixels, kernel, bias, padding=around)
            case _:
                assert_never(j.kind)

    def _dense(self, label: str, j: FloatProjection, source: str, shape: tuple[int, ...]) -> str:
        if len(shape) > 1:
            source = self._add(f"{label}_flatten", "Flatten", source, start_dim=0, end_dim=-1)
        if j.bias is None:
            return self._add(label, "Linear", source, weight=j.weight)
        return self._add(label, "Affine", source, weight=j.weight, bias=j.bias)

    def _pixels(self, label: str, source: str, shape: tuple[int, ...]) -> str:
        """(C, H, W) -> (C H W, 1, 1): NIR has no transposed convolution, so one is written out."""
        neurons = int(np.prod(shape))
        one = np.eye(neurons).reshape(neurons, *shape)
        return self._conv(label, source, one, np.zeros(neurons), padding=(0, 0))

    def _conv(
        self,
        label: str,
        source: str,
        weight: FloatArray,
        bias: FloatArray,
        *,
        padding: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> str:
        geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return self._add(label, "Conv2d", source, weight=weight, bias=bias, **geometry)


def _subtracts_late(p: FloatPopulation, theta: FloatArray) -> bool:
    """Whether the reset subtracts theta in the step after the spike: theta / decay in its own."""
    if not p.reset.subtracts or p.reset_by is None:
        return False
    return np.allclose(_full(p.decay, p) * _full(p.reset_by, p), theta, rtol=SAME, atol=0)


def _full(parameter: FloatArray, p: FloatPopulation) -> FloatArray:
    return np.broadcast_to(parameter, p.shape).astype(np.float64)
