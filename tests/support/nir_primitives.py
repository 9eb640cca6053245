"""One small graph per primitive of NIR, plain: neurons alike, gain one, no leak voltage; those of
each neuron with every parameter in use are called ``-parameters``.

NIR does not say what v is before the first step. So v_reset is 0, but in graphs whose neurons all
fire in the first step, whatever v was: there the first input is strong in that step, and silent
after it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import DYNAMIC, RESETTING, Graph, Node

Parts = list[tuple[str, Node]]
SIZE, OUT = 10, 8  # of what enters, and of what leaves
KICK = 20.0  # thresholds, about, that a weight of the first input lifts v by


def drafts(made: Callable[..., Any], dt: float) -> Iterator[Any]:
    """*made* (name, group, graph) of each."""
    for kind in sorted(ROWS):
        yield made(f"primitive-{kind}", "primitives", graph(ROWS[kind](_Draw(kind, dt)), dt))
    for kind in DYNAMIC:
        parts = ROWS[kind](_Draw(kind, dt, rich=True))
        yield made(f"primitive-{kind}-parameters", "primitives", graph(parts, dt))
    for kind in RESETTING:
        parts = ROWS[kind](_Draw(kind, dt, rich=True, kicked=True))
        yield made(f"primitive-{kind}-v_reset", "primitives", graph(parts, dt), kicked=True)
    yield made("primitive-recurrence", "primitives", recurrent(_Draw("recurrence", dt)))


def graph(parts: Parts, dt: float, *more: tuple[str, str]) -> Graph:
    """*parts* in a row, and edges beside it."""
    names = [name for name, _ in parts]
    edges = [*zip(names[:-1], names[1:], strict=True), *more]
    return Graph(dict(parts), tuple(edges), _told(dt))


def _told(dt: float) -> dict[str, Any]:
    return {"dt": dt, "discretisation": "euler", "reset": "zero"}


class _Draw:
    """Parameters drawn by the primitive's name; *rich*: each neuron its own, and all in use."""

    def __init__(self, kind: str, dt: float, *, rich: bool = False, kicked: bool = False) -> None:
        self.rng, self.dt = np.random.default_rng(list(kind.encode())), dt
        self.rich, self.kicked = rich, kicked

    def between(self, low: float, high: float, *shape: int) -> FloatArray:
        return self.rng.uniform(low, high, shape or (OUT,))

    def own(self, low: float, high: float, *shape: int) -> FloatArray:
        """A value for each neuron, or one for all."""
        drawn = self.between(low, high, *shape)
        return drawn if self.rich else np.full_like(drawn, drawn.flat[0])

    def times(self, *shape: int) -> FloatArray:
        return self.own(2, 8, *shape) * self.dt

    def gain(self, tau: FloatArray) -> FloatArray:
        """Of what a stage of time *tau* takes: one, or less."""
        return tau / self.dt * (self.between(0.5, 1, *tau.shape) if self.rich else 1.0)

    def leak(self, *shape: int) -> FloatArray:
        return self.between(-0.05, 0.05, *shape) * self.rich

    def weights(self, *shape: int) -> FloatArray:
        drawn: FloatArray = self.rng.normal(0.6, 1, shape) / np.sqrt(np.prod(shape[1:]))
        if self.kicked:
            drawn[:, 0] = KICK
        return drawn

    def affine(self, size: int = SIZE, out: int = OUT) -> Node:
        return Node(
            "Affine", {"weight": self.weights(out, size), "bias": self.between(0, 0.2, out)}
        )

    def lif(self, *shape: int) -> Node:
        size = shape or (OUT,)
        return Node("LIF", self.stage(*size) | self.fires(*size))

    def stage(self, *shape: int) -> dict[str, FloatArray]:
        tau = self.times(*shape)
        return {"tau": tau, "r": self.gain(tau), "v_leak": self.leak(*shape)}

    def fires(self, *shape: int) -> dict[str, FloatArray]:
        reset = self.between(-0.2, 0.1, *shape) * self.kicked
        return {"v_threshold": self.own(0.8, 1.6, *shape), "v_reset": reset}

    def cuba(self) -> dict[str, FloatArray]:
        tau_syn, tau_mem = self.times(OUT), self.times(OUT)
        gains = {"r": self.gain(tau_mem), "w_in": self.gain(tau_syn)}
        return {"tau_syn": tau_syn, "tau_mem": tau_mem, "v_leak": self.leak(OUT)} | gains

    def integrating(self) -> FloatArray:
        """r of an I or IF."""
        return self.own(0.2, 0.6) / self.dt if self.rich else np.full(OUT, 1 / self.dt)


def _behind_affine(draw: _Draw, neuron: Node) -> Parts:
    return _whole((SIZE,), [("affine", draw.affine()), ("neuron", neuron)])


def _whole(shape: tuple[int, ...], parts: Parts) -> Parts:
    first = ("input", Node("Input", {"shape": shape}))
    return [first, *parts, ("output", Node("Output", {"shape": (OUT,)}))]


