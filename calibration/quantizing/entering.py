"""What enters: the coding and the largest payload of the input, and what carries a large bias.

auto     frames of two values (0 and 255) are SPIKES; still images of two values have payload 1;
         anything else is GRADED with as many levels as leave the first layer most like float
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import numpy as np

from tssd.calibration.encode import is_still, two_valued
from tssd.calibration.int_network import InputCoding
from tssd.calibration.layer import worst_activation
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.checks import check_relay
from tssd.train.handover.float_activity import PIXEL_MAX, ImageArray
from tssd.train.handover.float_network import FloatNetwork, FloatProjection, PopulationKind
from tssd.train.handover.geometry import axes

INPUT_LEVELS = (255, 127, 63, 31, 15, 7)  # largest payloads that are tried


class BiasRoute(StrEnum):
    """What is done when the first layer has no room at the scale at which its weights just fit
    (the scale carries the pixels, so its bias reaches its mantissa's end early).

    AUTO: whichever of the next three is most like float. SCALE: a smaller scale, as the search
    finds. LEVELS: fewer input levels. CONSTANT: a constant input channel carries the coarse part of
    the bias. EXPONENT: the largest bias exponent of the target.
    """

    AUTO = "auto"
    SCALE = "scale"
    LEVELS = "levels"
    CONSTANT = "constant"
    EXPONENT = "exponent"


@dataclass(frozen=True)
class Entry:
    """One way in: the coding, its largest payload, whether a constant channel is added."""

    coding: InputCoding
    input_max: int
    constant: bool = False
    bias_exp: int | None = None  # of a layer whose bias overflows; None: the usual one


def coding_of(
    network: FloatNetwork, images: ImageArray, asked: InputCoding | None
) -> tuple[InputCoding, bool]:
    """The coding (``asked``, or as the samples are) and whether every payload is 0 or 1."""
    if asked is not None and asked.binary:
        return asked, True
    plain = two_valued(images) and bool(images.any())  # silence says nothing
    still = is_still(images, network.populations[0].shape)
    if asked is None and plain and not still:
        return InputCoding.SPIKES, True
    return asked or InputCoding.GRADED, plain


def entries(
    coding: InputCoding, binary: bool, precision: Precision, route: BiasRoute
) -> Iterator[Entry]:
    """The ways in to be tried, most levels first; with a constant channel after without."""
    if binary:
        yield Entry(coding, 1)
        return
    largest = min(PIXEL_MAX, precision.payload_max)
    levels = sorted({largest, *(x for x in INPUT_LEVELS if x < largest)}, reverse=True)
    match route:
        case BiasRoute.AUTO:
            for constant in (False, True):
                yield from (Entry(coding, x, constant) for x in levels)
        case BiasRoute.LEVELS:
            yield from (Entry(coding, x) for x in levels)
        case BiasRoute.SCALE:
            yield Entry(coding, largest)
        case BiasRoute.CONSTANT:
            yield Entry(coding, largest, True)
        case BiasRoute.EXPONENT:
            yield Entry(coding, largest, False, precision.bias_exp_max)


def constant_fits(projection: FloatProjection) -> bool:
    """Whether every output can read one place of a constant channel: tap ``padding`` of a kernel
    that spans the padding on both sides reads pixel o * stride, which lies inside the image."""
    if not projection.kind.spatial:
        return True
    read = [a.spread == a.dilation == 1 and a.taps > 2 * a.padding for a in axes(projection)]
    return projection.groups == 1 and all(read)


def units_of(network: FloatNetwork, input_max: int) -> tuple[dict[str, float], dict[str, int]]:
    """Float value of a payload of 1, and the largest payload, of every population."""
    units: dict[str, float] = {}
    payloads: dict[str, int] = {}
    for population in network.populations:
        name, incoming = population.name, network.incoming(population.name)
        match population.kind:
            case PopulationKind.INPUT:
                units[name], payloads[name] = 1.0 / input_max, input_max
            case PopulationKind.RELAY:
                check_relay(incoming)
                source, weight = incoming[0].source, incoming[0].weight.astype(np.int64)
                units[name] = units[source]
                payloads[name] = worst_activation(incoming[:1], [weight], [payloads[source]])
            case PopulationKind.LIF | PopulationKind.READOUT:
                units[name], payloads[name] = 1.0, 1
            case _:
                assert_never(population.kind)
    return units, payloads
