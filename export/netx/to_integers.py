"""netx layers -> IntNetwork: a lava-dl network trained by anyone, taken over exactly as it runs.

What lava-dl 0.6.0's loader does in silence is either the same here or refused by name: see
``_check_dense`` for weights, ``_delay_bins`` for delays. du = iDecay, dv = vDecay, vth = vThMant,
hard reset, bias mantissas with exponent 6. A delayed dense layer becomes one projection per delay,
as Lava shifts the sum of each delay apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import DECAY_ONE, IntArray
from tssd.errors import NetworkError
from tssd.export.netx.read import NetxLayer, NetxNeuron
from tssd.export.netx.rules import BIAS_EXP, MAX_BIAS, MAX_DELAY, MAX_GROUPS, MAX_VTH, loads_exactly
from tssd.export.netx.write import NEVER_VTH, silent_threshold
from tssd.train.handover.geometry import output_shape

INT16 = 32767
SYNAPSE = 255  # the largest weight of one sign that 8 bits hold
INPUT_MAX = {InputCoding.GRADED: 255, InputCoding.SPIKES: 1, InputCoding.BIAS: MAX_BIAS}
DEFAULT_NEURON = NetxNeuron(  # what netx gives a dense layer without one: v = u + bias, no spike
    np.array(0, np.int64), np.array(DECAY_ONE, np.int64), np.array(NEVER_VTH, np.int64)
)


@dataclass(frozen=True, eq=False)
class Imported:
    """The network, and what a user should know about how it was read."""

    network: IntNetwork
    notes: tuple[str, ...]


def import_netx(
    layers: Sequence[NetxLayer], time_steps: int, coding: InputCoding = InputCoding.SPIKES
) -> Imported:
    """Take *layers* over. The file says neither how many steps a sample lasts nor, without an
    input block, what the input carries: ``time_steps`` and ``coding`` do.

    Raises NetworkError for what netx itself would load wrongly or not at all.
    """
    chain = _Chain()
    for layer in layers:
        chain.add(layer)
    if len(chain.populations) < 2:
        raise NetworkError("netx", found="no layer with neurons", allowed="conv or dense layers")
    if chain.populations[0].kind.fires:
        coding = InputCoding.BIAS
    elif coding.as_bias:
        raise NetworkError(
            "netx input",
            found="bias coding without an input block of neurons",
            allowed="graded or spikes",
        )
    last = chain.populations[-1]
    as_readout = replace(last, kind=PopulationKind.READOUT, reset=Reset.NONE)
    network = IntNetwork(
        (*chain.populations[:-1], as_readout),
        tuple(chain.projections),
        time_steps,
        coding,
        INPUT_MAX[coding],
    )
    if not _stays_silent(network, last):
        network = replace(network, populations=(*chain.populations[:-1], last))
    return Imported(network, _together(chain.notes))


def _stays_silent(network: IntNetwork, last: Population) -> bool:
    """Whether the last layer cannot fire: above saturation, or above any reachable membrane."""
    lowest = int(last.vth.min())
    return lowest >= NEVER_VTH or (lowest == MAX_VTH == silent_threshold(network))


@dataclass
class _Chain:
    """The network so far; netx layers are strictly sequential."""

    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)  # (layer or "", what is said)
    flattened: bool = False

    def add(self, layer: NetxLayer) -> None:
        where = f"layer/{layer.index} ({layer.type})"
        if self.populations and self._ended():
            raise _refused(where, "a layer behind one that never fires", "the readout last")
        if layer.type == "input":
            self._input(layer, where)
        elif layer.type == "flatten":
            self._flatten(where)
        elif layer.type == "conv":
            self._conv(layer, where)
        else:
            self._dense(layer, where)

    def _ended(self) -> bool:
        last = self.populations[-1]
        return last.kind.fires and bool((last.vth >= NEVER_VTH).all())

    def _input(self, layer: NetxLayer, where: str) -> None:
        if self.populations:
            raise _refused(where, "an input layer behind others", "the input first")
        if layer.neuron is None:
            self.populations.append(plain_population("input", layer.shape, PopulationKind.INPUT))
            return
        self._tell_unread(layer.neuron, where)
        self.populations.append(_population("input", layer.shape, layer.neuron, None, where))
        told = (
            "the input layer takes each sample as bias mantissas; apply the file's own "
            "weight and bias to the image first, as lava-dl leaves that to the user"
        )
        self.notes.append(("", told))

    def _flatten(self, where: str) -> None:
        if self.populations and len(self.populations[-1].shape) != 3:
            raise _refused(where, "flatten behind a flat layer", "behind an image (netx fails)")
        self.flattened = True

    def _conv(self, layer: NetxLayer, where: str) -> None:
        weight = _present(layer.weight, where)
        if not self.populations or len(self.populations[-1].shape) != 3 or self.flattened:
            raise _refused(where, "a convolution of a flat or unknown input", "an image (C, H, W)")
        if layer.groups > MAX_GROUPS:
            raise _refused(where, f"{layer.groups} groups", f"<= {MAX_GROUPS}: Lava wraps at int8")
        source = self.populations[-1]
        projection = Projection(
            source.name,
            self._name(layer, "conv"),
            ProjectionKind.CONV2D,
            weight,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
        )
        _check_conv_shape(source, projection, layer.shape, where)
        if abs(weight).max() > SYNAPSE:
            self.notes.append((where, "weights beyond 8 bits; Lava's simulator takes them"))
        if layer.neuron is None:
            raise _refused(where, "no neuron", "a neuron group (netx fails without)")
        self._append([projection], layer, layer.shape, layer.neuron, where)

    def _dense(self, layer: NetxLayer, where: str) -> None:
        outputs = int(np.prod(layer.shape, dtype=np.int64))
        if not layer.shape or min(layer.shape) < 1:
            raise _refused(where, f"shape {layer.shape}", "the number of its neurons")
        weight = _matrix(_present(layer.weight, where), outputs, self._inputs(), where)
        _check_declared(layer, weight, where)
        source = self._dense_source(weight.shape[1], where)
        name = self._name(layer, "fc")
        self._check_dense(layer, weight, where)
        projections = [
            Projection(source.name, name, ProjectionKind.DENSE, part, delay=delay)
            for delay, part in _delay_bins(weight, layer.delay, where)
        ]
        if layer.type == "dense_rec":
            again = _matrix(
                _present(layer.weight_rec, where), outputs, outputs, f"{where}: weight_rec"
            )
            projections.append(Projection(name, name, ProjectionKind.DENSE, again))
        self._append(projections, layer, (outputs,), layer.neuron or DEFAULT_NEURON, where)
        self.flattened = False

    def _inputs(self) -> int | None:
        """Neurons in front of the next layer; None at the start of a flat network."""
        return self.populations[-1].neurons if self.populations else None

    def _dense_source(self, inputs: int, where: str) -> Population:
        """The population before; without an input layer, spikes in the order of the weights."""
        if not self.populations:
            self.populations.append(plain_population("input", (inputs,), PopulationKind.INPUT))
        source = self.populations[-1]
        if len(source.shape) == 3 and not self.flattened:
            if not source.kind.enters:
                raise _refused(where, "dense straight behind an image", "a flatten layer between")
            source = plain_population("input", (inputs,), PopulationKind.INPUT)
            self.populations[-1] = source
        return source

    def _check_dense(self, layer: NetxLayer, weight: IntArray, where: str) -> None:
        """Weights that ``optimize_weight_bits`` and Lava's truncation leave as they are."""
        if layer.type == "dense_rec":
            rows = len(weight)
            again = _matrix(_present(layer.weight_rec, where), rows, rows, f"{where}: weight_rec")
            both = np.hstack([weight, again])
            if not _safe_for_any_half(both) or layer.delay.any():
                raise _refused(
                    where,
                    "a recurrent layer with delays, or weights that one half would lose",
                    "no delay; weights in -127 .. 127, or even ones in -254 .. 254",
                )
            return
        low, high = int(weight.min()), int(weight.max())
        if not weight.any() or not (loads_exactly(weight) or low < 0 < high):
            raise _refused(
                where,
                f"weights {low} .. {high}, which netx zeroes, clips or fails on without a word",
                "-127 .. 127, or even numbers in -254 .. 254, or one sign within 255; not all zero",
            )
        if not loads_exactly(weight):
            if low < -256 or high > 254:
                raise _refused(where, f"weights {low} .. {high}, which netx clips", "-256 .. 254")
            told = (
                "odd weights of both signs beyond 127 need 9 bits; "
                "Lava's simulator takes them, an 8-bit synapse does not"
            )
            self.notes.append((where, told))

    def _append(
        self,
        projections: list[Projection],
        layer: NetxLayer,
        shape: tuple[int, ...],
        neuron: NetxNeuron,
        where: str,
    ) -> None:
        self._tell_unread(neuron, where)
        name = projections[0].target
        population = _population(name, shape, neuron, layer.bias, where)
        if abs(population.bias_mant).max() > MAX_BIAS:
            told = "biases beyond the chip's 13 bits; the simulator takes them"
            self.notes.append((where, told))
        self.populations.append(population)
        self.projections += projections

    def _tell_unread(self, neuron: NetxNeuron, where: str) -> None:
        if neuron.unread:
            told = (
                f"the neuron's {', '.join(neuron.unread)} does nothing, as in netx, which "
                "does not read it: a neuron may fire again in the next step, and a spike is 1"
            )
            self.notes.append((where, told))

    def _name(self, layer: NetxLayer, stem: str) -> str:
        """The file's own name (tssd writes one), else conv1, conv2, ..., fc1, ..."""
        taken = [p.name for p in self.populations]
        if layer.name != f"layer{layer.index}" and layer.name not in taken:
            return layer.name
        return next(n for i in count(1) if (n := f"{stem}{i}") not in taken)


