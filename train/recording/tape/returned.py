"""What a module returns, as places and tensors."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

Place = tuple[int | str, ...]


def leaves(returned: Any, place: Place = ()) -> Iterator[tuple[Place, Tensor]]:
    """Every tensor of a returned structure and where it is."""
    if isinstance(returned, Tensor):
        yield place, returned
    elif isinstance(returned, Mapping):
        for key, part in returned.items():
            yield from leaves(part, (*place, key if isinstance(key, int) else str(key)))
    elif isinstance(returned, list | tuple):
        for i, part in enumerate(returned):
            yield from leaves(part, (*place, i))


def leaf(returned: Any, place: Place) -> Tensor:
    """The tensor at *place*."""
    for key in place:
        returned = returned[key]
    found: Tensor = returned
    return found


def name_of(place: Place) -> str:
    return "output" + "".join(f"[{key}]" for key in place)
