"""Contracts of calibration: what quantization changed, layer by layer.

Counts come from any exact engine (a ``Tally`` or an ``Activity``); nothing here runs a network.
"""

from dataclasses import dataclass

import numpy as np

from tssd.arrays import BoolArray
from tssd.calibration.comparing.paired import paired_loss
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.contracts import Contract, check
from tssd.errors import DataError
from tssd.train.handover.float_activity import FloatActivity
from tssd.train.handover.float_network import FloatArray

TOLERANCE_POINTS = 1.0  # default of the user's tolerance


@dataclass(frozen=True)
class LayerAgreement:
    """Spikes of one LIF population: totals, their ratio (integer / float), and the cosine of the
    per-neuron counts. ``ratio`` and ``cosine`` are None where the float layer is silent."""

    name: str
    float_spikes: int
    integer_spikes: int
    ratio: float | None
    cosine: float | None


def layer_agreement(activity: FloatActivity, tally: Tally) -> tuple[LayerAgreement, ...]:
    """One row per population that spikes in both, in the order of the float network."""
    _check_same_run(activity, tally)
    names = list(activity.events)[1:-1]
    return tuple(_layer(n, activity.events[n], tally.events[n]) for n in names)


def _check_same_run(activity: FloatActivity, tally: Tally) -> None:
    ours, theirs = (activity.samples, activity.time_steps), (tally.samples, tally.time_steps)
    if ours != theirs:
        raise DataError(
            "comparison of float and integer",
            found=f"{theirs[0]} samples of {theirs[1]} steps against {ours[0]} of {ours[1]}",
            allowed="the same samples and steps",
        )


def _layer(name: str, wanted: FloatArray, found: IntArray) -> LayerAgreement:
    a, b = wanted.ravel().astype(np.float64), found.ravel().astype(np.float64)
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return LayerAgreement(
        name,
        int(a.sum()),
        int(b.sum()),
        float(b.sum() / a.sum()) if a.any() else None,
        float(a @ b / norm) if norm else None,
    )


def accuracy_contract(
    float_right: BoolArray,
    integer_right: BoolArray,
    tolerance: float = TOLERANCE_POINTS,
) -> Contract:
    """FloatNetwork -> IntNetwork: the accuracy lost on the same samples, in points.

    The contract fails when the loss is larger than the tolerance by more than chance explains
    (95 %, see ``paired_loss``): 180 samples cannot prove one point.
    """
    loss = paired_loss(float_right, integer_right)
    return check(
        "FloatNetwork -> IntNetwork: accuracy",
        loss.least_points <= tolerance + 1e-9,
        f"{100 * integer_right.mean():.2f} % (float {100 * float_right.mean():.2f} %), {loss}",
        f"at most {tolerance:g} lost",
        f"{len(float_right)} samples",
    )
