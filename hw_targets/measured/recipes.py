"""Which readings make which packaged chip file, and on top of what.

``tssd fit --packaged NAME`` follows a recipe again; a test holds the packaged files to it.
"""

from dataclasses import dataclass
from functools import cached_property

from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.measured.chip_text import ChipFit, ChipTitle, chip_text, fit_chip
from tssd.hw_targets.measured.table import MeasuredRun, packaged_runs


@dataclass(frozen=True)
class Recipe:
    """Readings of ``target`` on one of ``silicon``; ``base`` is the prior and what is extended."""

    base: str
    target: str
    silicon: tuple[str, ...]
    title: ChipTitle

    def runs(self) -> tuple[MeasuredRun, ...]:
        return tuple(
            run
            for run in packaged_runs()
            if run.target == self.target and run.silicon in self.silicon
        )

    @cached_property
    def fit(self) -> ChipFit:
        return fit_chip(load_chip(self.base), self.base, self.runs())

    def text(self) -> str:
        return chip_text(self.fit, self.title)


RECIPES = {
    recipe.title.name: recipe
    for recipe in (
        Recipe(
            "loihi1-sanafe",
            "loihi1",
            ("Loihi 1",),
            ChipTitle(
                "loihi1-nahuku",
                "Loihi 1, energies fitted to measured runs",
                "Loihi 1 on Nahuku and Wolf Mountain boards, NxSDK",
            ),
        ),
        Recipe(
            "loihi2-prior",
            "loihi2",
            ("N3B", "N3B3", "not stated"),
            ChipTitle(
                "loihi2-n3b",
                "Loihi 2, first silicon, energies fitted to measured runs",
                "N3B on Oheo Gulch boards, Lava",
            ),
        ),
        Recipe(
            "loihi2-n3b",
            "loihi2",
            ("N3C", "N3C1"),
            ChipTitle(
                "loihi2-n3c",
                "Loihi 2, newer silicon: one run of energy, a line and not a point",
                "N3C1 on Alia Point, N3C on Oheo Gulch",
            ),
        ),
    )
}
