# pyright: reportMissingImports=false
"""Model -> Lava processes: one per population, one per projection (plus a delay line)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lava.proc.conv.process import Conv
from lava.proc.dense.process import DelayDense, Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIFReset
from lava.utils.weightutils import SignMode
from model import Model, Population, Projection, to_lava
from tssd_processes.processes import LEVELS, DelayLine, OurLif, Relay

NEVER = 131072  # vth << 6 = 2**23, above the saturation value of v
PAYLOAD_BITS = 24
MOST_GROUPS = 127  # Lava keeps the number of groups in an int8


@dataclass(frozen=True)
class Link:
    """A projection as processes: source spikes -> delay (or None) -> synapse -> target."""

    projection: Projection
    delay: Any
    synapse: Any


@dataclass(frozen=True)
class Graph:
    model: Model
    populations: Any  # one process each, in the model's order
    links: Any
    interval: int
    samples: int

    @property
    def steps(self) -> int:
        return int(self.interval * self.samples + max(self.model.depths()))


class Refused(ValueError):
    """Stock Lava cannot say this; the message names what."""


def interval_of(model: Model, interval: int) -> int:
    """Steps from one sample to the next: T plus the longest delay, unless given."""
    least = model.time_steps + max((j.delay for j in model.projections), default=0)
    if interval and interval < least:
        raise Refused(f"a reset interval of {interval} steps; at least {least}")
    return interval or least


def build(model: Model, inputs: Any, interval: int = 0) -> Graph:
    """Processes for samples shown back to back; ``inputs`` is (T, N, *input shape)."""
    interval = interval_of(model, interval)
    depth, samples = model.depths(), inputs.shape[1]
    steps = interval * samples + max(depth)
    shown = present(model, inputs, interval, steps)
    neurons = [_source(model, interval, shown)]
    neurons += [
        _population(p, d + 1, interval)
        for p, d in zip(model.populations[1:], depth[1:])  # noqa: B905 (equal by construction)
    ]
    links = [_link(model, j) for j in model.projections]
    return Graph(model, neurons, links, interval, samples)


def present(model: Model, inputs: Any, interval: int, steps: int) -> Any:
    """Inputs of every chip step (steps, *lava shape): silence between and after the samples."""
    shape = model.populations[0].lava_shape
    shown = np.zeros((steps, *shape), np.int32)
    lava = to_lava(inputs, len(shape))
    for n in range(inputs.shape[1]):
        shown[n * interval : n * interval + len(inputs)] = lava[:, n]
    return shown


def _source(model: Model, interval: int, shown: Any) -> Any:
    population = model.populations[0]
    if model.input_coding == "bias":
        _check_bias(population.name, shown)
        return _lif(population, 1, interval, schedule=shown)
    return RingBuffer(data=np.moveaxis(shown, 0, -1))


def _population(population: Population, offset: int, interval: int) -> Any:
    if population.kind == "relay":
        return Relay(shape=population.lava_shape)
    return _lif(population, offset, interval)


def _lif(population: Population, offset: int, interval: int, schedule: Any = None) -> Any:
    """A LIF whose state is zeroed at the start of every step t (from 1) = offset mod interval."""
    rank = len(population.shape)
    _check_bias(population.name, population.bias_mant)
    never = population.kind == "readout"
    parameters = {
        "shape": population.lava_shape,
        "du": _parameter(population.du - 1, rank),
        "dv": _parameter(population.dv, rank),
        "vth": NEVER if never else _parameter(population.vth, rank),
        "bias_mant": np.broadcast_to(to_lava(population.bias_mant, rank), population.lava_shape),
        "bias_exp": population.bias_exp,
        "reset_interval": interval,
        "reset_offset": offset % interval,
    }
    levels = {name: _parameter(array, rank) for name, array in population.levels.items()}
    unknown = sorted(set(levels) - set(LEVELS))
    if unknown:
        raise Refused(f"population {population.name}: a neuron with {', '.join(unknown)}")
    if schedule is None and not levels and (never or population.reset == "hard"):
        return LIFReset(**parameters)
    kind = "none" if never else population.reset
    return OurLif(reset_kind=kind, levels=levels, schedule=schedule, **parameters)


def _parameter(array: Any, rank: int) -> Any:
    """One number where the array is uniform, else an array that broadcasts in Lava's layout."""
    values = np.unique(array)
    return int(values[0]) if len(values) == 1 else to_lava(array, rank).astype(np.int32)


def _check_bias(name: str, mantissa: Any) -> None:
    if mantissa.size and np.abs(mantissa).max() > 32767:
        raise Refused(f"population {name}: a bias mantissa beyond 16 bits")


