"""What a module returns: spikes, membranes or currents, of every step, summed, or of the last."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from tssd.arrays import IntArray
from tssd.train.recording.recording import Output, Over
from tssd.train.recording.steps import Cut, Link, SiteStep, Sum, sums_differ
from tssd.train.recording.tape.follow import Follower
from tssd.train.recording.tape.gathers import reshape_op
from tssd.train.recording.tape.returned import Place, leaf, leaves, name_of
from tssd.train.recording.tape.values import ROWS, Followed, Op, Opaque, Term, Value


@dataclass(frozen=True, eq=False)
class _Read:
    """A sum per step, how the steps are handed out, and along which axis."""

    step: Sum | Opaque
    over: Over
    axis: int | None = None


def find_outputs(
    follower: Follower,
    cut: Cut,
    sites: Sequence[SiteStep],
    returned: Sequence[Any],
    handed_back: Sequence[Place],
) -> tuple[Output, ...]:
    """Every returned tensor that depends on the samples."""
    found = []
    listed = _listed(follower, cut, returned[0]) if follower.runs == 1 else {}
    for place, read in listed.items():
        found.append(_described(place, read, sites, state=False))
    for place, first in leaves(returned[0]):
        if follower.of(first) is None or place[:-1] in listed:
            continue
        if follower.runs > 1:
            read = _each_run(follower, cut, [leaf(r, place) for r in returned])
        else:
            read = _at_once(follower, cut, first)
        about = _described(place, read, sites, state=place in handed_back)
        found.append(_behind_softmax(about, follower.of(first)))
    return tuple(found)


def _listed(follower: Follower, cut: Cut, returned: Any) -> dict[Place, _Read]:
    """Lists with one tensor for each step, as they are without torch.stack."""
    found: dict[Place, _Read] = {}
    for place in dict.fromkeys(place[:-1] for place, _ in leaves(returned) if place):
        parts = leaf(returned, place)
        whole = isinstance(parts, list | tuple) and len(parts) == cut.count > 1
        if not whole or not all(isinstance(part, Tensor) for part in parts):
            continue
        step = _equal([_step_sum(cut, follower.of(p), t) for t, p in enumerate(parts)])
        if isinstance(step, Sum):
            found[place] = _Read(step, Over.EACH, 0)
    return found


def _each_run(follower: Follower, cut: Cut, tensors: Sequence[Tensor]) -> _Read:
    """One tensor per call of the module."""
    sums = [_step_sum(cut, follower.of(tensor), t) for t, tensor in enumerate(tensors)]
    return _Read(_equal(sums), Over.EACH)


def _step_sum(cut: Cut, value: Followed | None, t: int) -> Sum | Opaque:
    if value is None:
        return Opaque("an output that is a constant in one of the steps", "forward")
    if isinstance(value, Opaque) and value.inside is not None:
        value = value.inside
    if isinstance(value, Opaque):
        return value
    if value.lead != (cut.follower.batch,):
        return Opaque("an output that is not per sample", "forward")
    return cut.sum_of(value, t)


def _equal(sums: Sequence[Sum | Opaque]) -> Sum | Opaque:
    """What every step hands out."""
    opaque = next((s for s in sums if isinstance(s, Opaque)), None)
    if opaque is not None:
        return opaque
    like = sums[min(1, len(sums) - 1)]
    assert isinstance(like, Sum)
    for t, mine in enumerate(sums):
        assert isinstance(mine, Sum)
        what = sums_differ(mine, like, t)
        if what:
            reason = f"an output whose steps {t + 1} and 2 differ: {what}"
            return Opaque(reason, "forward")
    return like


def _at_once(follower: Follower, cut: Cut, tensor: Tensor) -> _Read:
    """All steps in one tensor, or what the author made of them."""
    value = follower.of(tensor)
    if isinstance(value, Opaque) and value.inside is not None:
        value = value.inside
    if not isinstance(value, Value):
        assert value is not None
        return _Read(value, Over.EACH)
    if cut.count == 1 and value.lead == (follower.batch,):
        return _Read(_step_sum(cut, value, 0), Over.EACH)
    if len(value.lead) == 2 and cut.count in value.lead:
        axis = 0 if _steps_first(value) else 1
        if value.lead[axis] == cut.count:
            parts = [_picked(value, axis, t) for t in range(cut.count)]
            sums = [_step_sum(cut, part, t) for t, part in enumerate(parts)]
            return _Read(_equal(sums), Over.EACH, axis)
    if value.lead == (follower.batch,):
        last = _steps_last(cut, value)
        if last is not None:
            return _Read(_equal(last), Over.EACH, tensor.dim() - 1)
        return _reduced(cut, value)
    return _Read(Opaque("an output that is neither per sample nor per step", "forward"), Over.EACH)


def _steps_last(cut: Cut, value: Value) -> list[Sum | Opaque] | None:
    """A stack along the last axis of the features: the part of every step, if it is one."""
    if len(value.feat) < 2 or value.feat[-1] != cut.count or value.const is not None:
        return None
    inner = value.feat[:-1]
    every = np.arange(int(np.prod(inner)), dtype=np.int64) * cut.count
    parts: list[Sum | Opaque] = []
    for t in range(cut.count):
        mine = [term for term in value.terms if term.ops and _puts_at(term.ops[-1], every + t)]
        terms = tuple(Term(x.rows, (*x.ops[:-1], reshape_op(inner))) for x in mine)
        if not terms:
            return None
        parts.append(_step_sum(cut, Value(value.lead, inner, terms), t))
    used = sum(len(part.links) for part in parts if isinstance(part, Sum))
    return parts if used == len(value.terms) else None


def _puts_at(op: Op, places: IntArray) -> bool:
    return op.kind == "embed" and op.settings == (places.tobytes(),)


def _steps_first(value: Value) -> bool:
    """(steps, samples) and not (samples, steps)."""
    samples = value.terms[0].rows[..., 0] % ROWS
    return bool((samples == samples[:1]).all())


def _picked(value: Value, axis: int, t: int) -> Value:
    terms = tuple(Term(np.take(term.rows, t, axis), term.ops) for term in value.terms)
    lead = terms[0].rows.shape[:-1]
    return Value(lead, value.feat, terms, value.const)


def _reduced(cut: Cut, value: Value) -> _Read:
    """A sum over all steps, or the last step alone."""
    last = cut.count - 1
    steps = {cut.step_of_row(term, m) for term in value.terms for m in range(term.rows.shape[-1])}
    if steps == {last}:
        return _Read(_step_sum(cut, value, last), Over.LAST)
    parts = [_of_step(cut, value, t) for t in range(cut.count)]
    if any(part is None for part in parts):
        reason = "an output made of some of the steps: every step, or the last, can be read"
        return _Read(Opaque(reason, "forward"), Over.SUM)
    sums = [_step_sum(cut, part, t) for t, part in enumerate(parts)]
    return _Read(_equal(sums), Over.SUM)


def _of_step(cut: Cut, value: Value, t: int) -> Value | None:
    """The part that comes from step *t*; the constant shared by all."""
    terms = []
    for term in value.terms:
        mine = [m for m in range(term.rows.shape[-1]) if cut.step_of_row(term, m) == t]
        if mine:
            terms.append(Term(term.rows[..., mine], term.ops))
    const = None if value.const is None else value.const / cut.count
    return Value(value.lead, value.feat, tuple(terms), const) if terms else None


def _described(place: Place, read: _Read, sites: Sequence[SiteStep], *, state: bool) -> Output:
    about = Output(name_of(place), "currents", "forward", (), read.over, place, state)
    step = read.step
    about = replace(about, step=step, axis=read.axis)
    if isinstance(step, Opaque):
        where = f" (module {step.path})" if step.path else ""
        return replace(about, fault=f"{step.reason}{where}")
    kinds = {link.origin.output for link in step.links if link.origin.kind == "neuron"}
    about = replace(about, shape=step.shape, site=_made_by(step, sites))
    if not step.links:
        return replace(about, fault="an output that does not depend on the samples")
    about = replace(about, neuron=step.links[0].origin.site)
    if kinds & {"mem", "syn"}:
        return _membrane(about, step, kinds)
    plain = _plain_spikes(step)
    return replace(about, what="spikes" if plain else "currents")


def _behind_softmax(about: Output, value: Followed | None) -> Output:
    """The largest stays the largest; but a sum of softmaxes is no softmax of a sum."""
    if not isinstance(value, Opaque) or value.inside is None or about.fault is not None:
        return about
    if about.over is Over.EACH:
        return replace(about, fault=f"a softmax in every step (module {value.path or 'forward'})")
    return replace(about, ordered=True)


def _membrane(about: Output, step: Sum, kinds: set[str]) -> Output:
    about = replace(about, what="membrane")
    if "syn" in kinds:
        return replace(about, fault="a synaptic current: membranes and spikes can be read")
    alone = len(step.links) == 1 and all(_still(op) for op in step.links[0].ops)
    if not alone or bool(step.const.any()):
        return replace(about, fault="membranes behind a map: only a membrane itself can be read")
    return about


def _plain_spikes(step: Sum) -> bool:
    alone = len(step.links) == 1 and step.links[0].origin.kind == "neuron"
    return alone and all(_still(op) for op in step.links[0].ops) and not bool(step.const.any())


def _still(op: Op) -> bool:
    """Another shape, or one positive factor for all."""
    if op.kind == "reshape":
        return True
    return op.kind == "scale" and op.constants[0].numel() == 1 and float(op.constants[0]) > 0


def _made_by(step: Sum, sites: Sequence[SiteStep]) -> str:
    """The path of the last module that the values passed: a layer, or the neuron itself behind the
    layer that it reads (``fc2/lif2``)."""
    link: Link | None = step.links[0] if step.links else None
    if link is None:
        return "forward"
    layer = _layer(link)
    if layer or link.origin.kind != "neuron":
        return layer or "forward"
    site = sites[link.origin.site]
    before = site.current.links if isinstance(site.current, Sum) else ()
    read = _layer(before[0]) if before else None
    return f"{read}/{site.path}" if read and read != site.path else site.path


def _layer(link: Link) -> str | None:
    """The path of the last module among its maps."""
    paths = [op.path for op in link.ops if op.path and not _still(op)]
    return paths[-1] if paths else None