def _image(draw: _Draw, shape: tuple[int, ...], parts: Parts, size: int) -> Parts:
    """*parts* on an image, then flattened into a dense layer."""
    flat = Node("Flatten", {"start_dim": 0, "end_dim": -1})
    rest = [("flatten", flat), ("dense", draw.affine(size)), ("last", draw.lif())]
    return _whole(shape, [*parts, *rest])


def _lif(draw: _Draw) -> Parts:
    return _behind_affine(draw, draw.lif())


def _if(draw: _Draw) -> Parts:
    params = {"r": draw.integrating()} | draw.fires(OUT)
    return _behind_affine(draw, Node("IF", params))


def _cuba_lif(draw: _Draw) -> Parts:
    return _behind_affine(draw, Node("CubaLIF", draw.cuba() | draw.fires(OUT)))


def _integrator(draw: _Draw, node: Node) -> Parts:
    """A LIF in front of an integrator, whose voltage leaves."""
    spikes = [("affine", draw.affine()), ("spikes", draw.lif())]
    return _whole((SIZE,), [*spikes, ("dense", draw.affine(OUT)), ("last", node)])


def _li(draw: _Draw) -> Parts:
    return _integrator(draw, Node("LI", draw.stage(OUT)))


def _i(draw: _Draw) -> Parts:
    return _integrator(draw, Node("I", {"r": draw.integrating()}))


def _cuba_li(draw: _Draw) -> Parts:
    return _integrator(draw, Node("CubaLI", draw.cuba()))


def _threshold(draw: _Draw) -> Parts:
    return _behind_affine(draw, Node("Threshold", {"threshold": draw.own(0.4, 1.2)}))


def _linear(draw: _Draw) -> Parts:
    linear = Node("Linear", {"weight": draw.weights(OUT, SIZE)})
    return _whole((SIZE,), [("linear", linear), ("last", draw.lif())])


def _scale(draw: _Draw) -> Parts:
    scale = Node("Scale", {"scale": draw.between(0.5, 2)})
    return _whole((SIZE,), [("affine", draw.affine()), ("scale", scale), ("last", draw.lif())])


def _delay(draw: _Draw) -> Parts:
    """All spikes of a layer wait for three steps."""
    steps = np.full(OUT, 3.0)
    parts: Parts = [("affine", draw.affine()), ("spikes", draw.lif())]
    parts += [("delay", Node("Delay", {"delay": steps * draw.dt})), ("dense", draw.affine(OUT))]
    return _whole((SIZE,), [*parts, ("last", draw.lif())])


def _conv1d(draw: _Draw) -> Parts:
    geometry = {"stride": (2,), "padding": (1,), "dilation": (1,), "groups": 1}
    weight = {"weight": draw.weights(3, 2, 3), "bias": draw.between(0, 0.2, 3)}
    conv = [("conv", Node("Conv1d", weight | geometry)), ("spikes", draw.lif(3, 5))]
    return _image(draw, (2, 10), conv, 15)


def _conv2d(draw: _Draw) -> Parts:
    """Groups, a kernel, a stride, a padding and a dilation that differ by axis."""
    geometry = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    weight = {"weight": draw.weights(4, 1, 3, 3), "bias": draw.between(0, 0.2, 4)}
    conv = [("conv", Node("Conv2d", weight | geometry)), ("spikes", draw.lif(4, 3, 3))]
    return _image(draw, (2, 6, 7), conv, 36)


def _pooled(draw: _Draw, kind: str) -> Parts:
    """Spikes of an image pooled, windows that overlap along one axis."""
    geometry = {"kernel_size": (2, 3), "stride": (2, 2), "padding": (0, 0)}
    pool = [("spikes", draw.lif(2, 6, 7)), ("pool", Node(kind, geometry))]
    return _image(draw, (2, 6, 7), pool, 18)


def _flatten(draw: _Draw) -> Parts:
    return _image(draw, (2, 3, 4), [("spikes", draw.lif(2, 3, 4))], 24)


def recurrent(draw: _Draw) -> Graph:
    """A LIF whose spikes come back through a Linear, a step later."""
    parts = _behind_affine(draw, draw.lif())
    back = Node("Linear", {"weight": draw.rng.normal(0, 0.5, (OUT, OUT))})
    row = graph(parts, draw.dt)
    ways = (("neuron", "back"), ("back", "neuron"))
    return Graph({**row.nodes, "back": back}, (*row.edges, *ways), row.metadata)


ROWS: dict[str, Callable[[_Draw], Parts]] = {
    "LIF": _lif,
    "IF": _if,
    "CubaLIF": _cuba_lif,
    "LI": _li,
    "I": _i,
    "CubaLI": _cuba_li,
    "Threshold": _threshold,
    "Affine": _lif,
    "Linear": _linear,
    "Scale": _scale,
    "Delay": _delay,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "SumPool2d": lambda draw: _pooled(draw, "SumPool2d"),
    "AvgPool2d": lambda draw: _pooled(draw, "AvgPool2d"),
    "Flatten": _flatten,
}
