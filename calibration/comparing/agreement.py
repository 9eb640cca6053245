"""Contracts of calibration: folded = trained, and what quantization changed, layer by layer.

Counts come from any exact engine (a ``Tally`` or an ``Activity``); nothing here runs the integers.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tssd.calibration.int_network import Activity, IntNetwork
from tssd.calibration.integer import STATE_LIMIT, UNIT, IntArray
from tssd.calibration.tally import Tally
from tssd.contracts import Contract, check
from tssd.errors import DataError
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    PopulationKind,
    Reset,
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

    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
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
    classes: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
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
    return [p.name for p in network.populations if p.kind is PopulationKind.LIF and p.name in kept]


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


def _accuracy_row(accuracy: npt.NDArray[np.float64]) -> Contract:
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


@dataclass(frozen=True)
class Divergence:
    """The first slot, in processing order, in which float and integer spikes differ.

    ``float_membrane`` and ``integer_membrane`` are after the reset, in float units.
    """

    layer: str
    sample: int
    step: int
    neuron: tuple[int, ...]
    float_spike: float
    integer_spike: float
    float_membrane: float
    integer_membrane: float

    def __str__(self) -> str:
        return (
            f"{self.layer}{list(self.neuron)}, sample {self.sample}, step {self.step}: float sent "
            f"{self.float_spike:g} (membrane {self.float_membrane:.4f}), integer sent "
            f"{self.integer_spike:g} (membrane {self.integer_membrane:.4f})"
        )


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
    float_right: npt.NDArray[np.bool_],
    integer_right: npt.NDArray[np.bool_],
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


def first_divergence(
    network: FloatNetwork, integers: IntNetwork, wanted: FloatActivity, found: Activity
) -> Divergence | None:
    """The first LIF slot that differs (population, then sample, step, neuron); None if none does.

    ``wanted`` needs its spikes kept, ``found`` its v.
    """
    for population in network.populations:
        if population.kind is not PopulationKind.LIF:
            continue
        name = population.name
        unlike = wanted.spikes[name] != found.spikes[name]
        if unlike.any():
            sample, step, *neuron = (int(i) for i in np.argwhere(np.swapaxes(unlike, 0, 1))[0])
            slot = (step, sample, *neuron)
            return Divergence(
                name,
                sample,
                step,
                tuple(neuron),
                float(wanted.spikes[name][slot]),
                float(found.spikes[name][slot]),
                _after_reset(population, wanted, slot),
                float(found.v[name][slot]) / (UNIT * integers.population(name).scale),
            )
    return None


def _after_reset(
    population: FloatPopulation, activity: FloatActivity, slot: tuple[int, ...]
) -> float:
    membrane = float(activity.membranes[population.name][slot])
    spike = float(activity.spikes[population.name][slot])
    if population.reset is Reset.HARD:
        return membrane * (1 - spike)
    lowered = np.broadcast_to(population.subtracted, population.shape)[slot[2:]]
    return membrane - spike * float(lowered) * (population.reset is Reset.SOFT)


def saturations(network: IntNetwork, activity: Activity) -> dict[str, int]:
    """Slots in which v stood at an end of its 24 bits; needs v.

    A saturated neuron that then fired with hard reset is not seen: its v is 0 either way.
    """
    found: dict[str, int] = {}
    for population in network.populations:
        if population.has_state:
            v, ends = activity.v[population.name], STATE_LIMIT - 1
            if population.reset is Reset.SOFT:
                v = v + activity.spikes[population.name] * population.subtracted * UNIT
            found[population.name] = int((np.abs(v) >= ends).sum())
    return found
