"""A user's snnTorch module -> Graph, by torch.fx: exact or refused, by module path.

Each neuron is spelled out in primitives that any correct reader fires alike (theta the threshold,
beta clamped to [0, 1], tau = dt / (1 - beta), r = tau / dt so that the input gain is one):

    zero                    LIF (beta = 1: IF)
    none                    LI -> Threshold
    subtract                LI -> Threshold -> Scale(-theta) -> LI, the default, a step late
    reset_delay=False       as above with Scale(-beta theta), and a second Threshold, because
                            snnTorch compares the post-reset membrane of the step before
    Synaptic                an LI in front; recurrent kinds: their map from the spikes back

The module must be in inference mode. Batch normalisation behind a linear map is folded into it, in
float64. A construct that is not proven is refused: a second call of
one module, loops over time, cat, products, unknown modules, quantised states, inhibition.
"""

import copy
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.fx_layers import LAYERS, NodeValue, Shape, fault, flatten, without_norms
from tssd.export.nir.graphs.graph import Edge, Graph, Node
from tssd.export.nir.graphs.profiles import NO_DELAY_OF
from tssd.export.nir.integers.graph import NirMode
from tssd.train.networks.trace import trace

DT_SECONDS = 1e-4
FOREVER = 2.0**60  # tau in steps of a neuron that does not leak: 1 - 1 / FOREVER == 1
RECURRENT = (snn.RLeaky, snn.RSynaptic)
SYNAPTIC = (snn.Synaptic, snn.RSynaptic)
NEURONS = (snn.Leaky, snn.Synaptic, *RECURRENT)
STATE_RULES = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}

POOLS: tuple[tuple[Any, Any], ...] = (
    (functional.avg_pool2d, nn.AvgPool2d),
    (functional.max_pool2d, nn.MaxPool2d),
)

STATE = NodeValue("", ())  # a membrane handed in or out: it lives inside the node


def from_snntorch(
    module: nn.Module,
    input_shape: Shape,
    dt_seconds: float = DT_SECONDS,
    mode: NirMode = NirMode.EXACT,
) -> Graph:
    """The graph of one time step of *module*, whose input is (batch, *input_shape).

    COMPATIBLE writes a neuron that subtracts as a plain LIF or IF; its reset, and whether it comes
    a step late, are then metadata only.
    """
    if module.training:
        raise fault("module", "training mode", "inference mode", "call module.eval() first")
    _detach_states(module)
    walker = _Walker(copy.deepcopy(module).double().eval(), dt_seconds, mode)
    return walker.walk(input_shape)


def _detach_states(module: nn.Module) -> None:
    """Hidden states left by a run hold its gradients, which cannot be copied; values stay."""
    for layer in module.modules():
        if isinstance(layer, snn.SpikingNeuron):
            for place in (vars(layer), layer._buffers):
                for name, value in place.items():
                    if isinstance(value, Tensor) and not value.is_leaf:
                        place[name] = value.detach()


