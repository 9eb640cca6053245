"""The author's module, run by its own code and watched: every operation, every neuron's call.

Neurons are taken as one piece (their ``forward`` is wrapped while the run lasts); all else is seen
at the dispatcher. The module is put back as it was: attributes, buffers, hidden states, hooks.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_tb
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tssd.errors import Foreign, NetworkError
from tssd.train.recording.tape import follow
from tssd.train.recording.tape.follow import Follower
from tssd.train.recording.tape.neurons import is_neuron, rule_of, states_of
from tssd.train.recording.tape.values import Interned

TO_PYTHON = frozenset(["numpy", "tolist", "__array__"])
PRINTS = frozenset(["__repr__", "__format__", "__str__"])


@dataclass(eq=False)
class Place:
    """Where the run is: the modules that are at work, and whether a neuron is."""

    names: dict[int, str]
    stack: list[str] = field(default_factory=list)
    inside: int = 0
    entered: tuple[nn.Module, tuple[int, ...]] | None = None  # the last module, its input's shape

    @property
    def path(self) -> str:
        return next((name for name in reversed(self.stack) if name), "")


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every operation outside of neurons to the followers."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and importing the compiler takes seconds."""
        return False

    def __init__(self, place: Place, followers: Sequence[Follower]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.place, self.followers = place, followers

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        if torch.is_inference_mode_enabled():  # what autograd would take apart arrives whole
            with self:
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        result = func(*args, **(kwargs or {}))
        if not self.place.inside:
            for follower in self.followers:
                follower.saw(func, args, kwargs or {}, result, self.place.path)
        return result


class Readers(TorchFunctionMode):
    """Sees values that leave torch (numpy, lists); printing is no use of them."""

    def __init__(self, place: Place, followers: Sequence[Follower]) -> None:
        super().__init__()
        self.place, self.followers = place, followers

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        printing = name in PRINTS
        if name in TO_PYTHON and not self.place.inside:
            for follower in self.followers:
                if follower.of(args[0]) is not None:
                    follower.read = follower.read or self.place.path or "forward"
        self.place.inside += printing
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.place.inside -= printing


@contextmanager
def watched(module: nn.Module, followers: Sequence[Follower], intern: Interned) -> Iterator[Place]:
    """While this lasts, calls of *module* are followed."""
    place = Place({id(m): name for name, m in module.named_modules()})
    with ExitStack() as stack, torch.no_grad():
        for path, part in module.named_modules():
            if is_neuron(part) and not _inside_neuron(module, path):
                stack.enter_context(_wrapped(part, path, place, followers, intern))
        for hook in _path_hooks(place):
            stack.callback(hook.remove)
        stack.enter_context(Operations(place, followers))
        stack.enter_context(Readers(place, followers))
        yield place


def _inside_neuron(module: nn.Module, path: str) -> bool:
    parts = path.split(".")
    above = (".".join(parts[:i]) for i in range(len(parts)))
    return any(is_neuron(module.get_submodule(p)) for p in above)


def _path_hooks(place: Place) -> list[Any]:
    def enter(module: nn.Module, args: Any) -> None:
        place.stack.append(place.names.get(id(module), ""))
        shape = tuple(args[0].shape) if args and isinstance(args[0], Tensor) else ()
        place.entered = (module, shape)

    def leave(module: nn.Module, args: Any, result: Any) -> None:
        place.stack.pop()

    return [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]


@contextmanager
def _wrapped(
    neuron: Any, path: str, place: Place, followers: Sequence[Follower], intern: Interned
) -> Iterator[None]:
    """*neuron* with a forward that tells the followers."""
    own = vars(neuron).get("forward")
    forward = neuron.forward

    def told(*args: Any, **options: Any) -> Any:
        if place.inside:
            return forward(*args, **options)
        place.inside += 1
        try:
            rule = rule_of(neuron, intern) if own is None else "a forward that was replaced"
            names = states_of(neuron)
            before = _states_before(neuron, names, args, options)
            result = forward(*args, **options)
        finally:
            place.inside -= 1
        left = _left(neuron, names, result)
        for follower in followers:
            follower.neuron(path, rule, args[0] if args else options["input_"], before, left)
        return result

    neuron.forward = told
    try:
        yield
    finally:
        del neuron.forward
        if own is not None:
            neuron.forward = own


def _states_before(neuron: Any, names: Sequence[str], args: Any, options: Any) -> dict[str, Any]:
    """What the call starts from: an argument, or what the neuron holds."""
    given = dict(zip(names, args[1:], strict=False)) | {
        k: v for k, v in options.items() if k in names
    }
    return {k: getattr(neuron, k) if given.get(k) is None else given[k] for k in names}


def _left(neuron: Any, names: Sequence[str], result: Any) -> dict[str, Any]:
    """The tensors after the call by name; of a neuron without a counterpart they have none."""
    if not names:
        parts = result if isinstance(result, list | tuple) else [result]
        return {f"?{i}": part for i, part in enumerate(parts)}
    spikes = result[0] if isinstance(result, tuple) else result
    return {"spk": spikes} | {k: getattr(neuron, k) for k in names if k != "spk"}


@dataclass(frozen=True, eq=False)
class Fired:
    """One call of a neuron in a plain run: what it sent, and its membrane after the call."""

    path: str
    spikes: Tensor
    membrane: Tensor | None


@contextmanager
def listening(module: nn.Module, told: list[Fired]) -> Iterator[None]:
    """While this lasts, every call of a neuron of *module* is kept in *told*; nothing else is
    touched: the author's own code runs as it is."""
    inside: list[int] = []

    def listen(neuron: Any, path: str) -> Any:
        forward = neuron.forward

        def heard(*args: Any, **options: Any) -> Any:
            inside.append(1)
            try:
                result = forward(*args, **options)
            finally:
                inside.pop()
            if not inside:
                spikes = result[0] if isinstance(result, tuple) else result
                told.append(Fired(path, spikes.detach().clone(), _held(neuron)))
            return result

        return heard

    changed: list[tuple[Any, Any]] = []
    try:
        with torch.no_grad():
            for path, part in module.named_modules():
                if is_neuron(part) and not _inside_neuron(module, path):
                    changed.append((part, vars(part).get("forward")))
                    part.forward = listen(part, path)
            yield
    finally:
        for part, own in changed:
            del part.forward
            if own is not None:
                part.forward = own


def _held(neuron: Any) -> Tensor | None:
    membrane = getattr(neuron, "mem", None)
    return membrane.detach().clone() if isinstance(membrane, Tensor) else None


@contextmanager
def put_back(module: nn.Module) -> Iterator[None]:
    """*module* as it was, also after a run that kept things in its attributes.

    Parameters stay where they are: a run that changes them is refused.
    """
    parts = list(module.modules())
    kept: dict[int, Any] = {id(m): m for m in parts}
    kept |= {id(p): p for p in module.parameters()}
    _detach_hidden(parts)
    before = [_copied(vars(m), kept) for m in parts]
    weights = [(name, p, p.detach().clone()) for name, p in module.named_parameters()]
    try:
        yield
    finally:
        for part, state in zip(parts, before, strict=True):
            vars(part).clear()
            vars(part).update(state)
    for name, parameter, value in weights:
        if not torch.equal(parameter, value):
            with torch.no_grad():
                parameter.copy_(value)
            raise NetworkError(
                f"module {name.rpartition('.')[0] or 'forward'}",
                found=f"{name.rpartition('.')[2]} that changes while the module runs",
                allowed="weights that stay as they are in inference",
                hint="change weights in training only",
            )


def _copied(attributes: dict[str, Any], kept: dict[int, Any]) -> dict[str, Any]:
    """Copies; modules, parameters and what cannot be copied (files, locks) stay themselves."""
    copies: dict[str, Any] = {}
    for name, value in attributes.items():
        try:
            copies[name] = copy.deepcopy(value, kept)
        except (TypeError, RuntimeError, NotImplementedError):
            copies[name] = value
    return copies


def _detach_hidden(parts: Sequence[nn.Module]) -> None:
    """Hidden states left by training hold its gradients, which cannot be copied; values stay."""
    for part in parts:
        for place in (vars(part), part._buffers):
            for name, value in place.items():
                if isinstance(value, Tensor) and not value.is_leaf:
                    place[name] = value.detach()


def authors_errors(place: Place | None = None) -> Foreign:
    """While the author's code runs: what it raises is said to be the author's."""
    return Foreign(lambda error: _raised(error, place))


def _raised(error: BaseException, place: Place | None) -> NetworkError | None:
    if _is_ours(error):
        return None
    where = f"module {place.path}" if place is not None and place.path else "forward"
    if place is not None and place.entered is not None:
        off = _axis_off(where, *place.entered)
        if off is not None:
            return off
    reason = (str(error).splitlines() or [""])[0][:200]
    return RaisedByModule(where, type(error).__name__, reason)


def _axis_off(where: str, module: nn.Module, shape: tuple[int, ...]) -> NetworkError | None:
    """A layer that got another number of values, or channels, than it has weights for."""
    expected, axis = None, -1
    if isinstance(module, nn.Linear):
        expected = module.in_features
    elif isinstance(module, nn.Conv1d | nn.Conv2d):
        expected, axis = module.in_channels, -1 - len(module.kernel_size)
    if expected is None or len(shape) < -axis or shape[axis] == expected:
        return None
    return RaisedByModule(
        where,
        f"an input of shape {shape}",
        f"axis {len(shape) + axis} is {shape[axis]}, its weights need {expected}",
    )


def _is_ours(error: BaseException) -> bool:
    """Whether it was raised in what follows the run, not in what is followed."""
    here, followed = Path(__file__), Path(follow.__file__).parent
    frames = [Path(f.f_code.co_filename) for f, _ in walk_tb(error.__traceback__)]
    last = next((place for place in reversed(frames) if place != here), Path())
    return last.parent == followed


class RaisedByModule(NetworkError):
    """The author's own error."""

    def __init__(self, where: str, kind: str, reason: str) -> None:
        super().__init__(
            where,
            found=f"an error raised by your module: {kind}: {reason}",
            allowed="a module that runs on these samples",
            hint="call the module on a batch of your samples yourself; it must run there too",
        )


def reset_hidden(module: nn.Module) -> list[Tensor]:
    """Every neuron at rest, as before a new sample; the states that it now holds."""
    held: list[Tensor] = []
    for part in module.modules():
        if states_of(part):
            part.reset_mem()  # type: ignore[operator]
            held += [getattr(part, name) for name in states_of(part) if name != "spk"]
    return held
