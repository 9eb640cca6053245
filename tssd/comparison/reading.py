"""A path -> the subjects that it holds: a bundle, a report, the points of a sweep, a study."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tssd import typed
from tssd.checks.reporting import placement_of
from tssd.comparison.subject import About, Basis, Estimate, LayerFigures, Subject
from tssd.errors import FileFormatError, counted
from tssd.export.bundle.folder import read_bundle
from tssd.export.bundle.place import REPORT, REPORT_FILES
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.report.energies import EnergyPj, EnergyUj, Range
from tssd.report.model import ENERGY_PARTS, LayerRow, Report
from tssd.report.serial import from_json

STUDY, MANIFEST = "study.json", "manifest.json"
ALLOWED = "a bundle, a report.json, the CSV of tssd sweep, the folder of a study"
PJ_PER_UJ = 1e6
POINT = {  # column of a sweep's CSV -> of a comparison
    "latency_us": "latency_us",
    "inferences_per_s": "inferences_per_s",
    "dynamic_pj": "dynamic_pj",
    "cores": "cores",
}


def subjects_of(paths: Sequence[Path]) -> tuple[Subject, ...]:
    """Everything that *paths* hold, in their order, each under a name of its own."""
    return named_apart([subject for path in paths for subject in read_subjects(path)])


def read_subjects(path: Path) -> tuple[Subject, ...]:
    """The subjects in *path*; FileFormatError for what is none of the four."""
    if path.is_dir() and (path / STUDY).is_file():
        return of_study(path)
    if path.is_dir():
        return (of_bundle(path),)
    if path.suffix == ".json" and path.is_file():
        return (of_report(from_json(path.read_bytes(), str(path)), str(path)),)
    if path.suffix == ".csv" and path.is_file():
        return of_sweep(path)
    found = "another file" if path.is_file() else "no such file or folder"
    raise FileFormatError(str(path), found=found, allowed=ALLOWED)


def named_apart(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """*subjects*; of those with one name each bears its path, and its number if that is one too."""
    names = Counter(s.name for s in subjects)
    longer = [replace(s, name=s.origin) if names[s.name] > 1 else s for s in subjects]
    again, seen = Counter(s.name for s in longer), Counter[str]()
    out = []
    for subject in longer:
        seen[subject.name] += 1
        name = f"{subject.name} ({seen[subject.name]})"
        out.append(replace(subject, name=name) if again[subject.name] > 1 else subject)
    return tuple(out)


def of_bundle(path: Path) -> Subject:
    """What the report of the bundle says; without one, what the bundle itself does."""
    report = path / REPORT / REPORT_FILES[0]
    if report.is_file():
        return of_report(from_json(report.read_bytes(), str(report)), str(path))
    bundle = read_bundle(path)
    chip = bundled_chip(path, bundle.manifest)
    placement = placement_of(bundle, chip)
    layers = []
    for population in bundle.network.populations:
        cores = {s.core for s in placement.of(population.name)}
        held = sum(placement.needs[core].memory_bytes for core in cores)
        layers.append(LayerFigures(population.name, {"cores": len(cores), "memory_bytes": held}))
    about = about_of(None, "not run", chip.name, fingerprint(chip), bundle.network.time_steps, None)
    figures = {
        "cores": Estimate(placement.cores),
        "memory_bytes": Estimate(sum(need.memory_bytes for need in placement.needs)),
    }
    note = f"no run is recorded: tssd verify {path} --against sim --samples 64"
    return Subject(path.resolve().name, str(path), about, figures, tuple(layers), (note,))


def of_report(report: Report, origin: str) -> Subject:
    """The figures of *report*; energies and accuracy with their intervals."""
    totals, uj = report.totals, report.totals.energy_uj_per_inference
    share, between = report.accuracy["integer"], report.intervals.get("integer")
    memory = [layer.memory_bytes for layer in report.layers]
    found: dict[str, Estimate | None] = {
        "accuracy": None
        if share is None
        else Estimate(share, *((between.low, between.high) if between else ())),
        "spikes": _known(totals.spikes),
        "synops": _known(totals.synops),
        "dynamic_pj": energy(uj, "dynamic"),
        "total_pj": energy(uj, "total"),
        "latency_us": _known(totals.latency_us),
        "inferences_per_s": _known(totals.inferences_per_s),
        "cores": _known(totals.cores),
        "memory_bytes": None if None in memory else Estimate(sum(x or 0 for x in memory)),
    }
    known = {key: value for key, value in found.items() if value is not None}
    layers = tuple(_layer(layer, report.samples) for layer in report.layers)
    return Subject(report.network, origin, _about(report), known, layers)


def energy(uj: EnergyUj, name: Literal["dynamic", "total"]) -> Estimate | None:
    """pJ, with the interval that the fits behind the chip file promise; none without fits."""
    nominal: Range | None = getattr(uj, name)
    if nominal is None:
        return None
    promised: Range | None = getattr(uj.prediction_interval, name, None)
    ends = () if promised is None else (PJ_PER_UJ * promised.low, PJ_PER_UJ * promised.high)
    return Estimate(PJ_PER_UJ * nominal.nominal, *ends)


def about_of(
    samples: str | None,
    shown: str,
    chip: str,
    numbers: str | None,
    steps: int | None,
    timing: str | None,
) -> About:
    """What figures are about, key by key; *numbers*: the fingerprint of the chip's."""
    told = {Basis.SAMPLES: shown, Basis.CHIP: chip}
    told[Basis.STEPS] = "not recorded" if steps is None else counted(steps, "step")
    told[Basis.TIMING] = "not timed" if timing is None else timing
    keys = {Basis.SAMPLES: samples, Basis.CHIP: numbers or chip}
    keys[Basis.STEPS] = None if steps is None else str(steps)
    return About(keys | {Basis.TIMING: timing}, told)


