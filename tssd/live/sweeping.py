"""Sweeps and studies from Python: tables that print, show in a notebook and become frames."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tssd import typed
from tssd.comparison.reading import STUDY, StudyPart
from tssd.errors import FileFormatError
from tssd.live.tables import Shown, ShownTable
from tssd.report import words
from tssd.simulating import sweep
from tssd.simulating.simulation import Request

Settings = Mapping[str, Sequence[object]]


@dataclass(frozen=True, eq=False, repr=False)
class Swept(Shown):
    """The points of a sweep: settings and figures, or why a point could not be simulated."""

    names: tuple[str, ...]
    points: tuple[Mapping[str, Any], ...]

    def table(self) -> ShownTable:
        figures = ("latency", "per second", "dynamic", "cores", "limited by")
        rows = tuple((*(p[name] for name in self.names), *_figures(p)) for p in self.points)
        lines = (f"{len(self.points)} points; times are without I/O",)
        return ShownTable(lines, (*self.names, *figures), rows, self.points)


def _figures(point: Mapping[str, Any]) -> tuple[object, ...]:
    if point["error"]:
        return ("-", "-", "-", "-", point["error"])
    return (
        words.duration(point["latency_us"]),
        words.number(point["inferences_per_s"]),
        words.energy(point["dynamic_pj"]),
        point["cores"],
        point["bottleneck"],
    )


def swept(base: Request, settings: Settings, workers: int | None = None) -> Swept:
    """*base* simulated for every combination of *settings*, each name with its values: ``chip`` or
    a number of the chip, as ``tssd sweep --set`` has them."""
    texts = [f"{name}={','.join(map(str, values))}" for name, values in settings.items()]
    axes = sweep.parse_axes(texts)
    points = sweep.requests(base, axes)
    sweep.check_names(base, points)
    names = tuple(name for name, _ in axes)
    with closing(sweep.in_processes(workers)(sweep.simulate_point, points)) as found:
        rows = []
        for request, point in zip(points, found, strict=True):
            chosen = {**dict(request.settings), "chip": request.chip}
            rows.append({name: chosen[name] for name in names} | asdict(point))
    return Swept(names, tuple(rows))


@dataclass(frozen=True, eq=False, repr=False)
class Studied(Shown):
    """The conditions of a study."""

    folder: Path
    study: StudyPart

    def table(self) -> ShownTable:
        rows, records = [], []
        for one in self.study.outcomes:
            mean, synops = sum(one.accuracy) / len(one.accuracy), sum(one.synops.values())
            seeds = len(one.accuracy)
            rows.append((one.condition, one.steps, f"{mean:.2f} %", seeds, words.number(synops)))
            records.append({**asdict(one), "mean": mean, "synops_total": synops})
        dataset = self.study.config.get("dataset")
        lines = (f"{self.folder}: accuracy on the test set of {dataset}",)
        names = ("condition", "steps", "accuracy", "seeds", "synops")
        return ShownTable(lines, names, tuple(rows), tuple(records), right=names[1:])


def read_study(folder: str | Path) -> Studied:
    """The study that ``tssd study`` left in *folder*."""
    path = Path(folder) / STUDY
    if not path.is_file():
        raise FileFormatError(str(folder), found=f"no {STUDY}", allowed="a folder of tssd study")
    return Studied(Path(folder), typed.from_json(StudyPart, path.read_bytes(), str(path)))
