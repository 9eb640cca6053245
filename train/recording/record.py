"""Samples and a module -> Recording: run the module, find its step, say what enters and leaves.

How samples enter is found out: the whole batch as it is, time first, or frame by frame. A way that
the module cannot run, or that takes samples for steps, is not the author's. At most three ways are
tried, each with two or three samples; only a module of one step per call is called further.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tssd.errors import ConfigError, DataError, NetworkError
from tssd.train.recording.checks import check_module
from tssd.train.recording.describe import entered_by, mixed_encoders, notes_of, sites_of
from tssd.train.recording.feeding import (
    calls,
    first_arguments,
    handed_on,
    handing,
    like_weights,
    places_back,
    seeded,
)
from tssd.train.recording.outputs import find_outputs
from tssd.train.recording.recording import Handing, Recording
from tssd.train.recording.steps import (
    Cut,
    Difference,
    SiteStep,
    Sum,
    encoded_order,
    every_link,
    find_steps,
    refuse_differing,
    refuse_rule,
    refuse_state,
)
from tssd.train.recording.tape.follow import Follower
from tssd.train.recording.tape.neurons import Rule
from tssd.train.recording.tape.seen import Feed
from tssd.train.recording.tape.values import Interned, Opaque, memory_of
from tssd.train.recording.watch import (
    RaisedByModule,
    authors_errors,
    put_back,
    reset_hidden,
    watched,
)

FloatSamples = npt.NDArray[np.floating[Any]]


def record(
    module: nn.Module,
    samples: npt.ArrayLike,
    *,
    time_steps: int | None = None,
    default_steps: int | None = None,
    frames: bool | None = None,
    seed: int = 0,
) -> Recording:
    """What *module* does with *samples*, float arrays as the module gets them: (N, *shape), or
    frames (N, T, *shape). ``frames`` None: found out. ``time_steps`` is needed by a module of one
    step per call on static samples; ``default_steps`` stands in for it, with a note."""
    check_module(module)
    array = checked(samples)
    failures: list[NetworkError] = []
    for feeds in _ways(array, frames):
        batch = like_weights(_few(array), module)
        try:
            runs = _run(module, batch, feeds, time_steps or default_steps, seed)
        except RaisedByModule as error:
            failures.append(error)
            continue
        _check_read(runs[0].follower)
        placed = [run for run in runs if _placed(run)]
        if placed:
            found = _recording(max(placed, key=_soundness), time_steps)
            return _defaulted(found, time_steps, default_steps)
        failures += [_unplaced(run.follower, module) for run in runs]
    raise _clearest(failures, array)


def _soundness(run: "_Run") -> int:
    """Of several meanings, the first whose steps are equal, and such as a chip can do."""
    steps = find_steps(run.follower)
    if isinstance(steps, Difference):
        return 0
    several = mixed_encoders(run.follower, steps) is not None
    return 1 if several or any(_early_or_mixed(site) for site in steps.sites) else 2


def _early_or_mixed(site: SiteStep) -> bool:
    """A frame of a later step is read, or the state is not its own."""
    links = every_link(site.current) if isinstance(site.current, Sum) else ()
    return site.state_fault is not None or any(link.origin.late < 0 for link in links)


def _defaulted(found: Recording, time_steps: int | None, default: int | None) -> Recording:
    if time_steps is not None or found.feed is not Feed.STATIC_STEPS or default is None:
        return found
    note = f"{default} time steps, the default of --time-steps: your module does one step per call"
    return replace(found, notes=(*found.notes, note))


def checked(samples: npt.ArrayLike) -> FloatSamples:
    array = np.asarray(samples)
    if array.ndim < 2 or len(array) == 0:
        raise DataError(
            "samples",
            found=f"an array of shape {array.shape}",
            allowed="(samples, *shape) or (samples, steps, *shape), at least one sample",
        )
    floats: FloatSamples = array.astype(np.float32)
    if not np.isfinite(floats).all():
        raise DataError("samples", found="values that are not finite", allowed="finite values")
    return floats


def _few(array: FloatSamples) -> Tensor:
    """Two samples, or three where two would be as many as the steps."""
    count = 3 if array.ndim > 2 and array.shape[1] == 2 else 2
    return torch.from_numpy(array[np.arange(count) % len(array)].copy())


def _ways(array: FloatSamples, frames: bool | None) -> list[tuple[Feed, ...]]:
    """The ways to feed the module, each with the meanings that it may have."""
    timed = array.ndim > 2 and frames is not False
    if frames and not timed:
        raise DataError(
            "samples",
            found=f"an array of shape {array.shape}",
            allowed="frames (samples, steps, *shape)",
        )
    still = () if frames else (Feed.STATIC_LOOP,)
    cut = () if frames else (Feed.SLICES,)
    ways = [(*still, *((Feed.BATCH_FIRST,) if timed else ()), *cut)]
    return [*ways, (Feed.TIME_FIRST,), (Feed.FRAME_BY_FRAME,)] if timed else ways


@dataclass(frozen=True, eq=False)
class _Run:
    """One way, under one meaning."""

    follower: Follower
    feed: Feed
    returned: list[Any]
    handing: Handing


def _run(
    module: nn.Module, batch: Tensor, feeds: Sequence[Feed], time_steps: int | None, seed: int
) -> list[_Run]:
    intern = Interned()
    weights = frozenset(memory_of(p) for p in module.parameters())
    followers = [Follower(feed, len(batch), intern, weights) for feed in feeds]
    given = first_arguments(module)
    feed = feeds[0]
    hands: list[Handing] = []

    def hand(t: int, returned: Any) -> list[Any]:
        if t == 0:
            return list(given)
        if not hands:
            hands.append(handing(module, followers[0], given, returned))
        return handed_on(hands[0], returned)

    def enters(tensor: Tensor) -> None:
        for follower in followers:
            follower.enters(tensor)

    before = batch.clone()
    count = batch.shape[1] if feed is Feed.FRAME_BY_FRAME else 1
    with put_back(module), seeded(seed):
        rest = reset_hidden(module)
        for follower in followers:
            follower.rest = rest
        with watched(module, followers, intern) as where:
            returned = calls(module, batch, feed, count, hand, where, enters)
            if feed is Feed.STATIC_LOOP and _one_step(followers[0]):
                followers = followers[:1]
                followers[0].feed = Feed.STATIC_STEPS
                for _ in range(_steps_wanted(time_steps, followers[0]) - 1):
                    with authors_errors(where):
                        enters(batch)
                        returned.append(module(batch, *hand(1, returned[-1])))
    if not torch.equal(before, batch):
        raise NetworkError(
            "forward",
            found="samples that are written in place",
            allowed="samples that stay as they are: the next step reads them again",
            hint="x = x.clamp(0, 1) instead of x.clamp_(0, 1)",
        )
    done = hands[0] if hands else Handing()
    return [_Run(follower, follower.feed, returned, done) for follower in followers]


def _one_step(follower: Follower) -> bool:
    """Whether one call of the module was one step, with the samples in their place."""
    if not follower.calls or any(_misplaced(c.current) for c in follower.calls):
        return False
    found = find_steps(follower)
    return not isinstance(found, Difference) and found.count == 1


def _steps_wanted(time_steps: int | None, follower: Follower) -> int:
    if time_steps is None:
        strange = _strange(follower)
        if strange is not None:
            raise strange
        raise ConfigError(
            "--time-steps",
            found="a module that does one step per call, and samples without steps",
            allowed="the number of steps of one inference",
            hint="--time-steps T (time_steps=T in Python)",
        )
    return time_steps


def _misplaced(current: object) -> bool:
    return isinstance(current, Opaque) and current.misplaced


def _placed(run: _Run) -> bool:
    """Whether samples stand where this meaning says, and neurons depend on them."""
    calls_ = run.follower.calls
    return bool(calls_) and not any(_misplaced(c.current) for c in calls_)


def _unplaced(follower: Follower, module: nn.Module) -> NetworkError:
    if not follower.calls:
        return NetworkError(
            "forward",
            found="no neuron of the module that is called",
            allowed="neurons of snntorch that are made in __init__ and run in forward",
        )
    strange = _strange(follower)
    if strange is not None:
        return strange
    call = next(c for c in follower.calls if _misplaced(c.current))
    assert isinstance(call.current, Opaque)
    return NetworkError(
        f"module {call.path}",
        found=f"{call.current.reason} (at {_named(call.current.path, module)})",
        allowed="samples that stay apart, in one axis",
        hint="a layer over each row of a sample is nn.Conv1d(..., 1), or nn.Flatten() in front; "
        "attention and statistics of a sample are not linear",
    )


def _named(path: str, module: nn.Module) -> str:
    return f"{path}, {type(module.get_submodule(path)).__name__}" if path else "forward"


def _check_read(follower: Follower) -> None:
    if follower.read is not None:
        raise NetworkError(
            f"module {follower.read}" if follower.read != "forward" else "forward",
            found="values of the samples that become Python numbers (a branch on data, item)",
            allowed="the same operations for every sample",
            hint="what depends on data in Python cannot be deployed; take it out of forward",
        )


def _strange(follower: Follower) -> NetworkError | None:
    call = next((c for c in follower.calls if isinstance(c.rule, str)), None)
    return None if call is None else refuse_rule(call.path, str(call.rule))


def _clearest(failures: Sequence[NetworkError], array: FloatSamples) -> NetworkError:
    """A neuron without a counterpart, else where the module ran, else the author's first error."""
    named = [f for f in failures if (f.allowed or "").startswith("Leaky")]
    ran = [f for f in failures if not isinstance(f, RaisedByModule)]
    best = (named or ran or list(failures))[0]
    if isinstance(best, RaisedByModule):
        best.hint = f"samples here are {array.shape}, the first axis the samples; {best.hint}"
        best.args = (best.where, best.found, best.allowed, best.hint)
    return best


