"""What can go wrong, and at which moment of a command."""

import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "kill", "kill as pid 1", "interrupt", "terminate", "full", "small disk", "large file",
    "read-only", "vanished output", "vanished input", "two writers",
]  # fmt: skip
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
KILLS: tuple[Kind, ...] = ("kill", "kill as pid 1")


@dataclass(frozen=True)
class Fault:
    """*kind* at the file-system step number *step*, or after this *part* of the command's time; of
    a small disk or a large file, *part* is the share of the needed bytes that there is room for."""

    job: str
    kind: Kind
    step: int | None = None
    part: float | None = None

    @property
    def name(self) -> str:
        when = f" at step {self.step}" if self.step is not None else ""
        when += f" at {self.part:.4f}" if self.part is not None else ""
        return f"{self.job}: {self.kind}{when}"


@dataclass(frozen=True)
class Course:
    """A job's *steps*, of which one in *spare* is taken, and how many kills come at any moment."""

    steps: int
    spare: int = 1
    moments: int = 60


def drawn(courses: dict[str, Course], seed: int, most: int | None = None) -> list[Fault]:
    """Every fault of a campaign in an order fixed by *seed*: each kind at the steps of a job, and
    kills and signals at random moments too; *most* of each job, evenly over the kinds."""
    rng = random.Random(seed)
    found = [fault for job, course in courses.items() for fault in _of_job(job, course, rng)]
    rng.shuffle(found)
    kills = [fault for fault in found if fault.kind in KILLS]
    others = [fault for fault in found if fault.kind not in KILLS]
    ranked = [*enumerate(kills), *((OTHERS_EVERY * i, fault) for i, fault in enumerate(others))]
    mixed = [fault for _, fault in sorted(ranked, key=lambda pair: pair[0])]
    return mixed if most is None else _few(mixed, most)


OTHERS_EVERY = 4  # kills to one other fault, so that a campaign cut short has seen all kinds
RANDOM: dict[Kind, int] = {"interrupt": 8, "terminate": 8, "small disk": 6, "large file": 6}
SPARED: dict[Kind, int] = {  # of the steps, one in so many is enough for this kind
    "kill": 1, "kill as pid 1": 4, "interrupt": 12, "terminate": 12, "full": 4,
    "vanished output": 12, "vanished input": 12,
}  # fmt: skip


def _of_job(job: str, course: Course, rng: random.Random) -> list[Fault]:
    at_steps = [
        Fault(job, kind, step=step)
        for kind, spared in SPARED.items()
        for step in range(1 + spared * course.spare // 2, course.steps + 1, spared * course.spare)
    ]
    counts: dict[Kind, int] = {"kill": course.moments, **RANDOM}
    moments = [
        Fault(job, kind, part=rng.random()) for kind, count in counts.items() for _ in range(count)
    ]
    return [*at_steps, *moments, Fault(job, "read-only"), *4 * [Fault(job, "two writers")]]


def _few(faults: list[Fault], most: int) -> list[Fault]:
    """The first of every kind of every job, then the second, until there are *most* of a job."""
    seen: dict[tuple[str, Kind], int] = {}
    ranked = []
    for fault in faults:
        rank = seen[fault.job, fault.kind] = seen.get((fault.job, fault.kind), -1) + 1
        ranked.append((rank, fault))
    kept: dict[str, list[Fault]] = {}
    for _, fault in sorted(ranked, key=lambda pair: pair[0]):
        mine = kept.setdefault(fault.job, [])
        if len(mine) < most:
            mine.append(fault)
    return [fault for mine in kept.values() for fault in mine]
