"""IntNetwork -> ONNX in standard operators: spikes and membranes equal ``calibration.neuron``'s.

Two graphs: one time step with explicit integer states in and out, and one of all steps, in which
``Scan`` carries the states. Between, integers travel in floats proven to hold them: float32 where
every value of a population's step stays within 2**24, else float64. Per population (``<name>.u``
only where there is synaptic memory, ``<name>.v``):

    a   Conv / Gemm, see ``onnx_synapse``
    u   Mul by (4096 - du) / 4096, Cast to integer and back (truncates toward zero), Add, wrap
    v   the same with dv, Clip (left out where |v| provably stays inside)
    s   Clip(v - threshold, 0, 1): exactly 0 or 1, for both are integers
    v   v - s * threshold, or v - s * v
    top Max(top, v + 2**23) of a readout whose largest membrane is read: the state starts at zero,
        below every v + 2**23

Integer kernels (``ConvInteger``, ``MatMulInteger``) are not used: some CPUs add pairs of uint8 x
int8 products in 16 bits and saturate for payloads up to 255; floats have no such case.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Reset,
    depths,
    lag,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT
from tssd.calibration.neuron import parameters
from tssd.calibration.simulate import check_silence, recurrent
from tssd.errors import NetworkError
from tssd.export.onnx.builder import Builder
from tssd.export.onnx.layers import (
    PAYLOAD,
    OnnxStage,
    Update,
    one_step,
    populations_table,
    written,
)
from tssd.export.onnx.ranges import INT32_LIMIT, OnnxRange, fraction
from tssd.export.onnx.synapse import Synapses

SCHEMA = "tssd-onnx/1"
NAME = "tssd"
TOP = "top"  # state of a readout whose largest membrane is read: that, plus STATE_LIMIT
READ = ("keep_u", "keep_v", "threshold", "subtracted")


def onnx_bytes(network: IntNetwork) -> dict[str, bytes]:
    """The bundle's two files: the one-step graph and the Scan graph, deterministic."""
    return {"network.onnx": step_bytes(network), "network_scan.onnx": scan_bytes(network)}


def step_bytes(network: IntNetwork) -> bytes:
    """One time step. Inputs: the source population's name and the states, each (batch, *shape);
    outputs: ``<state>.next`` and ``<population>.spikes``."""
    return written(dialect(network), NAME, _about(network), "step")


def scan_bytes(network: IntNetwork, *, trace: bool = False) -> bytes:
    """All steps. Input ``<source>.series`` (T, batch, *shape); outputs ``<state>.final`` and
    ``<population>.spikes.series``; with *trace* also ``<population>.{u,v}.trace.series``."""
    return written(dialect(network, trace=trace), NAME, _about(network), "scan", trace=trace)


def check(network: IntNetwork) -> None:
    """NetworkError where the network has no exact graph."""
    one_step(dialect(network))


def dialect(network: IntNetwork, *, trace: bool = False) -> "IntegerDialect":
    """The integer network's way to write itself.

    States start at zero, and with recurrence that is the chip's first step only where nothing fires
    before it (``check_silence``).
    """
    _check_recurrence(network)
    network = _without_mute_ways(network)
    ranges, depth = OnnxRange(network), depths(network)
    if network.input_coding.as_bias and network.source.bias_exp < 0:
        raise NetworkError(
            f"population {network.source.name}",
            found=f"bias_exp {network.source.bias_exp}",
            allowed=">= 0",
        )
    stages = tuple(_stage(network, ranges, depth, p) for p in network.populations)
    for p in network.populations:
        parameters(p, READ)
    return IntegerDialect(stages, network, ranges, Synapses(network, ranges, trace))


def _check_recurrence(network: IntNetwork) -> None:
    """Refuse ways back that a graph of neurons with states cannot say, and spikes from before the
    first step that could return by one."""
    for j in filter(network.is_recurrent, network.projections):
        ends = network.population(j.source), network.population(j.target)
        if not all(p.has_state for p in ends):
            kinds = " to ".join(str(p.kind) for p in ends)
            raise NetworkError(
                f"projection {j.name}",
                found=f"recurrence from {kinds}",
                allowed="ways back from neurons to neurons, which have a state",
            )
    if recurrent(network):
        check_silence(network)


def _without_mute_ways(network: IntNetwork) -> IntNetwork:
    """A readout never fires: what leads back from it delivers nothing, and has no node to read."""
    mute = {p.name for p in network.populations if p.kind.reads_out}
    heard = tuple(j for j in network.projections if j.source not in mute)
    return replace(network, projections=heard)


def _stage(
    network: IntNetwork, ranges: OnnxRange, depth: Mapping[str, int], p: Population
) -> OnnxStage:
    presented = None
    if p is network.source:
        presented = "bias" if network.input_coding.as_bias else "payload"
    dtype = ranges.state_dtype(p)
    labels = ["v"] if np.all(p.du == DECAY_ONE) else ["u", "v"]
    labels += [TOP] if p.membrane_read.of_every_step else []
    return OnnxStage(
        p.name,
        p.shape,
        tuple((j.source, lag(network, j, depth)) for j in network.incoming(p.name)),
        PAYLOAD if p.kind.enters else ranges.carrier(p),
        None if p.kind.reads_out else ranges.dtype(p),
        dict.fromkeys(labels, dtype) if p.has_state else {},
        presented,
    )


