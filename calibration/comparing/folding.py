"""The contract of folding: the folded network answers as the trained one does, run in torch."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.calibration.integer import IntArray
from tssd.contracts import FOLDED_SLOTS, Contract, check
from tssd.train.handover.float_activity import FloatActivity, ImageArray
from tssd.train.handover.float_network import FloatArray, FloatNetwork
from tssd.train.handover.float_run import run

FOLD_SLOTS_PERCENT = 99.9  # spike slots that must agree
FOLD_ACCURACY_POINTS = 0.1


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
    on_folded: Callable[[int, FloatActivity], None] = lambda first, activity: None,
) -> Folding:
    """Run both in float32 arithmetic, as in training, each once. ``on_folded`` sees what the folded
    one did, spikes and all, batch by batch, from sample number *first* on."""
    classes: list[tuple[IntArray, IntArray]] = []
    events, slots, differing = Counter[str](), Counter[str](), Counter[str]()
    for first in range(0, len(images), batch):
        part = images[first : first + batch]
        before, after = (run(n, part, device=device, keep_spikes=True) for n in (network, folded))
        on_folded(first, after)
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
        FOLDED_SLOTS,
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
