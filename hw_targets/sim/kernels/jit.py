"""Compilation of the simulator's kernels: cached on disk, no interpreter lock, no array counting.

``_nrt=False`` leaves out numba's reference counts; they cost more than the kernel itself. It allows
only functions that make no arrays.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast, overload

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tssd import compiling

INTERPRETED = bool(getattr(numba, "config").DISABLE_JIT)  # noqa: B009 - its stubs do not know it
F = TypeVar("F", bound=Callable[..., Any])


class Words(Protocol):
    """A flat array of integers, as the type checkers should see it inside a kernel."""

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> "Words": ...
    def __setitem__(self, index: int, value: int, /) -> None: ...
    def __len__(self) -> int: ...


class Rows(Protocol):
    """A two-dimensional array, likewise."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, index: tuple[int, int], /) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> Words: ...
    def __setitem__(self, index: tuple[int, int], value: int, /) -> None: ...


class Block(Protocol):
    """A three-dimensional array, likewise."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @overload
    def __getitem__(self, index: tuple[int, int, int], /) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> Rows: ...
    def __setitem__(self, index: tuple[int, int, int], value: int, /) -> None: ...


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def compiled(function: F) -> F:
    """*function* through numba."""
    return compiling.compiled(function, **_OPTIONS)


def inlined(function: F) -> F:
    """The same for a part of other compiled functions, copied into each: a call would pass every
    array as seven words, which costs more than the work of most parts."""
    return compiling.compiled(function, **_OPTIONS, forceinline=True)


@inlined
def index(word: int) -> int:
    """*word*, which the compiler now knows not to be negative: it need not count from the end."""
    return word & 0xFFFFFFFF


def _counting(_: Any, word: Any) -> Any:
    """The processor's own count of the zeros below the lowest one, for numba."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.int64), make


def _zeros_counted(word: int) -> int:
    """The same where nothing is compiled."""
    return (int(word) & -int(word)).bit_length() - 1


_zeros_below = cast("Callable[[int], int]", _zeros_counted if INTERPRETED else intrinsic(_counting))


@inlined
def lowest_bit(word: int) -> int:
    """The position of the lowest one of a word that is not zero."""
    return index(_zeros_below(word))


def _prefetching(_: Any, array: Any, word: Any) -> Any:
    """The processor's hint that a line will be read and written soon, for numba."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        small = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, small, small, small])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(hint, [address, small(1), small(3), small(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), make


def _not_prefetching(array: Any, word: int) -> None:
    """Nothing, where nothing is compiled: a hint changes no value."""


prefetch = cast(
    "Callable[[Words | Rows, int], None]",
    _not_prefetching if INTERPRETED else intrinsic(_prefetching),
)
