"""What a float run is given and what it leaves, without torch: later stages read these too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tssd.arrays import ByteArray, IntArray
from tssd.errors import DataError, NetworkError
from tssd.train.handover.float_network import FloatArray, FloatNetwork

ImageArray = ByteArray
Number = TypeVar("Number", bound=np.generic)

PIXEL_MAX = 255
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)


@dataclass(frozen=True, eq=False)
class ValueRange:
    """Largest value and ``QUANTILES`` of |current| and |membrane before the reset|."""

    current_max: float
    membrane_max: float
    current: tuple[float, ...]
    membrane: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class FloatActivity:
    """What N samples over T steps did.

    ``logits`` (N, classes) is the readout's membrane / T. ``events[name]`` has the population's
    shape: spikes (non-zero payloads) sent per neuron, summed over samples and steps. ``ranges``
    and ``spikes`` (T, N, *shape) are filled on request, ``membranes`` (before the reset, of the
    populations that have one) with the spikes.
    """

    samples: int
    time_steps: int
    logits: FloatArray
    events: Mapping[str, FloatArray]
    ranges: Mapping[str, ValueRange] = field(default_factory=dict)
    spikes: Mapping[str, FloatArray] = field(default_factory=dict)
    membranes: Mapping[str, FloatArray] = field(default_factory=dict)

    def spike_total(self, name: str) -> int:
        """Events of one population, summed over neurons, samples and steps."""
        return int(self.events[name].sum())

    def classes(self) -> IntArray:
        """The class of each sample: the largest logit, the first on a tie."""
        best: IntArray = self.logits.argmax(axis=1)
        return best

    def accuracy(self, labels: npt.ArrayLike) -> float:
        """Share of right classes, in percent."""
        return float(100 * np.mean(self.classes() == np.asarray(labels)))


def check_images(network: FloatNetwork, images: ImageArray | FloatArray) -> None:
    """Images are uint8 or float (N, *input shape), or frames (N, T, *input shape) with a frame for
    every step; at least one. The network has at least one step."""
    shape = network.populations[0].shape
    middle = images.shape[1 : images.ndim - len(shape)]  # () or (T,)
    fits = images.shape[images.ndim - len(shape) :] == shape and len(middle) <= 1
    enough = not middle or middle[0] >= network.time_steps
    known = images.dtype == np.uint8 or images.dtype.kind == "f"
    if not known or not fits or not enough or len(images) == 0:
        size = ", ".join(map(str, shape))
        raise DataError(
            "images",
            found=f"{images.dtype} array of shape {images.shape}",
            allowed=f"uint8 or float, (samples >= 1, {size}), or frames (samples, "
            f"T >= {network.time_steps}, {size})",
        )
    if network.time_steps < 1:
        raise NetworkError("network", found=f"{network.time_steps} time steps", allowed=">= 1")


def presented(network: FloatNetwork, images: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Time first: still images (1, N, *shape), or the first frames (T, N, *shape)."""
    return over_steps(images, network.populations[0].shape, network.time_steps)


def over_steps(
    images: npt.NDArray[Number], shape: tuple[int, ...], time_steps: int
) -> npt.NDArray[Number]:
    """Samples first -> time first; a time axis of 1 stands for the same image at every step."""
    if images.ndim <= len(shape) + 1:
        return images[None]
    return np.ascontiguousarray(images.swapaxes(0, 1)[:time_steps])
