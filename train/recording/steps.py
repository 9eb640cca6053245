"""The step that repeats: the calls of the neurons, cut into equal steps.

Two steps are equal if each neuron follows the same rule, starts from its own state of the step
before, and receives the same maps of the same sources at the same distance in steps. Then one step
says all. Where steps differ, the first difference is said in the author's words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tssd.errors import NetworkError
from tssd.train.recording.tape.elementwise import Window
from tssd.train.recording.tape.follow import RANDOM, Follower
from tssd.train.recording.tape.neurons import Rule
from tssd.train.recording.tape.seen import Call, Source
from tssd.train.recording.tape.values import ROWS, Op, Opaque, Shape, Term, Value, same_ops


@dataclass(frozen=True, eq=False)
class Origin:
    """What a link reads. ``kind``: input, neuron, max; ``site`` of the neuron and its output;
    ``pool``: the links that enter a maximum, and its window. ``late``: steps ago."""

    kind: str
    feat: Shape
    site: int = -1
    output: str = ""
    late: int = 0
    pool: "Sum | None" = None
    window: Window | None = None


@dataclass(frozen=True, eq=False)
class Link:
    """Maps from one origin, ``times`` over."""

    origin: Origin
    ops: tuple[Op, ...]


@dataclass(frozen=True, eq=False)
class Sum:
    """Links that add up, and a constant (*shape)."""

    shape: Shape
    links: tuple[Link, ...]
    const: Tensor


@dataclass(frozen=True, eq=False)
class SiteStep:
    """One neuron layer in one step; ``current`` Opaque: why it has no counterpart."""

    path: str
    rule: Rule | str
    current: Sum | Opaque
    keeps: bool  # its state comes from its own last step
    state_fault: str | None
    shape: Shape


@dataclass(frozen=True, eq=False)
class Steps:
    """``period`` calls a step, ``count`` steps; ``sites`` as they are from the second step on."""

    period: int
    count: int
    sites: tuple[SiteStep, ...]


@dataclass(frozen=True)
class Difference:
    """What differs between ``step`` and the second step, numbered from 0."""

    step: int
    path: str
    what: str


def find_steps(follower: Follower) -> Steps | Difference:
    """The shortest period whose steps are all equal; or how the steps of the likeliest differ."""
    calls = follower.calls
    names = [c.path for c in calls]
    periods = [p for p in range(1, len(calls) + 1) if _repeats(names, p, calls)]
    first: Difference | None = None
    for period in periods:
        found = Cut(follower, period).steps()
        if isinstance(found, Steps):
            whole = found.count == 1 and follower.runs == 1
            mixed = any(site.state_fault is not None for site in found.sites)
            return found if first is None or not (whole or mixed) else first
        first = first or found
    assert first is not None
    return first


def _repeats(names: Sequence[str], period: int, calls: Sequence[Call]) -> bool:
    """Names come again after *period* calls, and no step reaches over two calls of the module."""
    if len(names) % period or any(n != names[k % period] for k, n in enumerate(names)):
        return False
    runs = [c.run for c in calls]
    return all(len(set(runs[k : k + period])) == 1 for k in range(0, len(runs), period))


class Cut:
    """The calls cut after every *period*."""

    def __init__(self, follower: Follower, period: int) -> None:
        self.follower, self.period = follower, period
        self.count = len(follower.calls) // period
        self.step_of: dict[int, int] = {}  # encoded source -> the step that reads it first
        self.one_encoded = encoded_once(follower)

    def steps(self) -> Steps | Difference:
        """Every step is compared with the second one. Where spikes of several steps ago are read,
        the second does not have them all: then with the last, if one before it has them too (a
        trace of all steps so far grows for ever: no step of it repeats)."""
        steps = [tuple(self.site(t, k) for k in range(self.period)) for t in range(self.count)]
        later = steps[min(1, self.count - 1)]
        first = _odd_step(steps, later)
        if first is None:
            return Steps(self.period, self.count, later)
        if _odd_step(steps, steps[-1]) is None and _reach(steps[-1]) < self.count - 1:
            return Steps(self.period, self.count, steps[-1])
        return first

    def site(self, t: int, k: int) -> SiteStep:
        call = self.follower.calls[t * self.period + k]
        keeps, fault = self._state(call, t, k)
        entering = call.current
        current = self.sum_of(entering, t) if isinstance(entering, Value) else entering
        return SiteStep(call.path, call.rule, current, keeps, fault, call.shape)

    def _state(self, call: Call, t: int, k: int) -> tuple[bool, str | None]:
        origins = {s.call for s in call.states.values()}
        changed = next((s.changed for s in call.states.values() if s.changed), None)
        if changed:
            return False, changed
        if origins == {None}:
            return False, None
        if origins == {(t - 1) * self.period + k}:
            return True, None
        other = next((c for c in origins if c is not None), 0)
        step, site = divmod(other, self.period)
        if site != k:
            name = f"call {site + 1} of the step"
            return False, f"its state is that of another call of the same neuron ({name})"
        return False, f"its state is that of {t - step} steps before"

    # ------------------------------------------------------------ sums

    def step_of_row(self, term: Term, m: int) -> int:
        """The step of the source; what enters statically is of no step (-1)."""
        source = self.follower.sources[int(term.rows[..., m].flat[0] // ROWS)]
        if source.kind == "neuron":
            return source.index // self.period
        if source.kind == "max" and source.pooled is not None:
            return max((self.step_of_row(t, 0) for t in source.pooled.terms), default=-1)
        return source.index if source.kind == "frame" else -1

    def sum_of(self, value: Value, t: int) -> Sum | Opaque:
        links: list[Link] = []
        for term in value.terms:
            for m in range(term.rows.shape[-1]):
                origin = self._origin(int(term.rows[..., m].flat[0] // ROWS), t)
                if isinstance(origin, Opaque):
                    return origin
                links.append(Link(origin, term.ops))
        const = torch.zeros(value.feat, dtype=torch.float64) if value.const is None else value.const
        return Sum(value.feat, tuple(links), const)

    def _origin(self, source: int, t: int) -> Origin | Opaque:
        s = self.follower.sources[source]
        if s.kind == "neuron":
            step, site = divmod(s.index, self.period)
            return Origin("neuron", s.feat, site, s.output, t - step)
        if s.kind == "max":
            assert s.pooled is not None
            inner = self.sum_of(s.pooled, t)
            if isinstance(inner, Opaque):
                return inner
            return Origin("max", s.feat, pool=inner, window=s.window)
        return Origin("input", s.feat, output=s.output, late=self._lateness(s, source, t))

    def _lateness(self, s: Source, source: int, t: int) -> int:
        """0 where step t reads its own frame; encoded frames come in the order of their making."""
        if s.kind == "input" or (s.kind == "encoder" and self.one_encoded):
            return 0
        if s.kind == "frame":
            return t - s.index
        return t - self.step_of.setdefault(source, t)


def _odd_step(steps: Sequence[Sequence[SiteStep]], like: Sequence[SiteStep]) -> Difference | None:
    """The first step that is not *like*."""
    for t, step in enumerate(steps):
        for mine, theirs in zip(step, like, strict=True):
            what = _difference(mine, theirs, t)
            if what:
                return Difference(t, mine.path, what)
    return None


def _reach(step: Sequence[SiteStep]) -> int:
    """How many steps ago the oldest value was sent that *step* reads."""
    sums = [site.current for site in step if isinstance(site.current, Sum)]
    return max((link.origin.late for total in sums for link in every_link(total)), default=0)


def encoded_once(follower: Follower) -> bool:
    """Whether every step reads the same encoded values."""
    parts = [follower.encoded[s] for s in encoded_order(follower)]
    drawn = any(follower.sources[s].output in RANDOM for s in encoded_order(follower))
    return len(parts) == 1 or (not drawn and all(torch.equal(p, parts[0]) for p in parts))


def _difference(mine: SiteStep, theirs: SiteStep, t: int) -> str | None:
    if (mine.path, mine.shape) != (theirs.path, theirs.shape):
        return f"a layer of shape {mine.shape} where the other has {theirs.shape}"
    if isinstance(mine.rule, str) or isinstance(theirs.rule, str):
        return None if mine.rule == theirs.rule else "another rule of the neuron"
    if not mine.rule.same(theirs.rule):
        return "other constants of the neuron (beta, threshold, reset)"
    if mine.state_fault != theirs.state_fault and t > 0:
        return mine.state_fault or theirs.state_fault
    if mine.keeps != theirs.keeps and t > 0:
        return "its state starts from zero" if theirs.keeps else "its state is kept"
    if isinstance(mine.current, Opaque) or isinstance(theirs.current, Opaque):
        return None if mine.current == theirs.current else _opaque_words(mine, theirs)
    return sums_differ(mine.current, theirs.current, t)


def _opaque_words(mine: SiteStep, theirs: SiteStep) -> str:
    odd = mine.current if isinstance(mine.current, Opaque) else theirs.current
    assert isinstance(odd, Opaque)
    return f"{odd.reason} in one of them"


def sums_differ(mine: Sum, theirs: Sum, t: int) -> str | None:
    """How what enters differs, links from before the first step apart; None: it does not."""
    wanted = [link for link in theirs.links if link.origin.late <= t]
    left = list(mine.links)
    for link in wanted:
        at = next((i for i, other in enumerate(left) if _same(link, other, t)), None)
        if at is None:
            return _missing(link, left, t)
        del left[at]
    if left:
        return f"something more enters ({_said(left[0])})"
    if mine.const.shape != theirs.const.shape or not torch.equal(mine.const, theirs.const):
        return "another constant is added (a bias, or a normalisation's shift)"
    return None


def every_link(total: Sum) -> Iterator[Link]:
    """The links of a sum, and those of the pools among them."""
    for link in total.links:
        yield link
        if link.origin.pool is not None:
            yield from every_link(link.origin.pool)


def _same(a: Link, b: Link, t: int) -> bool:
    return same_origin(a.origin, b.origin, t) and same_ops(a.ops, b.ops)


def same_origin(a: Origin, b: Origin, t: int) -> bool:
    plain = (a.kind, a.feat, a.site, a.output, a.late, a.window)
    if plain != (b.kind, b.feat, b.site, b.output, b.late, b.window):
        return False
    if a.pool is None or b.pool is None:
        return a.pool is b.pool
    return sums_differ(b.pool, a.pool, t) is None


def _missing(link: Link, left: Sequence[Link], t: int) -> str:
    for other in left:
        if not same_origin(link.origin, other.origin, t):
            continue
        pairs = zip(link.ops, other.ops, strict=False)
        odd = next((b for a, b in pairs if not a.same(b)), None)
        odd = odd or next(iter(other.ops[len(link.ops) :]), None)
        where = f" at {odd.path}" if odd is not None and odd.path else ""
        return f"the values pass another map{where} (other weights or factors)"
    late = {other.origin.late for other in left if other.origin.kind == link.origin.kind}
    if late and late != {link.origin.late}:
        return f"it reads values of {max(late)} steps before"
    return f"what comes from {_said(link)} is missing"


def _said(link: Link) -> str:
    o = link.origin
    return {"input": "the input", "max": "a maximum pool"}.get(o.kind, "neurons")


def refuse_differing(difference: Difference) -> NetworkError:
    """Two steps of the module are not the same."""
    return NetworkError(
        f"module {difference.path}",
        found=f"steps {difference.step + 1} and 2 that differ: {difference.what}",
        allowed="one step that repeats; only the states of neurons go from step to step",
        hint="step counters, buffers of past values and schedules live in Python: a chip has none",
    )


def refuse_state(site: SiteStep) -> NetworkError:
    """A state that is not the neuron's own of the step before."""
    return NetworkError(
        f"module {site.path}",
        found=str(site.state_fault),
        allowed="a state that the neuron alone changes, one per layer, from zero",
        hint="a neuron of its own for every call in a step",
    )


