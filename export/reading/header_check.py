"""Is the JSON header of a private group what it should be? Types and ranges, before any use.

A missing key, another type or a number out of range raises FileFormatError with the key's place.
Extra keys are refused: a later schema has another name.
"""

import math
from typing import Annotated

import msgspec

from tssd import typed
from tssd.calibration.int_network import (
    InputCoding,
    MembraneRead,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.errors import FileFormatError
from tssd.typed import MAX_NEURONS, Edge, Side, Step

Exponent = Annotated[int, msgspec.Meta(ge=-32, le=32)]
Scale = Annotated[float, msgspec.Meta(gt=0)]
Word = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class PopulationPart(msgspec.Struct, forbid_unknown_fields=True):
    """Of a population, beside its arrays."""

    name: str
    shape: Annotated[list[Side], msgspec.Meta(min_length=1, max_length=3)]
    kind: PopulationKind
    reset: Reset
    bias_exp: Exponent
    scale: Scale
    channel_scales: list[Scale] = []
    membrane_read: MembraneRead = MembraneRead.LAST


class ProjectionPart(msgspec.Struct, forbid_unknown_fields=True):
    """Of a projection, beside its weights."""

    source: str
    target: str
    kind: ProjectionKind
    weight_exp: Exponent
    stride: tuple[Step, Step]
    padding: tuple[Edge, Edge]
    dilation: tuple[Step, Step]
    groups: Annotated[int, msgspec.Meta(ge=1, le=1 << 24)]
    delay: Edge


class HeaderPart(msgspec.Struct, forbid_unknown_fields=True):
    """The whole header."""

    schema: Annotated[str, msgspec.Meta(max_length=32)]  # which, says its reader
    time_steps: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
    input_coding: InputCoding
    input_max: Word
    populations: list[PopulationPart]
    projections: list[ProjectionPart]


def check_header(text: str, where: str) -> None:
    """Raise FileFormatError unless *text* is a header of the integer model."""
    header = typed.from_json(HeaderPart, text, where)
    for i, population in enumerate(header.populations):
        if math.prod(population.shape) > MAX_NEURONS:
            raise FileFormatError(
                f"{where}: populations[{i}]",
                found=f"shape {population.shape}",
                allowed=f"at most {MAX_NEURONS} neurons",
            )
