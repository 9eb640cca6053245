"""Contracts of calibration: folded = trained, and what quantization changed, layer by layer.

Counts come from any exact engine (a ``Tally`` or an ``Activity``); nothing here runs the integers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.arrays import BoolArray
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.contracts import Contract, check
from tssd.errors import DataError
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
)
from tssd.train.handover.float_run import FloatActivity, ImageArray, run

FOLD_SLOTS_PERCENT = 99.9  # spike slots that must agree
FOLD_ACCURACY_POINTS = 0.1
TOLERANCE_POINTS = 1.0  # default of the user's tolerance


# ---------------------------------------------------------------- trained against folded


@dataclass(frozen=True, eq=False)
class Folding:
    """The trained and the folded network on the same samples: the classes (N,) of each, the folded
    one's events by population, and the spike slots of the populations that both have."""

    before: IntArray
    after: IntArray
    events: Mapping[str, int]
    slots: Mapping[str, int]
    differing: Mapping[str, int]

    def contracts(self, labels: npt.ArrayLike | None = None) -> tuple[Contract, ...]:
        """Spikes agree on >= 99.9 % of slots; the accuracy (with ``labels``) within 0.1 point."""
        rows = (_slots_row(self.slots, self.differing),)
        if labels is None:
            return rows
        right = np.array([np.mean(found == labels) for found in (self.before, self.after)])
        return (*rows, _accuracy_row(100 * right))


def compare_folded(
    network: FloatNetwork,
    folded: FloatNetwork,
    images: ImageArray,
    *,
    batch: int = 64,
    device: str = "cpu",
) -> Folding:
    """Run both in float32 arithmetic, as in training, each once."""
    classes: list[tuple[IntArray, IntArray]] = []
    events, slots, differing = Counter[str](), Counter[str](), Counter[str]()
    for first in range(0, len(images), batch):
        part = images[first : first + batch]
        before, after = (run(n, part, device=device, keep_spikes=True) for n in (network, folded))
        classes.append((before.classes(), after.classes()))
        events.update({name: after.spike_total(name) for name in after.events})
        for name in _common(network, folded):
            slots[name] += before.spikes[name].size
            differing[name] += int((before.spikes[name] != after.spikes[name]).sum())
    answers = [np.concatenate(parts) for parts in zip(*classes, strict=True)]
    return Folding(answers[0], answers[1], events, slots, differing)


def _common(network: FloatNetwork, folded: FloatNetwork) -> list[str]:
    kept = {p.name for p in folded.populations}
    return [p.name for p in network.populations if p.kind.fires and p.name in kept]


def _slots_row(slots: Mapping[str, int], differ: Mapping[str, int]) -> Contract:
    """The agreement over all layers, naming the worst."""
    share = 100 * (1 - sum(differ.values()) / sum(slots.values()))
    worst = max(slots, key=lambda name: differ[name] / slots[name])
    where = f"worst layer {worst}: {differ[worst]} of {slots[worst]} slots differ"
    return check(
        "folded: spike slots that agree",
        share >= FOLD_SLOTS_PERCENT,
        f"{share:.4f} %",
        f">= {FOLD_SLOTS_PERCENT} %",
        where,
    )


def _accuracy_row(accuracy: FloatArray) -> Contract:
    before, after = (float(a) for a in accuracy)
    return check(
        "folded: accuracy",
        abs(before - after) <= FOLD_ACCURACY_POINTS + 1e-9,
        f"{after:.2f} % (trained {before:.2f} %)",
        f"within {FOLD_ACCURACY_POINTS} point",
    )


# ---------------------------------------------------------------- float against integer


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

    Takes whether each network classified sample i rightly. The loss has the standard error of a
    paired difference, sqrt(wins + losses - (wins - losses)^2 / n) / n; the contract fails when the
    loss is larger than the tolerance by more than chance explains (95 %): 180 samples cannot prove
    one point.
    """
    if float_right.shape != integer_right.shape:
        raise DataError(
            "comparison of float and integer",
            found=f"{len(integer_right)} samples against {len(float_right)}",
            allowed="the same samples",
        )
    lost = float_right.astype(np.int64) - integer_right
    loss = 100 * float(lost.mean())
    margin = 100 * 1.96 * float(lost.std()) / np.sqrt(len(lost))
    return check(
        "FloatNetwork -> IntNetwork: accuracy",
        loss - margin <= tolerance + 1e-9,
        f"{100 * integer_right.mean():.2f} % (float {100 * float_right.mean():.2f} %), "
        f"{loss:.2f} ± {margin:.2f} points lost",
        f"at most {tolerance:g} lost",
        f"{len(lost)} samples",
    )
