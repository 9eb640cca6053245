"""Random NIR graphs of every primitive: images, lines and rows, skips, loops, delays, readouts."""

from typing import Any

import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import Edge, Graph, Node
from tssd.export.nir.graphs.profiles import Answers

Shape = tuple[int, ...]


def random_graph(seed: int) -> tuple[Graph, Answers]:
    """A graph and what it needs to be told; some hold what cannot be deployed."""
    rng = np.random.default_rng(seed)
    told = Answers(
        dt_seconds=1.0,
        rule=str(rng.choice(["euler", "exact", "mixed"])),
        reset=str(rng.choice(["zero", "subtract", "none"])),
    )
    return _Maker(rng).graph(), told


class _Maker:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.entry = ""  # the node at which the last neuron takes its input
        self.flat: list[tuple[str, int]] = []  # neurons in a row, which a skip may leave

    def graph(self) -> Graph:
        shape = self.first_shape()
        tip = self.add("Input", {"shape": shape}, ())
        for _ in range(int(self.rng.integers(1, 4))):
            tip, shape = self.way(tip, shape)
            tip = self.neuron(tip, shape)
            if len(shape) == 1:
                self.sidelines(tip, shape[0])
        tip, shape = self.ending(tip, shape)
        self.add("Output", {"shape": shape}, (tip,))
        return Graph(self.nodes, tuple(self.edges))

    def first_shape(self) -> Shape:
        size = tuple(int(n) for n in self.rng.integers(3, 8, 3))
        return size[: int(self.rng.integers(1, 4))]

    def add(self, kind: str, params: dict[str, Any], sources: tuple[str, ...]) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes[name] = Node(kind, params)
        self.edges += [(source, name) for source in sources]
        return name

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def normal(self, *shape: int) -> FloatArray:
        return self.rng.normal(0.15, 1, shape)

    # ------------------------------------------------------------ linear nodes

    def way(self, tip: str, shape: Shape) -> tuple[str, Shape]:
        """Linear nodes to the next neuron; now and then none at all."""
        if self.chance(0.15):
            tip = self.delay(tip, shape)
        if len(shape) == 3 and self.chance(0.3):
            tip, shape = self.pool(tip, shape)
        if self.chance(0.08):
            return tip, shape
        if len(shape) > 1 and self.chance(0.6):
            tip, shape = self.convolution(tip, shape)
        else:
            if len(shape) > 1:
                tip = self.add("Flatten", {"start_dim": 0, "end_dim": -1}, (tip,))
            tip, shape = self.affine(tip, int(np.prod(shape)))
        if self.chance(0.2):
            tip = self.scale(tip, shape)
        return (self.delay(tip, shape) if self.chance(0.1) else tip), shape

    def affine(self, tip: str, size: int) -> tuple[str, Shape]:
        out = int(self.rng.integers(2, 7))
        weight = self.normal(out, size) / np.sqrt(size)
        if self.chance(0.5):
            return self.add("Linear", {"weight": weight}, (tip,)), (out,)
        return self.add("Affine", {"weight": weight, "bias": self.normal(out) / 5}, (tip,)), (out,)

    def convolution(self, tip: str, shape: Shape) -> tuple[str, Shape]:
        channels, *size = shape
        axes, rng = len(size), self.rng
        groups = channels if self.chance(0.3) else 1
        out = groups * int(rng.integers(1, 4))
        kernel = np.minimum(rng.integers(1, 4, axes), size)
        stride, gap = rng.integers(1, 3, axes), np.ones(axes, np.int64)
        padding = rng.integers(0, kernel)
        params: dict[str, Any] = {
            "weight": self.normal(out, channels // groups, *kernel),
            "bias": self.normal(out) / 5 if self.chance(0.5) else np.zeros(out),
            "stride": tuple(int(n) for n in stride),
            "padding": tuple(int(n) for n in padding),
            "dilation": tuple(int(n) for n in gap),
            "groups": groups,
        }
        after = tuple(int(n) for n in (size + 2 * padding - kernel) // stride + 1)
        if self.chance(0.2):
            params |= {"padding": "same", "stride": (1,) * axes}
            after = tuple(size)
        kind = "Conv1d" if axes == 1 else "Conv2d"
        return self.add(kind, params, (tip,)), (out, *after)

    def pool(self, tip: str, shape: Shape) -> tuple[str, Shape]:
        kernel = np.minimum(self.rng.integers(1, 4, 2), shape[1:])
        stride = kernel if self.chance(0.6) else np.minimum(kernel, self.rng.integers(1, 3, 2))
        pair = {
            "kernel_size": tuple(int(n) for n in kernel),
            "stride": tuple(int(n) for n in stride),
            "padding": (0, 0),
        }
        after = (np.array(shape[1:]) - kernel) // stride + 1
        kind = "SumPool2d" if self.chance(0.5) else "AvgPool2d"
        return self.add(kind, pair, (tip,)), (shape[0], *(int(n) for n in after))

    def scale(self, tip: str, shape: Shape) -> str:
        per_channel = self.rng.uniform(0.5, 2, (shape[0], *(1,) * (len(shape) - 1)))
        return self.add("Scale", {"scale": np.broadcast_to(per_channel, shape).copy()}, (tip,))

    def delay(self, tip: str, shape: Shape) -> str:
        steps = float(self.rng.integers(0, 3))
        return self.add("Delay", {"delay": np.full(shape, steps)}, (tip,))

    # ------------------------------------------------------------ neurons

    def neuron(self, tip: str, shape: Shape) -> str:
        """One neuron of one or two nodes; ``entry`` is the first."""
        kind = str(self.rng.choice(["LIF", "LIF", "IF", "CubaLIF", "synapse", "li", "Threshold"]))
        if kind in ("synapse", "li"):
            leak = self.leak(shape) if kind == "li" else {"v_leak": np.zeros(shape)}
            tip = self.entry = self.add("LI", self.stage(shape) | leak, (tip,))
        if kind in ("Threshold", "li"):  # behind an LI: one neuron without reset
            found = self.add("Threshold", {"threshold": self.uniform(0.2, 1, shape)}, (tip,))
        else:
            name = "LIF" if kind == "synapse" else kind
            found = self.add(name, self.firing(shape) | self.rest(name, shape), (tip,))
        self.entry = self.entry if kind in ("synapse", "li") else found
        return found

    def rest(self, kind: str, shape: Shape) -> dict[str, FloatArray]:
        if kind == "IF":
            return {"r": self.uniform(0.5, 1, shape)}
        return self.cuba(shape) if kind == "CubaLIF" else self.stage(shape) | self.leak(shape)

    def uniform(self, low: float, high: float, shape: Shape) -> FloatArray:
        return self.rng.uniform(low, high, shape)

    def firing(self, shape: Shape) -> dict[str, FloatArray]:
        reset = self.uniform(-0.2, 0.1, shape) if self.chance(0.3) else np.zeros(shape)
        return {"v_threshold": self.uniform(0.2, 0.8, shape), "v_reset": reset}

    def stage(self, shape: Shape) -> dict[str, FloatArray]:
        return {"tau": self.uniform(1.1, 5, shape), "r": self.uniform(0.5, 3, shape)}

    def leak(self, shape: Shape) -> dict[str, FloatArray]:
        some = self.chance(0.3)
        return {"v_leak": self.uniform(-0.2, 0.2, shape) if some else np.zeros(shape)}

    def cuba(self, shape: Shape) -> dict[str, FloatArray]:
        times = {f"tau_{x}": self.uniform(1.1, 5, shape) for x in ("syn", "mem")}
        gains = {x: self.uniform(0.5, 2, shape) for x in ("r", "w_in")}
        return times | gains | self.leak(shape)

    def sidelines(self, tip: str, size: int) -> None:
        """A loop, and a skip from an earlier population."""
        entry = self.entry
        if self.chance(0.3):
            back = self.delay(tip, (size,)) if self.chance(0.2) else tip
            weight: dict[str, Any] = {"weight": self.normal(size, size) / 2}
            if self.chance(0.4):
                back = self.add("Affine", weight | {"bias": self.normal(size) / 5}, (back,))
            else:
                back = self.add("Linear", weight, (back,))
            if self.chance(0.2):
                back = self.delay(back, (size,))
            self.edges.append((back, entry))
        if self.flat and self.chance(0.4):
            source, n = self.flat[int(self.rng.integers(len(self.flat)))]
            here = self.delay(source, (n,)) if self.chance(0.4) else source
            weight = {"weight": self.normal(size, n) / 2}
            self.edges.append((self.add("Linear", weight, (here,)), entry))
        self.flat.append((tip, size))

    def ending(self, tip: str, shape: Shape) -> tuple[str, Shape]:
        """Spikes, weighted spikes, or an integrator."""
        kind = str(self.rng.choice(["spikes", "weights", "I", "LI", "CubaLI"]))
        if kind == "spikes":
            return tip, shape
        if len(shape) > 1:
            tip = self.add("Flatten", {"start_dim": 0, "end_dim": -1}, (tip,))
        tip, shape = self.affine(tip, int(np.prod(shape)))
        if kind == "weights":
            return tip, shape
        one: dict[str, FloatArray] = {"r": np.ones(shape)}
        if kind != "I":
            one["v_leak"] = np.zeros(shape)
        if kind == "LI":
            one["tau"] = np.full(shape, 3.0)
        if kind == "CubaLI":
            one |= {"tau_syn": np.full(shape, 2.0), "tau_mem": np.full(shape, 3.0)}
            one["w_in"] = np.ones(shape)
        return self.add(kind, one, (tip,)), shape