def _together(notes: list[tuple[str, str]]) -> tuple[str, ...]:
    """What is said, once each, behind all the layers that it is said of."""
    layers: dict[str, list[str]] = {}
    for where, told in notes:
        layers.setdefault(told, []).append(where)
    return tuple(
        f"{', '.join(places)}: {told}" if all(places) else told for told, places in layers.items()
    )


def _refused(where: str, found: str, allowed: str) -> NetworkError:
    return NetworkError(f"netx {where}", found=found, allowed=allowed)


def _present(array: IntArray | None, where: str) -> IntArray:
    if array is None:
        raise _refused(where, "no weights", "a data set 'weight' ('weight_rec' too if recurrent)")
    return array


def _matrix(weight: IntArray, outputs: int, inputs: int | None, where: str) -> IntArray:
    """(outputs, inputs); a flat list of weights counts row by row, as netx has it."""
    rows = weight.reshape(outputs, -1) if weight.ndim == 1 and not weight.size % outputs else weight
    if rows.ndim == 2 and len(rows) == outputs and (inputs is None or rows.shape[1] == inputs):
        return rows
    turned = weight.ndim == 2 and weight.shape[1] == outputs and inputs in (None, weight.shape[0])
    raise NetworkError(
        f"netx {where}",
        found=f"weights of shape {weight.shape}",
        allowed=f"({outputs}, {inputs or 'inputs'}), one row per neuron of the layer",
        hint="are they transposed?" if turned else "is the layer's shape right?",
    )


