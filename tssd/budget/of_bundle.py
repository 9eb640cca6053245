"""Early exit of a bundle: the margin is chosen on held-out samples, the figures are of others."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tssd.budget.early_exit import ExitCost, Stepwise, exit_cost, exit_tallies, stepwise
from tssd.budget.margins import (
    MarginRow,
    MarginWalk,
    chosen_margin,
    margin_row,
    margin_rows,
    margin_walk,
    measured_margin,
)
from tssd.calibration.comparing.paired import paired_loss
from tssd.calibration.integer import IntArray
from tssd.chain.own_data import data_of
from tssd.chain.samples import Samples, bundle_samples, samples_of, trained_as
from tssd.errors import DataError, counted
from tssd.export.bundle.folder import Bundle, read_bundle
from tssd.simulating.simulation import Request, chip_of, placement_of


@dataclass(frozen=True)
class ExitSamples:
    """How many samples choose the margin, how many are tested, and their files."""

    choosing: int = 5000
    tested: int = 10_000
    data: Path | None = None


@dataclass(frozen=True)
class Tested:
    """One way to run the test samples."""

    accuracy: float
    mean_steps: float
    cost: ExitCost
    synops_at_once: float


@dataclass(frozen=True)
class Unproven:
    """A smaller margin that lost no more than allowed on the samples that choose, by luck perhaps;
    ``samples`` would show it if it loses and wins as often on more (None: it loses as much as is
    allowed, to the sample)."""

    margin: int
    lost_points: float
    most_lost_points: float
    samples: int | None


@dataclass(frozen=True)
class EarlyExit:
    """The margins on the samples that choose, the one that was chosen, and what it does to the test
    samples beside ``whole``, all steps: ``lost_points`` and the ends of their 95 % interval.
    ``tried`` margins were shown; ``max_drop_points`` bounds the upper end on the samples that
    choose. ``depth``: chip steps from the first input to the read-out's first step."""

    chip: str
    time_steps: int
    depth: int
    max_drop_points: float
    choosing: str
    tested: str
    tried: int
    rows: tuple[MarginRow, ...]
    chosen: MarginRow
    unproven: Unproven | None
    whole: Tested
    early: Tested
    lost_points: float
    least_lost_points: float
    most_lost_points: float


def early_exit(
    folder: Path, max_drop_points: float, samples: ExitSamples, chip: str | None = None
) -> EarlyExit:
    """Choose a margin for the bundle in *folder* and test it."""
    bundle = read_bundle(folder)
    request = Request(folder, chip=chip)
    spec = chip_of(request, bundle)
    placement, _ = placement_of(request, bundle, spec)
    choosing, tested = choosing_and_tested(bundle, samples)
    network = bundle.network
    chooses, wanted = stepwise(network, choosing.inputs), labels_of(choosing)
    walk = margin_walk(chooses, wanted)
    margin = chosen_margin(walk, max_drop_points)
    chosen = margin_row(chooses, wanted, margin)
    seen, labels = stepwise(network, tested.inputs), labels_of(tested)
    ways = [seen.exits(np.inf if margin is None else margin) for margin in (None, chosen.margin)]
    costs = [
        exit_cost(network, exit_tallies(network, tested.inputs, exits), placement, spec)
        for exits in ways
    ]
    whole, early = (_tested(seen, labels, *way) for way in zip(ways, costs, strict=True))
    lost = paired_loss(*(seen.answered(exits) == labels for exits in ways))
    return EarlyExit(
        spec.name,
        network.time_steps,
        int(seen.depth.max()),
        max_drop_points,
        choosing.shown,
        tested.shown,
        len(walk.margins),
        margin_rows(chooses, wanted, margin),
        chosen,
        unproven(walk, margin, max_drop_points),
        whole,
        early,
        lost.points,
        lost.least_points,
        lost.most_points,
    )


def unproven(walk: MarginWalk, chosen: int, max_drop_points: float) -> Unproven | None:
    """The smallest margin that was measured within the drop, where it is not the *chosen* one."""
    place = measured_margin(walk, max_drop_points)
    if place is None or walk.margins[place] >= chosen:
        return None
    loss = walk.loss(place)
    return Unproven(
        int(walk.margins[place]),
        loss.points,
        loss.most_points,
        loss.samples_for(max_drop_points),
    )


def _tested(seen: Stepwise, labels: IntArray, exits: IntArray, cost: ExitCost) -> Tested:
    return Tested(
        float((seen.answered(exits) == labels).mean()),
        float(exits.mean()),
        cost,
        seen.operations(exits, at_once=True),
    )


def choosing_and_tested(bundle: Bundle, asked: ExitSamples) -> tuple[Samples, Samples]:
    """Validation and test samples of the bundle's data set; of a user's own file its two halves."""
    source = bundle.manifest.get("source", {})
    if source.get("dataset") is not None:
        found = data_of(trained_as(source), asked.data)
        val, test = found.val.first(asked.choosing), found.test.first(asked.tested)
        shown = (counted(len(val), "validation sample"), counted(len(test), "test sample"))
        return (
            samples_of(bundle, val.images[:], val.labels, f"{shown[0]} of {found.name}"),
            samples_of(bundle, test.images[:], test.labels, f"{shown[1]} of {found.name}"),
        )
    own = bundle_samples(bundle, asked.choosing + asked.tested, asked.data)
    if own.images is None or own.labels is None or len(own.labels) < 2:
        raise DataError(
            str(bundle.folder),
            found="no labelled samples to choose a margin on and to test it with"
            if own.labels is None
            else f"{counted(len(own.labels), 'labelled sample')}",
            allowed="2 or more: half of them choose, the others test",
            hint="--data x.npz with inputs and labels",
        )
    half = len(own.labels) // 2
    halves = [slice(0, half), slice(half, None)]
    words = ("first", "second")
    first, second = (
        replace(
            samples_of(bundle, own.images[part], own.labels[part], f"{word} half of {own.shown}"),
            notes=own.notes,
        )
        for part, word in zip(halves, words, strict=True)
    )
    return first, second


def labels_of(samples: Samples) -> IntArray:
    """Their labels, which ``choosing_and_tested`` has looked for."""
    assert samples.labels is not None
    return samples.labels
