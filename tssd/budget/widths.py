"""The bits of each layer: as few as a number of points of accuracy buys, found by measuring.

Every layer alone is first given fewer bits, all others the chip's own: what its answers lose is

    D(layer, bits) = mean over samples of KL(softmax(y / T) || softmax(y' / T))      in nats

(y and y' are the read-out's membranes after T steps with the chip's bits and with fewer; the
measure is ZeroQ's, arXiv 2001.00281), what it saves is the cost on the chip. D of a few hundred
samples tells layers apart (an answer more or less does not). Then, one after the
other, the step that saves most for what it loses is taken; the network of all steps so far is
quantized and its integers are run on the samples that chose no scale. A step by which more points
are lost than allowed, or which saves nothing after all, is taken back, and that layer gets no fewer
bits. The sum of single losses orders the steps; what is lost is measured (*ours*).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil

import numpy as np

from tssd.arrays import BoolArray, FloatArray
from tssd.budget.costs import ChipCost, Minimise, check_told, chip_cost
from tssd.calibration.comparing.paired import PairedLoss, paired_loss
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import UNIT, IntArray
from tssd.calibration.quantizing.options import Options
from tssd.calibration.tally import Tally
from tssd.errors import ConfigError, NetworkError
from tssd.hw_targets.chip.spec import ChipSpec

LADDER = (8, 6, 5, 4, 3, 2)  # widths that are tried, as far as they are below the chip's
ALONE_SAMPLES = 500  # at most, on which single layers are tried
Widths = Mapping[str, int]  # of every layer with weights
Told = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class WidthTrials:
    """What widths are tried on: the ``integers`` that options make, how samples that chose no scale
    are counted, their ``labels``, and which of them the float network gets right. ``few``: the same
    on the samples that single layers are tried on (None: on all)."""

    layers: tuple[str, ...]
    integers: Callable[[Options], IntNetwork]
    options: Options
    count: Callable[[IntNetwork], Tally]
    labels: IntArray
    float_right: BoolArray
    chip: ChipSpec
    seed: int = 0
    few: "WidthTrials | None" = None


@dataclass(frozen=True, eq=False)
class MeasuredWidths:
    """One choice of widths: its integers, what is lost against float, and what they take."""

    widths: Widths
    network: IntNetwork
    tally: Tally
    lost: PairedLoss
    cost: ChipCost


@dataclass(frozen=True)
class AloneWidth:
    """One layer with fewer bits, all others with the chip's."""

    layer: str
    bits: int
    divergence_nats: float
    lost_points: float
    cost: ChipCost


@dataclass(frozen=True)
class WidthStep:
    """One step of the search, and whether it was kept."""

    layer: str
    bits: int
    lost_points: float
    cost: ChipCost
    kept: bool


@dataclass(frozen=True, eq=False)
class MixedWidths:
    """What was found: the narrowest choice within the allowed points, beside the chip's widths."""

    goal: Minimise
    widest: MeasuredWidths
    found: MeasuredWidths
    alone: tuple[AloneWidth, ...]
    alone_samples: int
    steps: tuple[WidthStep, ...]

    @property
    def tried(self) -> int:
        """How many networks the samples chose from: the interval of ``found.lost`` knows of one."""
        return 1 + len(self.steps)

    @property
    def share(self) -> float:
        """The cost that is left of that with the chip's widths."""
        return self.found.cost.of(self.goal) / self.widest.cost.of(self.goal)


def mixed_widths(
    trials: WidthTrials, goal: Minimise, max_drop_points: float, told: Told = lambda text: None
) -> MixedWidths:
    """The widths of each layer with the least cost within *max_drop_points*; ConfigError where the
    chip's own widths already lose more."""
    check_told(goal, trials.chip)
    field_bits = trials.chip.bits.weight.count
    told(f"all layers with {field_bits} bits")
    widest = measure(trials, dict.fromkeys(trials.layers, field_bits))
    if widest.lost.points > max_drop_points:
        raise _out_of_reach(widest, goal, max_drop_points, field_bits)
    few = trials.few or trials
    whole = widest if few is trials else measure(few, widest.widths)
    alone = tuple(_alone(few, whole, max_drop_points, told))
    next_of = partial(next_step, whole.cost.of(goal), alone, goal=goal)
    found, steps = _greedy(trials, widest, next_of, goal, max_drop_points, told)
    return MixedWidths(goal, widest, found, alone, whole.tally.samples, steps)


