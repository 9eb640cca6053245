"""Contracts of calibration: the folded network fires as the trained one does."""

import numpy as np
import numpy.typing as npt

from tssd.contracts import Contract, check
from tssd.train.float_network import FloatNetwork, PopulationKind
from tssd.train.float_run import ImageArray, run

FOLD_SLOTS_PERCENT = 99.9  # spike slots that must agree
FOLD_ACCURACY_POINTS = 0.1


def fold_contracts(
    network: FloatNetwork,
    folded: FloatNetwork,
    images: ImageArray,
    labels: npt.ArrayLike | None = None,
    batch: int = 64,
) -> tuple[Contract, ...]:
    """Spikes of the populations that both have agree on >= 99.9 % of slots; the accuracy (with
    ``labels``) within 0.1 point. float32 arithmetic, as in training."""
    slots: dict[str, int] = {}
    differ: dict[str, int] = {}
    right = np.zeros(2)
    for first in range(0, len(images), batch):
        part = slice(first, first + batch)
        before, after = (run(n, images[part], keep_spikes=True) for n in (network, folded))
        for name in _common(network, folded):
            slots[name] = slots.get(name, 0) + before.spikes[name].size
            unlike = int((before.spikes[name] != after.spikes[name]).sum())
            differ[name] = differ.get(name, 0) + unlike
        if labels is not None:
            wanted = np.asarray(labels)[part]
            right += [int((a.classes() == wanted).sum()) for a in (before, after)]
    rows = [_slots_row(slots, differ)]
    if labels is not None:
        rows.append(_accuracy_row(100 * right / len(images)))
    return tuple(rows)


def _common(network: FloatNetwork, folded: FloatNetwork) -> list[str]:
    kept = {p.name for p in folded.populations}
    return [p.name for p in network.populations if p.kind is PopulationKind.LIF and p.name in kept]


def _slots_row(slots: dict[str, int], differ: dict[str, int]) -> Contract:
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


def _accuracy_row(accuracy: npt.NDArray[np.float64]) -> Contract:
    before, after = (float(a) for a in accuracy)
    return check(
        "folded: accuracy",
        abs(before - after) <= FOLD_ACCURACY_POINTS + 1e-9,
        f"{after:.2f} % (trained {before:.2f} %)",
        f"within {FOLD_ACCURACY_POINTS} point",
    )