class _Walker:
    def __init__(self, module: nn.Module, dt_seconds: float, mode: NirMode) -> None:
        self.module = without_norms(fx.GraphModule(module, trace(module)))
        self.dt, self.mode = dt_seconds, mode
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.values: dict[fx.Node, NodeValue] = {}
        self.called: set[str] = set()

    def walk(self, input_shape: Shape) -> Graph:
        self.add("input", "Input", shape=input_shape)
        for node in self.module.graph.nodes:
            self.values[node] = self._visit(node, input_shape)
        self._prune()
        metadata = {
            "schema": "tssd-nir/1",
            "producer": "tssd from snntorch",
            "dt": self.dt,
            "discretisation": "euler",
            "gain": "unit",
            "mode": str(self.mode),
            "reset": "per node" if self.mode is NirMode.COMPATIBLE else "zero",
        }
        return Graph(self.nodes, tuple(self.edges), metadata, "snnTorch module")

    def _visit(self, node: fx.Node, input_shape: Shape) -> NodeValue:
        if node.op == "placeholder":
            first = not any(v.name == "input" for v in self.values.values())
            return NodeValue("input", input_shape) if first else STATE
        if node.op == "get_attr":
            return STATE
        if node.op == "output":
            return self._output(node)
        if node.op == "call_module":
            return self._call(str(node.target), node)
        return self._function(node)

    # ------------------------------------------------------------ graph building

    def add(self, name: str, kind: str, *sources: str, **params: Any) -> str:
        return self._put(name, Node(kind, params), *sources)

    def _put(self, name: str, node: Node, *sources: str) -> str:
        if name in self.nodes:
            raise fault(name, "a name used twice", "distinct module paths")
        self.nodes[name] = node
        for source in sources:
            self._edge(source, name)
        return name

    def _edge(self, source: str, target: str) -> None:
        if (source, target) in self.edges:
            raise fault(target, f"{source} added to itself", "different summands")
        self.edges.append((source, target))

    def _prune(self) -> None:
        """Drop what the output does not read (a fed-back node is read by its neuron)."""
        seen, stack = {"output"}, ["output"]
        while stack:
            name = stack.pop()
            for a, b in self.edges:
                if b == name and a not in seen:
                    seen.add(a)
                    stack.append(a)
        if "input" not in seen:
            raise fault("output", "a value that does not depend on the input", "a network")
        self.nodes = {n: x for n, x in self.nodes.items() if n in seen}
        self.edges = [(a, b) for a, b in self.edges if a in seen and b in seen]

    def _output(self, node: fx.Node) -> NodeValue:
        """The first element of a returned tuple; the others may be states."""
        returned = node.args[0]
        parts = returned if isinstance(returned, tuple | list) else (returned,)
        found = [self._of(p, "output") for p in parts if isinstance(p, fx.Node)]
        real = [v for v in found if v.name]
        if not real:
            raise fault(
                "output", "a membrane of a neuron that resets", "spikes, or reset_mechanism='none'"
            )
        return NodeValue(
            self.add("output", "Output", self._solid(real[0], "output"), shape=real[0].shape),
            real[0].shape,
        )

    def _of(self, argument: Any, path: str) -> NodeValue:
        if not isinstance(argument, fx.Node):
            raise fault(path, f"the constant {argument!r}", "a tensor of the network")
        return self.values[argument]

    def _solid(self, value: NodeValue, path: str) -> str:
        """The node of a value that must be a real tensor."""
        if not value.name:
            raise fault(path, "a neuron's state read as data", "spikes, or reset_mechanism='none'")
        return value.name

    def _call(self, path: str, node: fx.Node) -> NodeValue:
        if path in self.called:
            raise fault(
                path,
                "a module called twice in one step",
                "each module once",
                "a loop over time belongs outside forward; copy a shared module",
            )
        self.called.add(path)
        source, module = self._of(node.args[0], path), self.module.get_submodule(path)
        if source.fresh:
            raise fault(path, "a tuple (spikes, states)", "a tensor", "init_hidden=True, or [0]")
        name = path.replace(".", "_")
        if name in ("input", "output"):
            name = f"{name}_module"
        if isinstance(module, snn.SpikingNeuron):
            return self._neuron(name, path, module, source)
        for kind, build in LAYERS.items():
            if type(module) is kind:
                return build(self, name, path, module, source)
        raise fault(path, f"{type(module).__name__}", ", ".join(k.__name__ for k in LAYERS))

    def linear_node(
        self, name: str, path: str, module: nn.Module, source: NodeValue, kind: str, **params: Any
    ) -> NodeValue:
        """A node of a stateless map; its output shape is the module's own on zeros."""
        entry = self._solid(source, path)
        shape = self._shape(path, module, source.shape)
        return NodeValue(self.add(name, kind, entry, **params), shape)

    def _shape(self, path: str, module: Callable[[Tensor], Tensor], shape: Shape) -> Shape:
        try:
            with torch.no_grad():
                return tuple(module(torch.zeros((1, *shape), dtype=torch.float64)).shape[1:])
        except RuntimeError as error:
            reason = str(error).splitlines()[0][:120]
            raise fault(path, f"an input of shape {shape}: {reason}", "what it takes") from None

    # ------------------------------------------------------------ functions

    def _function(self, node: fx.Node) -> NodeValue:
        path, target = node.name, node.target
        if target is operator.getitem:
            return self._item(node)
        if target in (operator.add, operator.iadd, torch.add, "add"):
            a, b = (self._of(x, path) for x in node.args[:2])
            if a.shape != b.shape:
                raise fault(path, f"a sum of shapes {a.shape} and {b.shape}", "equal shapes")
            names = (self._solid(a, path), self._solid(b, path))
            return NodeValue(self.add(path, "Scale", *names, scale=np.ones(a.shape)), a.shape)
        if target in (operator.mul, torch.mul, "mul"):
            return self._product(node)
        if target in (torch.flatten, "flatten"):
            start = node.args[1] if len(node.args) > 1 else node.kwargs.get("start_dim", 0)
            end = node.args[2] if len(node.args) > 2 else node.kwargs.get("end_dim", -1)
            return flatten(self, path, path, nn.Flatten(start, end), self._of(node.args[0], path))  # type: ignore[arg-type]
        for function, kind in POOLS:
            if target is function:
                module = kind(*node.args[1:], **node.kwargs)
                return LAYERS[kind](self, path, path, module, self._of(node.args[0], path))
        word = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        raise fault(
            path, f"the operation {word}", "layers, sums of tensors, products with a number"
        )

    def _item(self, node: fx.Node) -> NodeValue:
        whole, index = self._of(node.args[0], node.name), node.args[1]
        if not whole.fresh:
            raise fault(node.name, "indexing of a tensor", "whole tensors")
        if index == 0:
            return NodeValue(whole.name, whole.shape, whole.binary)
        if whole.membrane and index in (whole.membrane_index, -1):
            return NodeValue(whole.membrane, whole.shape)
        return STATE

    def _product(self, node: fx.Node) -> NodeValue:
        numbers = [x for x in node.args if isinstance(x, int | float)]
        tensors = [x for x in node.args if isinstance(x, fx.Node)]
        if len(numbers) != 1 or len(tensors) != 1:
            raise fault(node.name, "a product of tensors", "a product with a number")
        source = self._of(tensors[0], node.name)
        scale = np.full(source.shape, float(numbers[0]))
        entry = self._solid(source, node.name)
        return NodeValue(self.add(node.name, "Scale", entry, scale=scale), source.shape)

    # ------------------------------------------------------------ neurons

    def _neuron(self, name: str, path: str, module: Any, source: NodeValue) -> NodeValue:
        if type(module) not in NEURONS:
            raise fault(path, type(module).__name__, ", ".join(k.__name__ for k in NEURONS))
        reset = self._reset(path, module)
        shape, entry = source.shape, self._solid(source, path)
        beta = np.clip(self._full(path, "beta", module.beta, shape), 0, 1)
        theta = self._full(path, "threshold", module.threshold, shape)
        into = entry
        if isinstance(module, SYNAPTIC):
            alpha = np.clip(self._full(path, "alpha", module.alpha, shape), 0, 1)
            into = self.add(f"{name}_synapse", "LI", entry, **self._leak(alpha))
        first = into if isinstance(module, SYNAPTIC) else None
        membrane = self._membrane(name, reset, module.reset_delay, into, beta, theta)
        if f"{name}_above" in self.nodes:  # what a later stage calls it by
            about = {NO_DELAY_OF: path}
            self.nodes[f"{name}_above"] = replace(self.nodes[f"{name}_above"], metadata=about)
        spikes = self._graded(name, path, module, shape)
        if isinstance(module, RECURRENT):
            self._recurrent(name, path, module, spikes, first or membrane, shape)
        place = 2 if isinstance(module, SYNAPTIC) else 1
        returns = module.output or not module.init_hidden
        seen = membrane if reset == "none" else None
        return NodeValue(spikes, shape, spikes == name, seen, place, returns)

    def _reset(self, path: str, module: Any) -> str:
        """The rule that the module really follows; what it cannot be proven to follow."""
        said = {0: "subtract", 1: "zero", 2: "none"}[int(module.reset_mechanism_val)]
        done = STATE_RULES.get(module.state_function.__name__, "?")
        if said != done:
            raise fault(
                path,
                f"reset_mechanism {said!r} set after construction: the neuron goes on to {done!r}",
                "reset_mechanism given to the constructor",
            )
        for flag in ("inhibition", "state_quant"):
            if getattr(module, flag):
                raise fault(path, f"{flag}", f"no {flag}")
        loses = module.reset_delay and said == "zero" and type(module) is not snn.Leaky
        if loses:
            raise fault(
                path,
                f"{type(module).__name__} with reset 'zero' and reset_delay=True, which loses its "
                "input in the step after a spike",
                "reset_delay=False, or reset_mechanism='subtract'",
            )
        if type(module) is snn.RSynaptic and not module.reset_delay:
            raise fault(
                path, "RSynaptic with reset_delay=False, which snntorch 1.0 cannot run", "True"
            )
        return said

    def _membrane(
        self, name: str, reset: str, late: bool, source: str, beta: FloatArray, theta: FloatArray
    ) -> str:
        """The node that the current enters; the spikes leave from node *name*."""
        shape = theta.shape
        if reset == "zero" or (reset == "subtract" and self.mode is NirMode.COMPATIBLE):
            about = {"reset": reset, "reset_delay": late and reset == "subtract"}
            params = self._leak(beta) | {"v_threshold": theta, "v_reset": np.zeros(shape)}
            if np.all(beta == 1):
                params = {k: params[k] for k in ("v_threshold", "v_reset")}
                params["r"] = np.full(shape, 1 / self.dt)
            node = Node("IF" if np.all(beta == 1) else "LIF", params, about)
            return self._put(name, node, source)
        membrane = self.add(f"{name}_membrane", "LI", source, **self._leak(beta))
        self.add(name, "Threshold", membrane, threshold=theta)
        if reset == "none":
            return membrane
        back = self.add(f"{name}_reset", "Scale", name, scale=-theta if late else -beta * theta)
        self._edge(back, membrane)
        if not late:
            self._twice_over(name, membrane, theta)
        return membrane

    def _twice_over(self, name: str, membrane: str, theta: FloatArray) -> None:
        """Where v stays above theta after a reset, snnTorch compares it lowered by theta once
        more in the next step: above = [w - theta s > theta], one step late, lowers w for s."""
        lowered = self.add(f"{name}_lowered", "Scale", name, scale=-theta)
        above = self.add(f"{name}_above", "Threshold", membrane, lowered, threshold=theta)
        later = self.add(f"{name}_later", "Delay", above, delay=np.full(theta.shape, self.dt))
        self._edge(self.add(f"{name}_again", "Scale", later, scale=-theta), name)

    def _graded(self, name: str, path: str, module: Any, shape: Shape) -> str:
        factor = self._full(path, "graded_spikes_factor", module.graded_spikes_factor, shape)
        if np.all(factor == 1):
            return name
        return self.add(f"{name}_graded", "Scale", name, scale=factor)

    def _recurrent(
        self, name: str, path: str, module: Any, spikes: str, entry: str, shape: Shape
    ) -> None:
        inner = module.recurrent
        ending = NodeValue(spikes, shape)
        if isinstance(inner, nn.Linear | nn.Conv2d):
            back = LAYERS[type(inner)](
                self, f"{name}_recurrent", f"{path}.recurrent", inner, ending
            )
            self._edge(back.name, entry)
            return
        weight = self._full(path, "V", inner.V, shape)
        self._edge(self.add(f"{name}_recurrent", "Scale", spikes, scale=weight), entry)

    def _leak(self, beta: FloatArray) -> dict[str, FloatArray]:
        steps = np.where(beta == 1, FOREVER, 1 / np.where(beta == 1, 1.0, 1 - beta))
        return {"tau": steps * self.dt, "r": steps, "v_leak": np.zeros(beta.shape)}

    def _full(self, path: str, label: str, value: Any, shape: Shape) -> FloatArray:
        """A scalar, per-channel or full parameter over the whole layer."""
        array = torch.as_tensor(value).detach().double().numpy()
        try:
            return np.broadcast_to(array, shape).copy()
        except ValueError:
            raise fault(
                path, f"{label} of shape {array.shape}", f"broadcasting to {shape}"
            ) from None
