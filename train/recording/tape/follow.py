"""One reading of a run: every tensor's value, every neuron's call, under one meaning of the input.

The meaning (``Feed``) says which leading axes of what enters are samples and which are steps. A
wrong meaning shows at the neurons: their samples are then not the samples of the input.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tssd.train.recording.tape.buffers import Buffers
from tssd.train.recording.tape.elementwise import Operation, Window
from tssd.train.recording.tape.gathers import GATHERS, gathered
from tssd.train.recording.tape.neurons import Rule
from tssd.train.recording.tape.operations import linear
from tssd.train.recording.tape.seen import Call, Feed, Source, StateFrom
from tssd.train.recording.tape.values import (
    ROWS,
    Followed,
    Interned,
    Opaque,
    Shape,
    Term,
    Value,
    from_source,
    memory_of,
    named,
    of_features,
)

SHAPES_ONLY = named(
    "zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full "
    "new_empty_strided empty_strided"
)
RANDOM = named(
    "rand randn randint randperm rand_like randn_like randint_like bernoulli multinomial "
    "normal poisson uniform exponential random native_dropout rrelu_with_noise"
)
READS = frozenset(["_local_scalar_dense", "equal", "is_nonzero", "allclose"])
ORDERED = frozenset(["_softmax", "_log_softmax"])  # the largest stays the largest
POOLS = frozenset(["max_pool2d_with_indices", "adaptive_max_pool2d"])
WORDS = {
    "native_layer_norm": "LayerNorm",
    "native_group_norm": "GroupNorm",
    "_softmax": "a softmax",
    "_log_softmax": "a softmax",
    "mkldnn_rnn_layer": "a recurrent layer with gates (LSTM, GRU)",
    "_prelu_kernel": "PReLU",
    "where": "a choice between values (where)",
    "clamp": "a clamp",
    "pow": "a power",
    "argmax": "argmax",
    "gt": "a comparison",
    "lt": "a comparison",
    "ge": "a comparison",
    "le": "a comparison",
}


@dataclass(eq=False)
class Follower:
    """The only mutable thing of a run: what each tensor is. Tensors are kept, so that an id is
    one."""

    feed: Feed
    batch: int
    intern: Interned
    weights: frozenset[int] = frozenset()  # where the parameters of the module lie
    values: dict[int, Followed] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    encoded: dict[int, Tensor] = field(default_factory=dict)
    begun: dict[int, tuple[int, str]] = field(default_factory=dict)  # state -> call, name
    rest: Sequence[Tensor] = ()  # the states that the neurons held before the run
    read: str | None = None  # where values became Python numbers
    runs: int = 0

    def __post_init__(self) -> None:
        self.buffers = Buffers(self)

    # ------------------------------------------------------------ what enters

    def enters(self, tensor: Tensor) -> None:
        """The argument of one call of the module."""
        shape = tuple(tensor.shape)
        frame = self.feed is Feed.FRAME_BY_FRAME
        if self.feed in (Feed.TIME_FIRST, Feed.BATCH_FIRST):
            self.bind(tensor, self._sequence(shape))
        else:
            at = next((i for i, s in enumerate(self.sources) if s.kind == "input"), None)
            if at is None:
                at = len(self.sources)
                self.sources.append(Source("frame" if frame else "input", self.runs, shape[1:]))
            self.bind(tensor, from_source(at, shape[:1], shape[1:], True))
        self.runs += 1

    def _sequence(self, shape: Shape) -> Value:
        time = 0 if self.feed is Feed.TIME_FIRST else 1
        start = len(self.sources)
        self.sources += [Source("frame", t, shape[2:]) for t in range(shape[time])]
        steps = (start + np.arange(shape[time], dtype=np.int64)) * ROWS
        samples = np.arange(shape[1 - time], dtype=np.int64)
        rows = steps[:, None] + samples if time == 0 else samples[:, None] + steps
        return Value(shape[:2], shape[2:], (Term(rows[..., None]),), plain=True)

    # ------------------------------------------------------------ tensors

    def bind(self, tensor: Tensor, followed: Followed) -> None:
        self.values[id(tensor)] = followed
        self.kept.append(tensor)

    def of(self, tensor: Tensor) -> Followed | None:
        return self.values.get(id(tensor))

    def saw(self, func: Any, args: Any, options: Any, result: Any, path: str) -> None:
        """One operation of torch."""
        name = func._schema.name.split("::")[-1]
        in_place = name.endswith("_") and not name.startswith("_")
        plain_name = name.rstrip("_") if in_place else name
        given = list(_tensors((args, options)))
        known = [v for v in map(self.of, given) if v is not None]
        if plain_name in SHAPES_ONLY:
            return
        self.buffers.note_view(func, plain_name, args, options, result)
        if plain_name in RANDOM:
            self._drawn(plain_name, args[0] if in_place else result, known, path)
        elif known:
            if plain_name in READS or not any(True for _ in _tensors(result)):
                if not _asked_by_snntorch():
                    self.read = self.read or path or "forward"
                return
            followed = self._made(func, plain_name, args, options, result, path, known)
            if in_place:
                self.buffers.written(args[0], followed, path)
            else:
                self._bind_all(result, followed)
        elif in_place:
            self.buffers.overwritten(args[0])

    def _bind_all(self, result: Any, followed: Any) -> None:
        if isinstance(result, Tensor):
            self.bind(result, followed)
            return
        parts = followed if isinstance(followed, list) else [followed] * len(result)
        for tensor, part in zip(result, parts, strict=True):
            if isinstance(tensor, Tensor) and part is not None:
                self.bind(tensor, part)

    def _made(
        self,
        func: Any,
        name: str,
        args: Any,
        options: Any,
        result: Any,
        path: str,
        known: list[Followed],
    ) -> Any:
        if name == "copy":
            return self._copied(args, result)
        given = _tensors((args, options))
        weighted = any(memory_of(t) in self.weights for t in given)
        opaque = [v for v in known if isinstance(v, Opaque)]
        values = [v for v in known if isinstance(v, Value)]
        if opaque and not (all(o.random for o in opaque) and _plain(values)):
            return replace(next((o for o in opaque if not o.random), opaque[0]), inside=None)
        if not opaque:
            first = self.of(args[0]) if args and isinstance(args[0], Tensor) else None
            if name in GATHERS and isinstance(first, Value):
                if self.feed is Feed.SLICES and self._whole(first):
                    parts = self._slices(name, result, first, path)
                    if parts is not None:
                        return parts
                return gathered(func, first, args[1:], options, path)
            followed = tuple(self._followed(a) for a in args)
            op = Operation(name, func, followed, options, result, path, self.intern, self)
            if name in POOLS and _plain(values):
                return [self._encoded(name, result[0], values[0], path), None]
            made = linear(op)
            if isinstance(made, Value):
                return replace(made, plain=made.plain and not weighted)
            if made is not None and (weighted or made.misplaced or not _plain(values)):
                return made
        if values and _plain(values) and not weighted and isinstance(result, Tensor):
            return self._encoded(name, result, values[0], path)
        inside = values[0] if name in ORDERED and len(values) == 1 else None
        return Opaque(WORDS.get(name, f"the operation {name}"), path, inside=inside)

    def _copied(self, args: Any, result: Tensor) -> Followed:
        """The source, whatever the target held; a constant in the place of a value is none."""
        value = self.of(args[1])
        if value is None:
            return Opaque("a value that was overwritten by a constant", "")
        if isinstance(value, Opaque) or value.shape == tuple(result.shape):
            return value
        shape = list(result.shape)
        found: Followed = gathered(torch.ops.aten.expand.default, value, (shape,), {}, "")
        return found

    def _followed(self, argument: Any) -> Any:
        if isinstance(argument, Tensor):
            found = self.of(argument)
            return argument if found is None else found
        if isinstance(argument, list) and any(isinstance(a, Tensor) for a in argument):
            return [self._followed(a) for a in argument]
        return argument

    # ------------------------------------------------------------ draws and encoders

    def _drawn(self, name: str, result: Any, known: list[Followed], path: str) -> None:
        values = [v for v in known if isinstance(v, Value)]
        depends = name in ("bernoulli", "poisson", "normal", "multinomial", "native_dropout")
        tensor = next(_tensors(result))
        if depends and values and _plain(values) and len(values) == len(known):
            self.bind(tensor, self._encoded(name, tensor, values[0], path))
            return
        free = not (depends and known)
        self._bind_all(result, Opaque("random numbers drawn between layers", path, random=free))

    def _encoded(self, name: str, result: Tensor, value: Value, path: str) -> Followed:
        """What the module's own code made of the input, without weights: it is what enters."""
        if len(value.shape) == result.dim() and value.shape != tuple(result.shape):
            value = self._widened(value, tuple(result.shape))
        lead = value.lead
        if tuple(result.shape[: len(lead)]) != lead or not value.terms or len(lead) not in (1, 2):
            return Opaque(f"the operation {name} over samples or steps", path)
        samples = value.terms[0].rows[..., 0] % ROWS
        moved, rows = result.detach().clone(), np.zeros(lead, np.int64)
        time = 1 if len(lead) == 2 and bool((samples == samples[:, :1]).all()) else 0
        steps = 1 if len(lead) == 1 else lead[time]
        for t in range(steps):
            at = (slice(None),) * time + (t,) if len(lead) == 2 else ()
            self.encoded[len(self.sources)] = moved[at]
            rows[at] = len(self.sources) * ROWS + samples[at]
            feat = tuple(result.shape[len(lead) :])
            self.sources.append(Source("encoder", len(self.encoded) - 1, feat, name))
        terms = (Term(rows[..., None]),)
        return Value(lead, tuple(result.shape[len(lead) :]), terms, plain=True)

    def _whole(self, value: Value) -> bool:
        """The samples as they came in."""
        alone = len(value.terms) == 1 and not value.terms[0].ops and value.lead == (self.batch,)
        source = self.sources[int(value.terms[0].rows.flat[0] // ROWS)] if alone else None
        return source is not None and source.kind == "input"

    def _slices(self, name: str, result: Any, value: Value, path: str) -> Any:
        """Parts of every sample, each a frame of its own; None: the whole sample is kept."""
        parts = list(result) if isinstance(result, list | tuple) else [result]
        size = int(np.prod(value.shape))
        if any(p.numel() >= size or p.shape[:1] != (self.batch,) for p in parts):
            return None
        made = [self._encoded(name, part, value, path) for part in parts]
        return made if isinstance(result, list | tuple) else made[0]

    def _widened(self, value: Value, shape: Shape) -> Value:
        """*value* repeated to *shape*, where that is what the operation did to it."""
        if any(n not in (1, m) for n, m in zip(value.shape, shape, strict=True)):
            return value
        expand = torch.ops.aten.expand.default
        found = gathered(expand, value, (list(shape),), {}, "")
        return found if isinstance(found, Value) else value

    # ------------------------------------------------------------ sources of their own

    def pooled(self, value: Value, window: Window, out: Shape) -> int:
        pools = sum(s.kind == "max" for s in self.sources)
        self.sources.append(Source("max", pools, out, pooled=value, window=window))
        return len(self.sources) - 1

    def neuron(
        self, path: str, rule: Rule | str, entering: Any, states: Mapping[str, Any], left: Any
    ) -> None:
        """One call: *states* before, *left* the tensors after, by the name of the output."""
        current = self._current(entering, path)
        shape = current.feat if isinstance(current, Value) else tuple(entering.shape[1:])
        froms = {k: self._state(k, t, entering) for k, t in states.items()}
        self.begun |= {id(t): (len(self.calls), k) for k, t in states.items()}
        self.calls.append(Call(path, rule, current, froms, shape, self.runs))
        number = len(self.calls) - 1
        for output, tensor in left.items():
            if not isinstance(tensor, Tensor) or tensor.dim() == 0 or len(tensor) != self.batch:
                continue
            if output.startswith("?"):
                self.bind(tensor, Opaque(str(rule), path, neuron=True))
                continue
            self.sources.append(Source("neuron", number, tuple(tensor.shape[1:]), output))
            lead = (self.batch,)
            self.bind(tensor, from_source(len(self.sources) - 1, lead, tuple(tensor.shape[1:])))

    def _current(self, entering: Any, path: str) -> Followed:
        found = self.of(entering)
        if found is None:
            like = Value((self.batch,), tuple(entering.shape[1:]), ())
            const = of_features(entering, like)
            if const is None or len(entering) != self.batch:
                return Opaque("values that do not come from the samples", path, misplaced=True)
            return Value(like.lead, like.feat, (), self.intern(const))
        if isinstance(found, Opaque):
            return found
        samples = np.arange(self.batch)[:, None]
        aligned = found.lead == (self.batch,) and all(
            (t.rows % ROWS == samples).all() and (t.rows // ROWS == t.rows[:1] // ROWS).all()
            for t in found.terms
        )
        return (
            found
            if aligned
            else Opaque("samples and steps in each other's place", path, misplaced=True)
        )

    def _state(self, kind: str, tensor: Any, entering: Tensor) -> StateFrom:
        if not isinstance(tensor, Tensor) or tensor.shape != entering.shape:
            return StateFrom()  # snnTorch starts from zero
        followed = self.of(tensor)
        if followed is None:
            if bool((tensor == 0).all()):
                return StateFrom()
            return StateFrom(changed=f"{kind} starts from values that are not 0")
        if isinstance(followed, Value) and len(followed.terms) == 1 and followed.const is None:
            term = followed.terms[0]
            source = self.sources[int(term.rows.flat[0] // ROWS)]
            whole = term.rows.shape == (self.batch, 1) and not term.ops
            if whole and source.kind == "neuron" and source.output == kind:
                aligned = (term.rows[:, 0] % ROWS == np.arange(self.batch)).all()
                if aligned and (term.rows // ROWS == term.rows[0] // ROWS).all():
                    return StateFrom(source.index)
        return StateFrom(changed=f"your code changes {kind} between two calls of the neuron")


def _asked_by_snntorch() -> bool:
    """Whether snnTorch itself, checking what it was given, turned a value into a number."""
    frame = sys._getframe(1)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").split(".")
        if package[0] != "torch" and package[:3] != ["tssd", "train", "recording"]:
            return bool(package[0] == "snntorch")
        if frame.f_back is None:
            break
        frame = frame.f_back
    return False


def _plain(values: list[Value]) -> bool:
    return bool(values) and all(v.plain for v in values)


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors inside nested arguments, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
