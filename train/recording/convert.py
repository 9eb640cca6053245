"""Recording -> FloatNetwork: the neurons that the chosen output needs, and the maps between them.

Each neuron layer becomes a population; all maps from one population to another become one
projection; the constant of what enters, whatever number of branches it comes through, becomes one
bias. A maximum pool of spikes becomes a population that fires where any of its window fired.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from tssd.errors import NetworkError
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    MembraneRead,
    PopulationKind,
    ProjectionKind,
    Reset,
    depths,
)
from tssd.train.recording.network.choose import chosen, reading
from tssd.train.recording.network.maps import (
    DENSE_WEIGHTS_MAX,
    Chain,
    Linear,
    as_convolution,
    as_matrix,
    image,
)
from tssd.train.recording.network.needed import image_views, needed_sites
from tssd.train.recording.network.populations import (
    Layer,
    compact,
    input_population,
    loops,
    maximum_population,
    neuron_population,
    projection,
    zeros,
)
from tssd.train.recording.network.readouts import Reads, reads_of
from tssd.train.recording.network.swap import swapped
from tssd.train.recording.recording import Readout, Recording
from tssd.train.recording.steps import (
    Link,
    Origin,
    SiteStep,
    Sum,
    refuse_current,
    refuse_rule,
    refuse_state,
    same_origin,
)
from tssd.train.recording.tape.neurons import Rule
from tssd.train.recording.tape.values import Op, Opaque, Shape, scale_op

READOUT = "readout"


def to_float(
    recording: Recording,
    *,
    output: str | None = None,
    readout: Readout | None = None,
    groups: int | None = None,
    swap_max_pool: bool = False,
) -> FloatNetwork:
    """The network up to the chosen output; H[T] of its readout is what the author reads.

    ``groups`` sums the outputs of each class of a population code. ``swap_max_pool`` puts neurons
    in front of maximum pools of currents: another network, to be trained on.
    """
    about = chosen(recording, output)
    rule = reading(about, readout, groups)
    steps, step = recording.steps, about.step
    assert isinstance(step, Sum)
    if swap_max_pool:
        steps, step = swapped(steps, step)
    return _Builder(recording, steps).network(reads_of(steps, step, about, rule, groups))


@dataclass(eq=False)
class _Builder:
    recording: Recording
    steps: Sequence[SiteStep]
    populations: list[FloatPopulation] = field(default_factory=list)
    projections: list[FloatProjection] = field(default_factory=list)
    late: list[int] = field(default_factory=list)  # of each projection, in steps of data
    names: dict[int, str] = field(default_factory=dict)  # site -> population
    pools: list[tuple[Origin, str]] = field(default_factory=list)
    where: str = "forward"  # the module that is being built, for messages

    def network(self, reads: Reads) -> FloatNetwork:
        sites = needed_sites(self.steps, reads.step)
        views = image_views(self.steps, sites, reads.step)
        self.populations.append(input_population(self._input_shape(views.get(-1, ()))))
        for site in sites:
            self._add_site(site, views.get(site, ()))
        self._add_readout(reads)
        return self._aligned()

    def _input_shape(self, views: Sequence[Shape]) -> Shape:
        own = self.recording.input_shape
        if len(own) == 3:
            return own
        return next(iter(views), image(own) or (prod(own),))

    # ------------------------------------------------------------ neurons

    def _add_site(self, site: int, views: Sequence[Shape]) -> None:
        step = self.steps[site]
        self.where = f"module {step.path}"
        rule, current = self._checked(step)
        if not current.links:
            raise self._fault("a layer that nothing enters but constants", "one that reads spikes")
        gained = _with_gain(current, rule, step.path)
        flat = (prod(step.shape),)
        dense_back = rule.recurrent is not None and rule.recurrent[0] == "dense"
        own = image(step.shape)
        shapes = [] if dense_back else [s for s in (own, *views) if s is not None]
        name = self.names[site] = self.recording.sites[site].name
        memory = rule.memory is not None and step.keeps
        for shape in [*shapes, flat]:
            if memory and _per_pixel(gained.const.numpy().reshape(shape)):
                continue
            made = self._links(gained, site, shape)
            if made is not None:
                layer = Layer(name, step.path, shape, rule, step.keeps, step.shape)
                self._put(site, layer, gained, made, memory)
                return
        raise self._too_large(gained, flat)

    def _checked(self, step: SiteStep) -> tuple[Rule, Sum]:
        if isinstance(step.rule, str):
            raise refuse_rule(step.path, step.rule)
        if isinstance(step.current, Opaque):
            raise refuse_current(step.current)
        if step.state_fault is not None:
            raise refuse_state(step)
        return step.rule, step.current

    def _put(
        self,
        site: int,
        layer: Layer,
        gained: Sum,
        made: Sequence[tuple[str, int, Linear]],
        memory: bool,
    ) -> None:
        constant = gained.const.numpy().reshape(layer.shape)
        own, back = compact(constant), loops(layer)
        for _, bias in back:
            if bias is not None:
                own = own + bias.reshape(-1, *(1,) * (len(layer.shape) - 1))
        through = memory and bool(np.any(own))
        bias = zeros(layer.shape) if through else own
        self.populations.append(neuron_population(layer, bias))
        rows = _rows(own, layer.shape) if through else None
        for i, (source, late, linear) in enumerate(made):
            self._project(linear, source, layer.name, late, rows if i == 0 else None)
        for linear, _ in back:
            if np.any(linear.weight):
                self._project(linear, layer.name, layer.name, 0)

    def _project(
        self, made: Linear, source: str, target: str, late: int, bias: FloatArray | None = None
    ) -> None:
        self.projections.append(projection(made, source, target, bias))
        self.late.append(late)

    # ------------------------------------------------------------ links

    def _links(self, total: Sum, target: int, shape: Shape) -> list[tuple[str, int, Linear]] | None:
        """(source, late, map) of every source, one each; None: not in this shape."""
        groups: dict[tuple[str, int], tuple[Shape, list[Chain]]] = {}
        for link in total.links:
            name, feat, front = self._source(link.origin, target)
            late = link.origin.late
            groups.setdefault((name, late), (feat, []))[1].append((*front, *link.ops))
        made = []
        for (name, late), (feat, chains) in groups.items():
            source = shape if name == self.names.get(target) else self._shape(name)
            linear = self._map(chains, feat, source, shape)
            if linear is None:
                return None
            made.append((name, late, linear))
        alive = [m for m in made if np.any(m[2].weight)] or made
        return sorted(alive, key=lambda m: m[0] == self.names.get(target))  # loops last

    def _map(
        self, chains: Sequence[Chain], feat: Shape, source: Shape, shape: Shape
    ) -> Linear | None:
        if len(shape) == 3:
            if len(source) != 3:
                return None
            return as_convolution(chains, feat, source, shape)
        return as_matrix(chains, feat, prod(shape))

    def _shape(self, name: str) -> Shape:
        return next(p.shape for p in self.populations if p.name == name)

    def _source(self, origin: Origin, target: int) -> tuple[str, Shape, Chain]:
        """The population that *origin* is, the shape that its maps take, and a factor in front."""
        if origin.kind == "input":
            if origin.late < 0:
                raise self._fault(
                    "a step that reads a frame of a later step",
                    "a step that reads its own frame",
                    "frames that are shifted or subtracted before they are handed in",
                )
            return "input", origin.feat, ()
        if origin.kind == "max":
            return self._maximum(origin), origin.feat, self._pool_factor(origin)
        if origin.output != "spk":
            raise self._fault(
                f"the membrane of {self.steps[origin.site].path} that enters a layer",
                "only spikes go from layer to layer",
            )
        if origin.late < 0 or (origin.late > 0 and origin.site > target):
            raise self._fault(
                f"spikes of {self.steps[origin.site].path} that come back a step later",
                "a layer that feeds back to itself; layers in a row",
            )
        rule = self.steps[origin.site].rule
        assert isinstance(rule, Rule)
        return self.names[origin.site], origin.feat, _factor(rule, origin.feat)

    def _maximum(self, origin: Origin) -> str:
        for known, name in self.pools:
            if same_origin(origin, known, 0):
                return name
        assert origin.pool is not None
        assert origin.window is not None
        link = spikes_pooled(origin)
        if link is None:
            raise refuse_max_pool(origin)
        source = self.names.get(link.origin.site)
        if source is None or link.origin.late:
            raise self._fault("a maximum pool of spikes of another step")
        feat, w = origin.pool.shape, origin.window
        if self._shape(source) != feat:
            raise self._fault(f"a maximum pool over {feat} of a flat layer", "an image layer")
        count = sum(n.startswith(f"{source}_max") for _, n in self.pools)
        name = f"{source}_max{count + 1 if count else ''}"
        self.populations.append(maximum_population(name, origin.feat))
        ones: FloatArray = np.ones((feat[0], 1, *w.kernel))
        kind = ProjectionKind.CONV2D
        made = Linear(kind, ones, w.stride, w.padding, w.dilation, groups=feat[0])
        self._project(made, source, name, 0)
        self.pools.append((origin, name))
        return name

    def _pool_factor(self, origin: Origin) -> Chain:
        """Graded spikes keep their size through a maximum."""
        link = spikes_pooled(origin)
        assert link is not None
        rule = self.steps[link.origin.site].rule
        assert isinstance(rule, Rule)
        if rule.factor.numel() != 1:
            raise self._fault("a maximum of graded spikes of several sizes")
        scales = [op.constants[0] for op in link.ops if op.kind == "scale"]
        factor = rule.factor.reshape(())
        for scale in scales:
            factor = factor * scale.reshape(())
        return () if float(factor) == 1 else (scale_op(factor, origin.feat, ""),)

    # ------------------------------------------------------------ the readout

    def _add_readout(self, reads: Reads) -> None:
        self.where = f"output {reads.name}"
        shape = (prod(reads.step.shape),)
        made = self._links(reads.step, len(self.steps), shape)
        if made is None:
            raise self._too_large(reads.step, shape)
        constant = compact(reads.step.const.numpy().reshape(shape))
        through = reads.memory is not None and bool(np.any(constant))
        decay, memory = (None if x is None else compact(x) for x in (reads.decay, reads.memory))
        assert decay is not None
        kind = PopulationKind.READOUT
        self.populations.append(
            FloatPopulation(
                READOUT,
                shape,
                kind,
                Reset.NONE,
                decay,
                zeros(shape) + 1,
                zeros(shape) if through else constant,
                synapse_decay=memory,
                membrane_read=MembraneRead.LARGEST if reads.largest else MembraneRead.LAST,
            )
        )
        rows = _rows(constant, shape) if through else None
        for i, (source, late, linear) in enumerate(made):
            self._project(linear, source, READOUT, late, rows if i == 0 else None)

    def _aligned(self) -> FloatNetwork:
        """Projections that are late on purpose get the delay that makes them so."""
        network = FloatNetwork(
            tuple(self.populations), tuple(self.projections), self.recording.time_steps
        )
        depth = depths(network)
        projections = []
        for j, late in zip(network.projections, self.late, strict=True):
            if j.is_loop:
                projections.append(replace(j, delay=max(late - 1, 0)))
            elif late:
                delay = depth[j.target] - depth[j.source] - 1 + late
                projections.append(replace(j, delay=delay))
            else:
                projections.append(j)
        return replace(network, projections=tuple(projections))

    # ------------------------------------------------------------ faults

    def _fault(
        self, found: str, allowed: str = "one step that a chip can do", hint: str | None = None
    ) -> NetworkError:
        return NetworkError(self.where, found=found, allowed=allowed, hint=hint)

    def _too_large(self, total: Sum, shape: Shape) -> NetworkError:
        names = sorted({op.path for link in total.links for op in link.ops if op.path})
        return NetworkError(
            self.where,
            found=f"a linear map to {shape} that is no single convolution ({', '.join(names)})",
            allowed=f"one convolution, or a dense matrix of up to {DENSE_WEIGHTS_MAX:,} weights",
            hint="borders differ where padding lies between two maps, or sizes do not divide; "
            "without that padding, or with a neuron between, it has a counterpart",
        )


def spikes_pooled(origin: Origin) -> Link | None:
    """The one layer whose spikes a maximum pool reads, whatever their size."""
    pool = origin.pool
    if pool is None or len(pool.links) != 1 or bool(pool.const.any()):
        return None
    link = pool.links[0]
    plain = all(_keeps_order(op) for op in link.ops)
    spikes = link.origin.kind == "neuron" and link.origin.output == "spk"
    return link if plain and spikes else None


def _keeps_order(op: Op) -> bool:
    if op.kind == "reshape":
        return True
    return op.kind == "scale" and op.constants[0].numel() == 1 and float(op.constants[0]) > 0


def refuse_max_pool(origin: Origin) -> NetworkError:
    """Max(currents) is not linear, and no neuron stands in front of it."""
    assert origin.window is not None
    return NetworkError(
        f"module {origin.window.path or 'forward'}",
        found="a maximum pool of currents (a layer, then the pool, then the neuron)",
        allowed="a maximum pool of spikes (the neuron, then the pool), or an average pool",
        hint="--swap-max-pool puts the neuron in front of the pool and reports what that costs; "
        "train on from there to win it back",
    )


def _factor(rule: Rule, feat: Shape) -> Chain:
    one = rule.factor.numel() == 1 and float(rule.factor) == 1
    return () if one else (scale_op(rule.factor, feat, ""),)


def _with_gain(total: Sum, rule: Rule, path: str) -> Sum:
    if rule.gain.numel() == 1 and float(rule.gain) == 1:
        return total
    op = scale_op(rule.gain, total.shape, path)
    links = tuple(replace(link, ops=(*link.ops, op)) for link in total.links)
    return Sum(total.shape, links, op.apply(total.const[None])[0])


def _per_pixel(constant: FloatArray) -> bool:
    return constant.ndim == 3 and bool(np.any(constant != constant[:, :1, :1]))


def _rows(constant: FloatArray, shape: Shape) -> FloatArray:
    """One value per output or output channel."""
    rows: FloatArray = np.broadcast_to(constant.reshape(constant.shape[0], -1)[:, 0], shape[:1])
    return rows.copy()
