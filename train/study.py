"""An ablation: every condition with every seed, compared seed by seed with plain cross-entropy.

Conditions differ in the method alone (and, for the two controls, in the number of steps); data,
recipe and seeds are the same. Each run has a folder of its own, so a study that was stopped goes
on where it stood. The difference of a condition is the mean over seeds of its accuracy minus that
of the baseline with the same seed, with Student's 95 % interval.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from tssd.atomic import write_bytes
from tssd.errors import ConfigError
from tssd.train.checkpoint import CHECKPOINT
from tssd.train.config import Method, TrainConfig
from tssd.train.data import Dataset
from tssd.train.loop import train

BASELINE = "ce at T_s"
LONG = "ce at T_t"


@dataclass(frozen=True)
class Outcome:
    """One condition: test accuracy in per cent at T_s and at T_t (or the last step trained)."""

    condition: str
    at_student_steps: tuple[float, ...]  # one per seed
    at_last_step: tuple[float, ...]
    difference: float | None  # to the baseline at T_s, mean over seeds; None for the baseline
    half_width: float | None  # of its 95 % interval; None with one seed

    @property
    def accuracy(self) -> float:
        return fmean(self.at_student_steps)


def conditions(config: TrainConfig) -> dict[str, TrainConfig]:
    """Name -> configuration; the long control is trained with T_t steps and read out at T_s too."""
    plain = replace(config, method=Method.CE)
    long = replace(
        plain,
        student_steps=config.teacher_steps,
        teacher_steps=config.teacher_steps + 1,
    )
    methods = (Method.TET, Method.TSD, Method.SSD, Method.TSSD, Method.S2W, Method.W2S)
    others = {str(method.value): replace(config, method=method) for method in methods}
    return {BASELINE: plain, LONG: long, **others}


def study(
    config: TrainConfig,
    data: Dataset,
    seeds: Sequence[int],
    folder: Path,
    began: Callable[[str, int], None] = lambda condition, seed: None,
) -> tuple[Outcome, ...]:
    """Run what is missing and compare; writes ``study.json`` and ``study.md`` into *folder*."""
    if not seeds:
        raise ConfigError("study: seeds", found="none", allowed="at least one")
    found: dict[str, list[list[float]]] = {}
    for condition, changed in conditions(config).items():
        for seed in seeds:
            began(condition, seed)
            run = folder / f"{condition.replace(' ', '-')}-seed{seed}"
            found.setdefault(condition, []).append(
                accuracies_of(replace(changed, seed=seed), data, run)
            )
    outcomes = compare(found, config.student_steps)
    table = {"config": config.to_table(), "outcomes": [asdict(outcome) for outcome in outcomes]}
    write_bytes(folder / "study.json", (json.dumps(table, indent=1) + "\n").encode())
    write_bytes(folder / "study.md", markdown(outcomes, config, len(seeds)).encode())
    return outcomes


def accuracies_of(config: TrainConfig, data: Dataset, folder: Path) -> list[float]:
    """Per cent at 1, 2, ... steps of the run in *folder*, which is made or finished if need be."""
    path = folder / "manifest.json"
    if path.is_file():
        manifest = json.loads(path.read_text())
        if manifest["config"] != config.to_table():
            raise ConfigError(
                str(folder), found="a run of another configuration", hint="another --out"
            )
        done: list[float] = manifest["accuracy"]["test_at_step"]
        return done
    outcome = train(config, data, folder, resume=(folder / CHECKPOINT).is_file())
    accuracies: list[float] = outcome.accuracy["test_at_step"]
    return accuracies


def compare(found: dict[str, list[list[float]]], student_steps: int) -> tuple[Outcome, ...]:
    """Outcomes from the accuracies at each step: condition -> one list per seed."""
    base = [run[student_steps - 1] for run in found[BASELINE]]
    outcomes = []
    for condition, runs in found.items():
        here = tuple(run[student_steps - 1] for run in runs)
        last = tuple(run[-1] for run in runs)
        pairs = [a - b for a, b in zip(here, base, strict=True)]
        is_base = condition == BASELINE
        outcomes.append(
            Outcome(
                condition,
                here,
                last,
                None if is_base else fmean(pairs),
                None if is_base else interval(pairs),
            )
        )
    return tuple(outcomes)


def interval(values: Sequence[float]) -> float | None:
    """Half the width of Student's 95 % interval of the mean; None for a single value."""
    if len(values) < 2:
        return None
    from scipy import stats

    return float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def markdown(outcomes: Sequence[Outcome], config: TrainConfig, seeds: int) -> str:
    """The table for people."""
    lines = [
        f"{config.model} on {config.dataset}, {config.epochs} epochs, {seeds} seeds, "
        f"T_s = {config.student_steps}, T_t = {config.teacher_steps}; test accuracy in %.",
        "",
        "| condition | at T_s | at the last step | minus ce at T_s, 95 % interval |",
        "|---|---|---|---|",
    ]
    for outcome in outcomes:
        cells = [outcome.condition, f"{outcome.accuracy:.2f}"]
        cells += [f"{fmean(outcome.at_last_step):.2f}", _difference(outcome)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _difference(outcome: Outcome) -> str:
    if outcome.difference is None:
        return "-"
    if outcome.half_width is None:
        return f"{outcome.difference:+.2f} (one seed: no interval)"
    return f"{outcome.difference:+.2f} ± {outcome.half_width:.2f}"
