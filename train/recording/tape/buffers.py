"""Tensors that are written in place: sums that grow, and buffers filled step by step.

A write into a whole tensor gives it a new value. A write into one slot of a buffer (``out[t] =
spikes``) is kept by slot; once all slots along an axis are filled, the buffer is their stack. Any
other view of memory that was written no longer means what it did.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tssd.train.recording.tape.gathers import GATHERS, stacked
from tssd.train.recording.tape.values import Followed, Opaque, Shape, Value, memory_of

OTHER_VIEW = "a tensor whose memory was written through another view of it"


class Values(Protocol):
    """What is known of tensors."""

    values: dict[int, Followed]

    def bind(self, tensor: Tensor, followed: Followed) -> None:
        """Give a tensor a value."""
        ...

    def of(self, tensor: Tensor) -> Followed | None:
        """What a tensor is; None: a constant."""
        ...


@dataclass(eq=False)
class _Slots:
    """What was written along one axis of a buffer."""

    axis: int
    parts: dict[int, Value]


@dataclass(frozen=True, eq=False)
class _View:
    """The operations that lead from a buffer to a view of it."""

    base: Tensor
    steps: tuple[tuple[Any, Any, Any, int], ...]

    def shown(self) -> Tensor:
        """The numbers of the elements that the view shows."""
        found: Any = torch.arange(self.base.numel(), dtype=torch.float64).reshape(self.base.shape)
        for func, args, options, index in self.steps:
            found = func(found, *args, **options)
            found = found[index] if isinstance(found, list | tuple) else found
        shown: Tensor = found
        return shown


@dataclass(eq=False)
class Buffers:
    """Views of memory, and what was written into them."""

    known: Values
    views: dict[int, _View] = field(default_factory=dict)
    on: dict[int, list[Tensor]] = field(default_factory=dict)  # memory -> tensors of it
    slots: dict[int, _Slots] = field(default_factory=dict)

    def note_view(self, func: Any, name: str, args: Any, options: Any, result: Any) -> None:
        """Remember which elements of a buffer a view shows."""
        if name not in GATHERS or not args or not isinstance(args[0], Tensor):
            return
        before = self.views.get(id(args[0]), _View(args[0], ()))
        if isinstance(before.base, nn.Parameter):
            return
        for index, part in enumerate(result if isinstance(result, list | tuple) else [result]):
            if not isinstance(part, Tensor) or part is before.base:
                continue
            if memory_of(part) == memory_of(before.base):
                self._remember(before.base)
                self._remember(part)
                step = (func, args[1:], options, index)
                self.views[id(part)] = _View(before.base, (*before.steps, step))

    def _remember(self, tensor: Tensor) -> None:
        same = self.on.setdefault(memory_of(tensor), [])
        if all(t is not tensor for t in same):
            same.append(tensor)

    def written(self, target: Tensor, followed: Followed, path: str) -> None:
        """*target* now holds *followed*."""
        view = self.views.get(id(target))
        held = None if view is None else self.known.of(view.base)
        self._others_change(target, path)
        self.known.bind(target, followed)
        if view is not None and (held is None or id(view.base) in self.slots):
            numbers = view.shown()
            self.known.bind(view.base, self._slot(view.base, numbers, followed, path))

    def _others_change(self, target: Tensor, path: str) -> None:
        for other in self.on.get(memory_of(target), []):
            if other is not target:
                self.known.bind(other, Opaque(OTHER_VIEW, path))

    def _slot(self, base: Tensor, numbers: Tensor, followed: Followed, path: str) -> Followed:
        if isinstance(followed, Opaque):
            return followed
        slots = self.slots.get(id(base))
        for axis in range(base.dim()) if slots is None else [slots.axis]:
            at = _position(tuple(base.shape), numbers, axis)
            if at is not None:
                slots = slots or self.slots.setdefault(id(base), _Slots(axis, {}))
                slots.parts[at] = followed
                if len(slots.parts) < base.shape[axis]:
                    return Opaque("a buffer that is not filled yet", path)
                return stacked([slots.parts[i] for i in range(base.shape[axis])], axis, path)
        return Opaque("a buffer written in other pieces than steps", path)

    def overwritten(self, target: Tensor) -> None:
        """A constant was written over *target*."""
        for other in self.on.get(memory_of(target), []):
            if self.known.of(other) is not None:
                self.known.bind(other, Opaque(OTHER_VIEW, ""))
        self.known.values.pop(id(target), None)
        self.slots.pop(id(target), None)


def _position(shape: Shape, numbers: Tensor, axis: int) -> int | None:
    """The slot along *axis* that *numbers* are, in order."""
    if numbers.numel() == 0:
        return None
    whole = torch.arange(int(torch.tensor(shape).prod()), dtype=torch.float64).reshape(shape)
    at = int(numbers.flatten()[0])
    for size in reversed(shape[axis + 1 :]):
        at //= size
    part = whole.select(axis, at % shape[axis])
    return at % shape[axis] if torch.equal(part, numbers) else None