@dataclass(frozen=True)
class IntegerDialect:
    """Writes the integer network; see the module's head."""

    stages: tuple[OnnxStage, ...]
    network: IntNetwork
    range: OnnxRange
    synapses: Synapses

    def drive(self, out: Builder, stage: OnnxStage, sent: list[str]) -> str:
        """u of a population without memory, a << 6 with it, the payload of a relay."""
        p = self.network.population(stage.name)
        if p.kind.relays:
            return self.synapses.activation(out, p, sent, 1)
        u = self.synapses.activation(out, p, sent, UNIT)
        return u if "u" in stage.states else self._turned(out, p, u)

    def presented(self, out: Builder, stage: OnnxStage, sample: str) -> str:
        """The bias mantissa of the first population, shifted."""
        exponent = self.network.source.bias_exp
        bias = out.converted(sample, "int32", stage.carrier)
        return out.add("Mul", bias, out.scalar(1 << exponent, stage.carrier)) if exponent else bias

    def update(
        self,
        out: Builder,
        stage: OnnxStage,
        drive: str | None,
        bias: str | None,
        states: Mapping[str, str],
    ) -> Update:
        """One step of the neurons; ``drive`` is u itself where there is no synaptic memory."""
        p = self.network.population(stage.name)
        after, u = {}, drive
        if "u" in states:
            decayed = self._decayed(out, p, states["u"], "u")
            u = self._turned(out, p, out.total([decayed, *([drive] if drive else [])]))
            after["u"] = u
        v = self._decayed(out, p, states["v"], "v")
        folded = bias is None and self.synapses.folds_bias(p)
        if bias is None and not folded and np.any(p.bias):
            bias = out.constant(f"{p.name}.bias", p.bias.astype(stage.carrier))
        v = out.total([v, *(x for x in (u, bias) if x)])
        if self.range.voltage_clips(p):
            v = _clipped(out, v, 1 - STATE_LIMIT, STATE_LIMIT - 1, stage.carrier)
        v, spikes = self._fire(out, p, v, stage.carrier)
        after["v"] = v if v != states["v"] else out.add("Identity", v)
        if TOP in states:
            lifted = out.add("Add", v, out.scalar(STATE_LIMIT, stage.carrier))
            after[TOP] = out.add("Max", states[TOP], lifted)
        silent = out.add("Sub", v, v) if u is None and self.synapses.trace else ""
        return Update(after, spikes, {"u": u or silent, "v": v})

    def _decayed(self, out: Builder, p: Population, x: str, label: str) -> str:
        """tz(x * (4096 - decay) / 4096): an exact product, then truncated by a Cast."""
        decay = p.du if label == "u" else p.dv
        small, divisor = fraction(decay)
        carrier, bound = self.range.carrier(p), self.range.state(p, label)
        if np.all(small == divisor):
            return x
        factor = out.constant(f"{p.name}.keep_{label}", (small / divisor).astype(carrier))
        product = out.add("Mul", x, factor)
        if divisor == 1:  # every multiplier is 0 or 1
            return product
        whole = out.cast(product, "int32" if bound < INT32_LIMIT else "int64")
        return out.cast(whole, carrier)

    def _turned(self, out: Builder, p: Population, u: str) -> str:
        """One conditional turn of 2**24: ``calibration.integer.wrap_current``."""
        if not self.range.current_wraps(p):
            return u
        carrier = self.range.carrier(p)
        limit, turn = out.scalar(STATE_LIMIT, carrier), out.scalar(2 * STATE_LIMIT, carrier)
        above = _clipped(out, out.add("Sub", u, limit), 0, 1, carrier)
        least = out.scalar(1 - STATE_LIMIT, carrier)
        below = _clipped(out, out.add("Sub", least, u), 0, 1, carrier)
        turns = out.add("Sub", above, below)
        return out.add("Sub", u, out.add("Mul", turns, turn))

    def _fire(self, out: Builder, p: Population, v: str, carrier: str) -> tuple[str, str | None]:
        """(v after the reset, spikes as payload)."""
        if p.kind.reads_out:
            return v, None
        threshold = out.constant(f"{p.name}.threshold", (p.vth * UNIT).astype(carrier))
        fired = _clipped(out, out.add("Sub", v, threshold), 0, 1, carrier)
        match p.reset:
            case Reset.SOFT:
                v = out.lowered(v, fired, self._subtracted(out, p, carrier))
            case Reset.HARD:
                v = out.lowered(v, fired, v)
            case Reset.NONE:
                pass
            case _:
                assert_never(p.reset)
        return v, out.converted(fired, carrier, PAYLOAD)

    def _subtracted(self, out: Builder, p: Population, carrier: str) -> str:
        """What a soft reset takes from v, in membrane units."""
        label = "threshold" if p.reset_by is None else "reset_by"
        return out.constant(f"{p.name}.{label}", (p.subtracted * UNIT).astype(carrier))


def _clipped(out: Builder, x: str, low: int, high: int, carrier: str) -> str:
    return out.add("Clip", x, out.scalar(low, carrier), out.scalar(high, carrier))


def _scales(p: Population) -> dict[str, object]:
    own = {"channel_scales": p.channel_scales} if p.channel_scales else {}
    return {"scale": p.scale, **own}


def _about(network: IntNetwork) -> dict[str, str]:
    """What a reader needs beside the graph: the tensors' meaning and the float scale."""
    return {
        "schema": SCHEMA,
        "time_steps": str(network.time_steps),
        "input_coding": str(network.input_coding),
        "input_max": str(network.input_max),
        "populations": populations_table(network.populations, _scales),
    }