def refuse_rule(path: str, reason: str) -> NetworkError:
    """A neuron without a counterpart."""
    return NetworkError(
        f"module {path}",
        found=reason,
        allowed="Leaky, Lapicque, Synaptic, RLeaky, RSynaptic",
        hint="one of these, as snntorch makes them, in its place: train on from these weights",
    )


def refuse_current(opaque: Opaque) -> NetworkError:
    """Values between neurons that no linear map says."""
    if opaque.neuron:
        return refuse_rule(opaque.path, opaque.reason)
    where = f"module {opaque.path}" if opaque.path else "forward"
    return NetworkError(
        where,
        found=opaque.reason,
        allowed="linear maps between neurons (layers, pools, sums, normalisation), maximum pools "
        "of spikes",
        hint="what is not linear needs a neuron of its own, or must be done to the samples",
    )


def encoded_order(follower: Follower) -> list[int]:
    """The encoded sources that neurons read, in the order of the steps."""
    read = [s for call in follower.calls for s in entering_sources(follower, call.current)]
    return list(dict.fromkeys(s for s in read if follower.sources[s].kind == "encoder"))


def entering_sources(follower: Follower, current: object) -> list[int]:
    """The sources that are no neurons, also through maximum pools."""
    if not isinstance(current, Value):
        return []
    found: list[int] = []
    for term in current.terms:
        for source in np.unique(term.rows // ROWS):
            s = follower.sources[int(source)]
            if s.kind == "max":
                found += entering_sources(follower, s.pooled)
            elif s.kind != "neuron":
                found.append(int(source))
    return found
