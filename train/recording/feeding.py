"""How a module is run on a batch: in one call, or in one per step with states handed on."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tssd.train.recording.recording import Handing
from tssd.train.recording.tape.follow import Follower
from tssd.train.recording.tape.returned import Place, leaf, leaves
from tssd.train.recording.tape.seen import Feed
from tssd.train.recording.tape.values import Value
from tssd.train.recording.watch import Place as Where
from tssd.train.recording.watch import authors_errors

REQUIRED = inspect.Parameter.empty


def further(module: nn.Module) -> list[inspect.Parameter]:
    """The arguments of forward behind the samples."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in parameters[1:] if p.kind in plain]


def first_arguments(module: nn.Module) -> list[Tensor]:
    """Empty states for the arguments without a default: a neuron begins with zeros then."""
    return [torch.zeros(0) for p in further(module) if p.default is REQUIRED]


def handing(
    module: nn.Module, follower: Follower, given: Sequence[Tensor], returned: Any
) -> Handing:
    """Found after the first call: what it returned and which arguments its neurons began with."""
    states = _states(follower, returned)
    if given:
        wanted = [follower.begun.get(id(tensor)) for tensor in given]
        back = [states.get(w) if w is not None else None for w in wanted]
        if all(place is not None for place in back):
            return Handing(tuple(p for p in back if p is not None))
        rest = _behind_first(returned)
        return Handing(rest if len(rest) == len(given) else ())
    optional = [p for p in further(module) if p.default is None]
    rest = _behind_first(returned)
    held = {p for (call, _), p in states.items() if _is_handed(module, follower, call)}
    inner = [place for place, _ in leaves(returned) if place and place[0] != 0]
    if not optional or not rest or not all(place in held for place in inner):
        return Handing()
    if len(optional) == len(rest):
        return Handing(rest)
    return Handing(rest, whole=True) if len(optional) == 1 else Handing()


def _is_handed(module: nn.Module, follower: Follower, call: int) -> bool:
    """Whether the neuron expects its state as an argument."""
    neuron = module.get_submodule(follower.calls[call].path)
    return not getattr(neuron, "init_hidden", True)


def _states(follower: Follower, returned: Any) -> dict[tuple[int, str], Place]:
    """(call, output) of a neuron -> where it was returned."""
    found: dict[tuple[int, str], Place] = {}
    for place, tensor in leaves(returned):
        value = follower.of(tensor)
        if isinstance(value, Value) and len(value.terms) == 1 and not value.terms[0].ops:
            source = follower.sources[int(value.terms[0].rows.flat[0]) >> 20]
            if source.kind == "neuron" and (source.output != "spk" or place[:1] != (0,)):
                found.setdefault((source.index, source.output), place)
    return found


def _behind_first(returned: Any) -> tuple[Place, ...]:
    count = len(returned) if isinstance(returned, list | tuple) else 0
    return tuple((i,) for i in range(1, count))


def handed_on(handing: Handing, returned: Any) -> list[Any]:
    """The further arguments of the next call."""
    back = [_at(returned, place) for place in handing.back]
    if handing.whole:
        return [back[0] if len(back) == 1 else tuple(back)]
    return back


def _at(returned: Any, place: Place) -> Any:
    return leaf(returned, place)


def places_back(handing: Handing, returned: Any) -> list[Place]:
    """Where the states lie that are handed on."""
    return [place for place, _ in leaves(returned) for b in handing.back if place[: len(b)] == b]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws of one seed; the generator of the caller goes on as if nothing was drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def like_weights(batch: Tensor, module: nn.Module) -> Tensor:
    """*batch* in the precision of the module's weights."""
    kinds = [p.dtype for p in module.parameters() if p.dtype.is_floating_point]
    return batch.to(kinds[0]) if kinds else batch


def calls(
    module: nn.Module,
    batch: Tensor,
    feed: Feed,
    time_steps: int,
    hand: Callable[[int, Any], list[Any]],
    where: Where | None = None,
    enters: Callable[[Tensor], None] | None = None,
) -> list[Any]:
    """What each call of *module* returns; *batch* is samples first, (B, *shape) or (B, T, *shape).

    ``hand(step, what the last call returned)`` gives the further arguments.
    """
    returned: list[Any] = []
    for t in range(time_steps if feed in (Feed.STATIC_STEPS, Feed.FRAME_BY_FRAME) else 1):
        entering = entering_of(batch, feed, t)
        if enters is not None:
            enters(entering)
        with authors_errors(where):
            returned.append(module(entering, *hand(t, returned[-1] if returned else None)))
    return returned


def entering_of(batch: Tensor, feed: Feed, t: int) -> Tensor:
    """The argument of call *t*."""
    if feed is Feed.FRAME_BY_FRAME:
        return batch[:, t].contiguous()
    return batch.transpose(0, 1).contiguous() if feed is Feed.TIME_FIRST else batch