def _check_declared(layer: NetxLayer, weight: IntArray, where: str) -> None:
    """What the file says of a matrix beside the matrix; netx passes over it."""
    said = (layer.outputs, layer.inputs)
    for number, size, word in zip(said, weight.shape, ("outFeatures", "inFeatures"), strict=True):
        if number not in (None, size):
            raise _refused(
                where, f"{word} {number} over weights of shape {weight.shape}", str(size)
            )


def _safe_for_any_half(weight: IntArray) -> bool:
    """One shift for two matrices: each alone may have one sign only."""
    top, even = int(abs(weight).max()), not (weight % 2).any()
    return 0 < top <= 127 or (even and top <= 254)


def _delay_bins(weight: IntArray, delay: IntArray, where: str) -> Iterator[tuple[int, IntArray]]:
    """(delay, weights of that delay); a vector counts outputs first, then inputs, as netx does."""
    per_synapse = _spread(delay, weight, where)
    if delay.min() < 0 or delay.max() > MAX_DELAY:
        raise _refused(
            where, f"a delay of {delay.max()}", f"0 .. {MAX_DELAY}: netx clamps longer ones"
        )
    for value in np.unique(per_synapse):
        part = np.where(per_synapse == value, weight, 0)
        if part.any():
            yield int(value), part


def _spread(delay: IntArray, weight: IntArray, where: str) -> IntArray:
    if delay.ndim == 1 and delay.size in weight.shape:
        column = delay.size == weight.shape[0]
        delay = delay[:, None] if column else delay[None, :]
    elif delay.ndim not in (0, 2) or (delay.ndim == 2 and delay.shape != weight.shape):
        raise _refused(
            where, f"delays of shape {delay.shape}", f"(), (out,), (in,), {weight.shape}"
        )
    return np.broadcast_to(delay, weight.shape)


def _population(
    name: str, shape: tuple[int, ...], neuron: NetxNeuron, bias: IntArray | None, where: str
) -> Population:
    mantissa = constant(0, shape) if bias is None else _parameter(bias, shape, f"{where}: bias")
    if abs(mantissa).max() > INT16:
        raise _refused(where, f"a bias of {abs(mantissa).max()}", f"<= {INT16}: Lava wraps others")
    return Population(
        name,
        shape,
        PopulationKind.LIF,
        Reset.HARD,
        du=_parameter(neuron.i_decay, shape, f"{where}: iDecay"),
        dv=_parameter(neuron.v_decay, shape, f"{where}: vDecay"),
        vth=_parameter(neuron.vth, shape, f"{where}: vThMant"),
        bias_mant=mantissa,
        bias_exp=BIAS_EXP,
    )


def _parameter(value: IntArray, shape: tuple[int, ...], where: str) -> IntArray:
    """A scalar, one per channel (per neuron if flat), or Lava's (W, H, C), in our layout."""
    if value.size == 1:
        return constant(int(value.flat[0]), shape)
    if value.shape == shape[:1]:
        return value.reshape(-1, *(1,) * (len(shape) - 1))
    if len(shape) == 3 and value.shape == shape[::-1]:
        return np.ascontiguousarray(value.transpose(2, 1, 0))
    raise _refused(where, f"shape {value.shape}", f"(), {shape[:1]} or {shape[::-1]}")


def _check_conv_shape(
    source: Population, projection: Projection, declared: tuple[int, ...], where: str
) -> None:
    """The declared shape and channels follow from the source's, or netx raises."""
    if projection.groups < 1 or len(projection.weight) % projection.groups:
        found = f"{len(projection.weight)} channels in {projection.groups} groups"
        raise _refused(where, found, "equal groups")
    try:
        computed = output_shape(projection, source.shape)
    except NetworkError as error:
        raise _refused(where, error.found, error.allowed or "what fits") from None
    if computed != declared:
        raise _refused(where, f"shape {declared}", f"{computed}, which follows from its input")