def _arrow(source: Population, target: Population) -> str:
    return f"projection {source.name} -> {target.name}"


def _link(model: Model, j: Projection) -> Link:
    source, target = model.populations[j.source], model.populations[j.target]
    binary = source.kind == "lif" or (source.kind == "input" and model.input_coding == "spikes")
    bits = 0 if binary else PAYLOAD_BITS
    if j.kind == "dense":
        return Link(j, None, _dense(j, source, target, bits))
    if j.kind == "conv2d_transposed":
        return _transposed(j, source, target, bits)
    delay = DelayLine(shape=source.lava_shape, delay=j.delay) if j.delay else None
    return Link(j, delay, _conv(j, source, target, bits))


def _transposed(j: Projection, source: Population, target: Population, bits: int) -> Link:
    """A convolution of stride one over the source spread out by the stride, zeros between and
    around."""
    sides = zip(source.shape[1:], j.weight.shape[2:], j.stride, j.padding, j.dilation)  # noqa: B905
    places = []
    for n, taps, step, padding, gap in sides:
        margin = gap * (taps - 1) - padding
        places.append(
            ((n - 1) * step + 1 + 2 * margin, list(range(margin, margin + n * step, step)))
        )
    spread = DelayLine(shape=source.lava_shape, delay=j.delay, places=places[::-1])
    plain = replace(j, stride=(1, 1), padding=(0, 0))
    wide = replace(source, shape=(source.shape[0], *(size for size, _ in places)))
    return Link(j, spread, _conv(plain, wide, target, bits))


def _dense(j: Projection, source: Population, target: Population, bits: int) -> Any:
    weight, exponent, mode = _dense_weight(j, source, target)
    parameters = {
        "weights": weight,
        "weight_exp": exponent,
        "num_weight_bits": 8,
        "sign_mode": mode,
        "num_message_bits": bits,
    }
    if not j.delay:
        return Dense(**parameters)
    return DelayDense(delays=np.full(weight.shape, j.delay), **parameters)


def _dense_weight(j: Projection, source: Population, target: Population) -> Any:
    """Weights in Lava's order, as 8-bit synapses hold them: (weights, exponent, sign mode).

    Mixed signs mean even weights at 8 bits, so odd ones are doubled and the sum shifted back.
    """
    w = _in_lava_order(j.weight, source, target)
    if w.min() >= 0 and w.max() <= 255:
        return w, j.weight_exp, SignMode.EXCITATORY
    if w.max() <= 0 and w.min() >= -255:
        return w, j.weight_exp, SignMode.INHIBITORY
    if not np.any(w % 2) and w.min() >= -256 and w.max() <= 254:
        return w, j.weight_exp, SignMode.MIXED
    if w.min() >= -128 and w.max() <= 127:
        return 2 * w, j.weight_exp - 1, SignMode.MIXED
    raise Refused(
        f"{_arrow(source, target)}: weights {w.min()} .. {w.max()} do not fit 8-bit synapses"
    )


def _in_lava_order(w: Any, source: Population, target: Population) -> Any:
    """Columns and rows from C, H, W order to W, H, C order."""
    out = to_lava(np.arange(w.shape[0]).reshape(target.shape), len(target.shape)).ravel()
    into = to_lava(np.arange(w.shape[1]).reshape(source.shape), len(source.shape)).ravel()
    return w[np.ix_(out, into)]


def _conv(j: Projection, source: Population, target: Population, bits: int) -> Any:
    if j.weight_exp < 0:
        raise Refused(
            f"{_arrow(source, target)}: a right shift of {-j.weight_exp} on a convolution, "
            "which Lava ignores"
        )
    weight, groups = merged_groups(j.weight << j.weight_exp, j.groups)
    return Conv(
        weight=weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1).astype(np.int32),
        input_shape=source.lava_shape,
        stride=j.stride[::-1],
        padding=j.padding[::-1],
        dilation=j.dilation[::-1],
        groups=groups,
        num_message_bits=bits,
    )


def merged_groups(weight: Any, groups: int) -> Any:
    """The same convolution with at most MOST_GROUPS groups: neighbours share one, zeros between."""
    merge = next(m for m in range(1, groups + 1) if groups % m == 0 and groups // m <= MOST_GROUPS)
    out, each, height, width = weight.shape
    wide = np.zeros((out, each * merge, height, width), weight.dtype)
    for k in range(out):
        slot = (k // (out // groups)) % merge
        wide[k, slot * each : (slot + 1) * each] = weight[k]
    return wide, groups // merge
