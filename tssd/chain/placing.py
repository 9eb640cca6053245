"""Placing what was made: on the fewest cores, or for time or energy by the activity of samples."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices
from tssd.hw_targets.mapping.placement import Placement, place
from tssd.hw_targets.optimising.goal import Goal

if TYPE_CHECKING:  # it brings the simulator along
    from tssd.hw_targets.optimising.optimise import Optimised

Placed = tuple[Placement, "Optimised | None"]


def placed_for(
    goal: Goal,
    network: IntNetwork,
    chip: ChipSpec,
    tally: Tally,
    inputs: Callable[[], IntArray],
    seed: int,
    layout: Choices = NO_CHOICE,
) -> Placed:
    """A placement for *goal*, and what it bought; *tally* counted samples, *inputs* makes them
    again as (T, B, *input shape)."""
    if goal is Goal.CORES:
        return place(network, chip, tally, seed, layout), None
    from tssd.hw_targets.optimising.optimise import optimise

    found = optimise(network, chip, tally, inputs(), goal, seed, layout)
    return found.placement, found


def placing_on(target: str, goal: Goal) -> str:
    """The step in words."""
    return f"place on {target}" + ("" if goal is Goal.CORES else f" for {goal}")


def told_of(
    placed: "Optimised | None", notes: Sequence[str] = (), layout: Sequence[str] = ()
) -> Mapping[str, Any]:
    """What the manifest says of a placement for time or energy and of a layout (``fit.told``),
    beside other *notes*."""
    told = [*notes, *layout, *([] if placed is None else [placed.told()])]
    kept = {} if placed is None else {"placed": placed.to_table()}
    return kept | ({"notes": told} if told else {})