def _about(report: Report) -> About:
    known = report.provenance
    shown = report.shown or counted(report.samples, "sample")
    # the first 64 of a data set are the same 64 however a network has them coded
    same = f"{report.dataset}: {report.shown}" if report.dataset and report.shown else known.inputs
    return about_of(same, shown, report.target, known.chip, report.time_steps, report.totals.timing)


def _layer(layer: LayerRow, samples: int) -> LayerFigures:
    spikes = layer.spikes["integer"]
    found = {
        "spikes": None if spikes is None else spikes / samples,
        "synops": layer.synops,
        "dynamic_pj": None if layer.energy_pj is None else layer.energy_pj.nominal,
        "cores": layer.cores,
        "memory_bytes": layer.memory_bytes,
    }
    known = {key: float(value) for key, value in found.items() if value is not None}
    return LayerFigures(layer.name, known | parts_of(layer.energy_pj))


def parts_of(energy_pj: EnergyPj | None) -> dict[str, float]:
    """The parts of a layer's energy, by their names in ``LayerFigures``; none of one unknown."""
    if energy_pj is None:
        return {}
    return {f"{part}_pj": getattr(energy_pj.parts, part) for part in ENERGY_PARTS}


def _known(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value)


def of_sweep(path: Path) -> tuple[Subject, ...]:
    """Each point of a sweep that could be simulated, named by its settings."""
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    if not rows or not {*POINT, "static_pj", "error"} <= rows[0].keys():
        raise FileFormatError(str(path), found="no points", allowed="what tssd sweep --csv writes")
    return tuple(_point(path, row) for row in rows)


def _point(path: Path, row: dict[str, str]) -> Subject:
    settings = list(row)[: list(row).index("latency_us")]
    name = ", ".join(f"{key}={row[key]}" for key in settings)
    numbers = ", ".join(f"{key}={row[key]}" for key in settings)
    about = about_of(f"those of {path}", f"those of {path.name}", row.get("chip") or name,
                     numbers, None, "cycle or bound, as the sweep was")  # fmt: skip
    if row["error"]:
        return Subject(name, str(path), about, {}, (), (row["error"],))
    found = {ours: _read(path, row, theirs) for theirs, ours in POINT.items()}
    found["total_pj"] = found["dynamic_pj"] + _read(path, row, "static_pj")
    return Subject(name, str(path), about, {k: Estimate(v) for k, v in found.items()})


def _read(path: Path, row: dict[str, str], key: str) -> float:
    try:
        return float(row[key])
    except ValueError:
        raise FileFormatError(
            f"{path}: {key}", found=repr(row[key])[:80], allowed="a number"
        ) from None


@dataclass(frozen=True)
class StudiedPart:
    """What a comparison reads of one condition in ``study.json``."""

    condition: str
    steps: typed.Positive
    accuracy: tuple[float, ...]
    synops: dict[str, typed.Amount]
    at_step: tuple[float, ...] = ()
    rates: dict[str, typed.Amount] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyPart:
    """What a comparison reads of ``study.json``."""

    config: dict[str, Any]
    outcomes: tuple[StudiedPart, ...]


def of_study(path: Path) -> tuple[Subject, ...]:
    """The conditions of a study: accuracy over the whole test set, mean over seeds with Student's
    95 % interval."""
    where = path / STUDY
    study = typed.from_json(StudyPart, where.read_bytes(), str(where))
    return tuple(_condition(path, study, one) for one in study.outcomes)


def _condition(path: Path, study: StudyPart, one: StudiedPart) -> Subject:
    from tssd.train.study.runs import interval

    if not one.accuracy:
        raise FileFormatError(f"{path}: {one.condition}", found="no seed", allowed="one or more")
    seeds, mean = len(one.accuracy), sum(one.accuracy) / len(one.accuracy) / 100
    half = interval(one.accuracy)
    ends = () if half is None else (mean - half / 100, mean + half / 100)
    shown = f"the test set of {study.config.get('dataset')}, mean of {counted(seeds, 'seed')}"
    about = about_of(shown, shown, "no chip", None, one.steps, None)
    layers = tuple(LayerFigures(name, {"synops": value}) for name, value in one.synops.items())
    figures = {"accuracy": Estimate(mean, *ends), "synops": Estimate(sum(one.synops.values()))}
    return Subject(one.condition, str(path), about, figures, layers)
