"""Dense float networks: many pixels into few neurons, where a first layer runs out of room."""

import numpy as np
from float_nets import lif, stateless

from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatProjection,
    PopulationKind,
    ProjectionKind,
    Reset,
)

PIXELS, HIDDEN, CLASSES, STEPS = 784, 64, 10, 8


def mlp(reset: Reset = Reset.SOFT, *, weight: float = 1.0, bias: float = 0.03) -> FloatNetwork:
    """784-64-10 with the weights of a fresh linear layer times ``weight``."""
    rng = np.random.default_rng(0)
    hidden = lif("hidden", (HIDDEN,), reset, decay=0.95)
    hidden = type(hidden)(**{**vars(hidden), "bias": rng.uniform(-bias, bias, HIDDEN)})
    first = rng.uniform(-1, 1, (HIDDEN, PIXELS)) / np.sqrt(PIXELS) * weight
    second = rng.uniform(-1, 1, (CLASSES, HIDDEN)) / np.sqrt(HIDDEN)
    return FloatNetwork(
        (
            stateless("input", (PIXELS,), PopulationKind.INPUT),
            hidden,
            stateless("readout", (CLASSES,), PopulationKind.READOUT),
        ),
        (
            FloatProjection("input", "hidden", ProjectionKind.DENSE, first),
            FloatProjection("hidden", "readout", ProjectionKind.DENSE, second),
        ),
        STEPS,
    )


def grey(samples: int, seed: int = 1) -> ImageArray:
    """Pixels 0 .. 255, four of five black."""
    rng = np.random.default_rng(seed)
    seen = rng.random((samples, PIXELS)) < 0.2
    levels = rng.integers(100, 256, (samples, PIXELS))
    return np.where(seen, levels, 0).astype(np.uint8)


def events(samples: int, seed: int = 2) -> ImageArray:
    """Frames of 0 and 255, one in ten an event."""
    seen = np.random.default_rng(seed).random((samples, STEPS, PIXELS)) < 0.1
    return np.where(seen, 255, 0).astype(np.uint8)
