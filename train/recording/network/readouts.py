"""What the readout integrates, so that its membrane after the last step is the author's answer.

count, sum of currents   H[T] = sum over t of what arrives
last step                a readout that forgets: H[T] = what arrives in step T
membrane                 of a neuron that subtracts late: mem = beta mem + I - theta s[t-1],
                         which is linear in its own spikes of the step before
sum of membranes         the same as a synaptic memory, summed
largest membrane         the same membrane, read in every step
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch

from tssd.errors import NetworkError
from tssd.train.handover.float_network import FloatArray
from tssd.train.recording.recording import Output, Readout
from tssd.train.recording.steps import Link, Origin, SiteStep, Sum, refuse_current, refuse_rule
from tssd.train.recording.tape.neurons import After, Rule, over
from tssd.train.recording.tape.values import Op, Opaque, scale_op


@dataclass(frozen=True, eq=False)
class Reads:
    """The readout: what arrives in a step, its decay and, if any, its synaptic memory."""

    name: str
    step: Sum
    decay: FloatArray
    memory: FloatArray | None = None
    largest: bool = False  # of every step, not of the last


def reads_of(
    steps: Sequence[SiteStep], step: Sum, about: Output, rule: Readout, groups: int | None
) -> Reads:
    """How *about* is read by *rule*; *step* is what it is in one step."""
    if rule.of_membrane and about.what != "currents":
        return _membrane(steps, step, about, rule)
    if about.what == "membrane":
        step = _spikes_instead(step)
    if groups is not None:
        step = _grouped(step, groups)
    decay = np.array([0.0 if rule.of_last_step and not rule.of_membrane else 1.0])
    return Reads(about.name, step, decay)


def _spikes_instead(step: Sum) -> Sum:
    link = step.links[0]
    return Sum(step.shape, (replace(link, origin=replace(link.origin, output="spk")),), step.const)


def _grouped(step: Sum, groups: int) -> Sum:
    """Neighbouring outputs summed: class g is read from outputs g n .. g n + n - 1."""
    size = prod(step.shape) // groups
    weight = torch.eye(groups, dtype=torch.float64).repeat_interleave(size, 1)
    op = Op("dense", (groups,), (), lambda x: x.flatten(1) @ weight.T, (weight,))
    links = tuple(replace(link, ops=(*link.ops, op)) for link in step.links)
    return Sum((groups,), links, op.apply(step.const[None])[0])


def _membrane(steps: Sequence[SiteStep], step: Sum, about: Output, rule: Readout) -> Reads:
    site = step.links[0].origin.site
    neuron = steps[site]
    if isinstance(neuron.rule, str):
        raise refuse_rule(neuron.path, neuron.rule)
    if isinstance(neuron.current, Opaque):
        raise refuse_current(neuron.current)
    total = _scaled(_membrane_current(neuron, neuron.rule, site), step.links[0].ops, neuron.path)
    shape = (prod(neuron.shape),)
    decay = over(neuron.rule.decay, neuron.shape).reshape(shape) * float(neuron.keeps)
    memory = neuron.rule.memory
    held = None if memory is None or not neuron.keeps else over(memory, neuron.shape).reshape(shape)
    if rule.of_last_step or rule.of_largest:
        return Reads(about.name, total, decay, held, rule.of_largest)
    if held is not None:
        raise NetworkError(
            f"module {neuron.path}",
            found="the sum of membranes behind a synaptic current",
            allowed="the last membrane, or the spike count",
        )
    one = np.ones(1)
    return Reads(about.name, total, one, decay if neuron.keeps else None)


def _scaled(total: Sum, ops: tuple[Op, ...], path: str) -> Sum:
    """Times the factor of what the author made of the membranes (a mean over the steps)."""
    factors = [op.constants[0].reshape(()) for op in ops if op.kind == "scale"]
    if not factors:
        return total
    op = scale_op(torch.stack(factors).prod(), total.shape, path)
    links = tuple(replace(link, ops=(*link.ops, op)) for link in total.links)
    return Sum(total.shape, links, op.apply(total.const[None])[0])


def _membrane_current(neuron: SiteStep, rule: Rule, site: int) -> Sum:
    """What enters the membrane, its own reset among it."""
    current = neuron.current
    assert isinstance(current, Sum)
    if not (rule.gain.numel() == 1 and float(rule.gain) == 1):
        op = scale_op(rule.gain, current.shape, neuron.path)
        links = tuple(replace(link, ops=(*link.ops, op)) for link in current.links)
        current = Sum(current.shape, links, op.apply(current.const[None])[0])
    if not neuron.keeps or (rule.after is After.NONE and rule.recurrent is None):
        return current
    if not _linear(rule):
        raise NetworkError(
            f"module {neuron.path}",
            found=f"the membrane of a {rule.kind} with reset {rule.after}",
            allowed="the membrane of a neuron that subtracts or never resets, without recurrence",
            hint="--readout count, or an output neuron with reset_mechanism='none'",
        )
    late = 1 if rule.after is After.SUBTRACT else 0
    origin = Origin("neuron", neuron.shape, site, "spk", late)
    back = scale_op(-rule.theta / rule.factor, neuron.shape, neuron.path)
    return Sum(current.shape, (*current.links, Link(origin, (back,))), current.const)


def _linear(rule: Rule) -> bool:
    """Whether the membrane is a linear map of what arrives and of its own spikes."""
    behind_current = rule.memory is not None and rule.after is not After.NONE
    to_zero = rule.after in (After.ZERO, After.ZERO_NOW)
    return rule.recurrent is None and not to_zero and not behind_current