def measure(trials: WidthTrials, widths: Widths) -> MeasuredWidths:
    """The integers of *widths*, run on the samples."""
    options = replace(trials.options, layer_bits=dict(widths))
    network = trials.integers(options)
    tally = trials.count(network)
    lost = paired_loss(trials.float_right, tally.classes() == trials.labels)
    cost = chip_cost(network, tally, trials.chip, trials.seed)
    return MeasuredWidths(widths, network, tally, lost, cost)


def divergence(widest: MeasuredWidths, narrow: MeasuredWidths) -> float:
    """D of the module, in nats."""
    ours, theirs = (_log_shares(one) for one in (widest, narrow))
    return float((np.exp(ours) * (ours - theirs)).sum(axis=1).mean())


def _log_shares(one: MeasuredWidths) -> FloatArray:
    """(samples, classes): log softmax of the mean logits."""
    readout = one.network.readout
    unit = UNIT * readout.scales * one.network.time_steps
    logits = (one.tally.readout / unit).reshape(one.tally.samples, -1)
    logits = logits - logits.max(axis=1, keepdims=True)
    shares: FloatArray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return shares


def _alone(
    trials: WidthTrials, widest: MeasuredWidths, most: float, told: Told
) -> Iterator[AloneWidth]:
    """Each layer at each width; narrower ones are left out where one surely loses too much."""
    for layer in trials.layers:
        for bits in LADDER:
            if bits >= widest.widths[layer]:
                continue
            told(f"{layer} alone with {bits} bits")
            try:
                one = measure(trials, {**widest.widths, layer: bits})
            except NetworkError as error:  # a layer that so few bits cannot represent
                told(f"{layer} cannot have {bits} bits: {error.where}: {error.found}")
                break
            yield AloneWidth(layer, bits, divergence(widest, one), one.lost.points, one.cost)
            if one.lost.least_points > most:
                break


def _greedy(
    trials: WidthTrials,
    widest: MeasuredWidths,
    next_of: "Callable[[Widths, Mapping[str, int]], AloneWidth | None]",
    goal: Minimise,
    most: float,
    told: Told,
) -> tuple[MeasuredWidths, tuple[WidthStep, ...]]:
    current, steps, refused = widest, [], dict.fromkeys(trials.layers, 0)
    while move := next_of(current.widths, refused):
        told(f"{move.layer} with {move.bits} bits, beside those before")
        tried = measure(trials, {**current.widths, move.layer: move.bits})
        saves = tried.cost.of(goal) < current.cost.of(goal)
        kept = tried.lost.points <= most and saves
        steps.append(WidthStep(move.layer, move.bits, tried.lost.points, tried.cost, kept))
        if kept:
            current = tried
        else:
            refused[move.layer] = max(refused[move.layer], move.bits)
    return current, tuple(steps)


def next_step(
    whole: float,
    alone: tuple[AloneWidth, ...],
    widths: Widths,
    refused: Mapping[str, int],
    goal: Minimise,
) -> AloneWidth | None:
    """The step that loses least for what it saves, of those that save something: narrower than
    *widths*, wider than what was *refused*. *whole*: the cost with the chip's widths."""
    at = {(one.layer, one.bits): one for one in alone}

    def loses_for_a_saving(one: AloneWidth) -> float | None:
        now = at.get((one.layer, widths[one.layer]))
        cost, lost = (whole, 0.0) if now is None else (now.cost.of(goal), now.divergence_nats)
        saved = cost - one.cost.of(goal)
        return max(one.divergence_nats - lost, 0.0) / saved if saved > 0 else None

    open_steps = [
        (ratio, -one.bits, one.layer)
        for one in alone
        if refused[one.layer] < one.bits < widths[one.layer]
        and (ratio := loses_for_a_saving(one)) is not None
    ]
    if not open_steps:
        return None
    _, bits, layer = min(open_steps)
    return at[layer, -bits]


def _out_of_reach(
    widest: MeasuredWidths, goal: Minimise, most: float, field_bits: int
) -> ConfigError:
    cost = f"{widest.cost.of(goal):,.4g} {goal.unit} of {goal}"
    return ConfigError(
        f"--max-drop {most:g}",
        found=f"{widest.lost} with all {field_bits} bits of the chip in every layer, at {cost}",
        allowed=f"{ceil(100 * widest.lost.points) / 100:.2f} or more on these"
        f" {widest.lost.samples:,} samples",
        hint="more --check-samples, or tssd calibrate RUN --bits, which trains",
    )