# ---------------------------------------------------------------- the recording


def _recording(run: _Run, time_steps: int | None) -> Recording:
    follower = run.follower
    steps = find_steps(follower)
    if isinstance(steps, Difference):
        raise refuse_differing(steps)
    if time_steps is not None and steps.count != time_steps:
        raise ConfigError(
            "--time-steps",
            found=f"{time_steps}, where the module does {steps.count}",
            allowed=f"{steps.count}",
            hint="leave the option out: the steps are read from the module and its samples",
        )
    cut = Cut(follower, steps.period)
    back = places_back(run.handing, run.returned[0])
    outputs = find_outputs(follower, cut, steps.sites, run.returned, back)
    if not outputs:
        raise NetworkError(
            "forward",
            found="nothing returned that depends on the samples",
            allowed="spikes, membranes or currents: a tensor, or tensors in tuples, lists, dicts",
        )
    if all(output.fault for output in outputs):
        _check_states(steps.sites)
    entered = entered_by(follower, steps)
    return Recording(
        steps.count,
        run.feed,
        entered.frames,
        entered.shape,
        sites_of(steps.sites),
        outputs,
        steps.sites,
        run.handing,
        entered.encoder,
        notes_of(follower, steps, entered),
    )


def _check_states(sites: Sequence[SiteStep]) -> None:
    """Where nothing can be read because a neuron is called several times in a step, say that."""
    for site in sites:
        if site.state_fault is not None and isinstance(site.rule, Rule):
            raise refuse_state(site)


def entering(
    module: nn.Module,
    recording: Recording,
    samples: npt.ArrayLike,
    *,
    seed: int = 0,
    batch: int = 64,
) -> FloatSamples:
    """What enters the chip, (N, *input_shape) or (N, T, *input_shape): *samples* themselves, or
    the frames that the module's own code makes of them."""
    array = checked(samples)
    if recording.encoder is None:
        return array
    parts = []
    for first in range(0, len(array), batch):
        chunk = torch.from_numpy(array[first : first + batch])
        parts.append(encoded(module, recording, chunk, seed + first))
    return np.concatenate(parts)


def encoded(module: nn.Module, recording: Recording, chunk: Tensor, seed: int) -> FloatSamples:
    """The frames of one batch."""
    called = recording.feed is Feed.STATIC_STEPS  # found again after the first call
    feed = Feed.STATIC_LOOP if called else recording.feed
    run = _run(module, like_weights(chunk, module), (feed,), recording.time_steps, seed)[0]
    order = encoded_order(run.follower)
    kept = [run.follower.encoded[s].numpy() for s in order]
    found: FloatSamples = np.stack(kept, 1) if recording.frames else kept[0]
    return found
