"""An ablation: every condition with every seed, compared seed by seed with plain cross-entropy.

Conditions differ in the method alone (and, for the controls, in the number of steps); data,
recipe and seeds are the same. Each run has a folder of its own, so a study that was stopped goes
on where it stood. The difference of a condition is the mean over seeds of its accuracy minus that
of a control with the same seed, with Student's 95 % interval. Two controls matter: the network
trained with T_s steps, and the network trained with T_t steps of which the first T_s are read.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tssd import typed
from tssd.arrays import ByteArray
from tssd.atomic import clear_leftovers, write_bytes
from tssd.config import unknown_name
from tssd.errors import ConfigError, FileFormatError
from tssd.train.config import CONDUCT, Method, TrainConfig, parse_setting, recorded
from tssd.train.data.data_sets import EVENT_LOADERS, Dataset
from tssd.train.data.event_data import recut
from tssd.train.data.events import TeacherFrames, frames
from tssd.train.data.splits import Split
from tssd.train.handover.costs import Costs, costs
from tssd.train.loop.checkpoint import load_net
from tssd.train.loop.evaluate import accuracies
from tssd.train.loop.folder import MANIFEST, begun
from tssd.train.loop.loop import train
from tssd.train.loop.record import RunManifestPart, read_manifest
from tssd.train.networks.strip import strip
from tssd.train.study.few_bits import BOTH, CONTROLS, FLOAT, QAT, TEACHERS, few_bits_conditions

BASELINE = "ce at T_s"
LONG = "ce at T_t"
CUT = "ce at T_t read at T_s"
PLAIN = "as configured"  # the baseline of a front
MEASURED = "measured.json"
COST_SAMPLES = 256  # test samples that spikes are counted on


@dataclass(frozen=True)
class Measurement:
    """One run: test accuracy in per cent when 1, 2, ... T_t steps are read, and what it costs."""

    at_step: tuple[float, ...]
    costs: Mapping[int, Costs]  # by the number of steps read: T_s, and T_t for the long control


@dataclass(frozen=True)
class PairedDifference:
    """Mean over seeds of the paired difference in points, and half of its 95 % interval."""

    mean: float
    half_width: float | None  # None with one seed

    def __str__(self) -> str:
        width = "(one seed)" if self.half_width is None else f"± {self.half_width:.2f}"
        return f"{self.mean:+.2f} {width}"


@dataclass(frozen=True)
class Outcome:
    """One condition; ``steps`` are read when it is deployed."""

    condition: str
    steps: int
    accuracy: tuple[float, ...]  # one per seed, per cent
    at_step: tuple[float, ...]  # mean over seeds after 1, 2, ... T_t steps
    rates: Mapping[str, float]  # spikes per neuron and step, mean over seeds
    synops: Mapping[str, float]  # per inference, mean over seeds
    to_baseline: PairedDifference | None  # against the first condition; None for itself
    to_cut: PairedDifference | None  # against the second control: CUT, or BOTH of few bits

    @property
    def mean(self) -> float:
        return fmean(self.accuracy)

    @property
    def half_width(self) -> float | None:
        return interval(self.accuracy)


def conditions(config: TrainConfig) -> dict[str, TrainConfig]:
    """Name -> configuration; the long control is trained with T_t steps and read out at T_s too.
    With ``bits`` those of ``few_bits``."""
    if config.bits:
        return few_bits_conditions(config)
    plain = replace(config, method=Method.CE)
    prefix = config.teacher_frames is TeacherFrames.PREFIX
    cut = config.framing().steps if config.dataset in EVENT_LOADERS and prefix else config.frames
    long = replace(
        plain,
        student_steps=config.teacher_steps,
        teacher_steps=config.teacher_steps + 1,
        frames=cut,
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
    compared: Mapping[str, TrainConfig] | None = None,
) -> tuple[Outcome, ...]:
    """Run what is missing and compare; writes ``study.json`` into *folder*.

    All conditions of one seed come before the next seed. *compared* (default ``conditions``) begins
    with the baseline; where ``FLOAT`` is among them, all others go on from its network.
    """
    if not seeds:
        raise ConfigError("study: seeds", found="none", allowed="at least one")
    every = compared or conditions(config)
    found: dict[str, list[Measurement]] = {}
    for seed in seeds:
        for condition, changed in every.items():
            began(condition, seed)
            run = run_folder(folder, condition, seed)
            one = replace(changed, seed=seed)
            made(one, data, run, *_begun_from(folder, condition, seed, every, data))
            found.setdefault(condition, []).append(measured(run, config, one, data))
    outcomes = compare(found, config)
    table = {"config": config.to_table(), "outcomes": [asdict(outcome) for outcome in outcomes]}
    write_bytes(folder / "study.json", (json.dumps(table, indent=1) + "\n").encode())
    return outcomes


def _begun_from(
    folder: Path, condition: str, seed: int, compared: Mapping[str, TrainConfig], data: Dataset
) -> tuple[Path | None, Path | None]:
    """The run of the float network that *condition* goes on from, and of the one that teaches it
    where that is another; made if need be."""
    if FLOAT not in compared or condition == FLOAT:
        return None, None
    first = run_folder(folder, FLOAT, seed)
    made(replace(compared[FLOAT], seed=seed), data, first)
    if condition not in TEACHERS:
        return first, None
    teacher = TEACHERS[condition]
    made(replace(compared[teacher], seed=seed), data, run_folder(folder, teacher, seed), first)
    return first, run_folder(folder, teacher, seed)


def run_folder(folder: Path, condition: str, seed: int) -> Path:
    """Where a study in *folder* keeps one run."""
    return folder / f"{condition.replace(', ', '-').replace(' ', '-')}-seed{seed}"


def chosen(config: TrainConfig, only: Sequence[str]) -> dict[str, TrainConfig]:
    """The baseline and the conditions named in *only*, with bits the float network too, and the
    networks that teach."""
    every = conditions(config)
    for name in only:
        if name not in every:
            raise unknown_name("study: --only", f"condition {name!r}", name, every)
    teachers = [TEACHERS[name] for name in only if name in TEACHERS]
    return {k: v for k, v in every.items() if k in (BASELINE, QAT, FLOAT, *only, *teachers)}


def front(config: TrainConfig, text: str) -> dict[str, TrainConfig]:
    """*config*, and it with one option changed: ``key=value,value,...`` gives a run per value.

    With the weight of a penalty on spikes as the option, the study's figure shows what accuracy
    costs in synaptic operations.
    """
    key, _, values = text.partition("=")
    settings = [f"{key}={value}" for value in values.split(",")]
    in_float = {FLOAT: conditions(config)[FLOAT]} if config.bits else {}
    return {PLAIN: config} | dict(_varied(config, text) for text in settings) | in_float


def variants(config: TrainConfig, texts: Sequence[str]) -> dict[str, TrainConfig]:
    """Both controls, *config*, and it with options changed: each text is ``key=value,key=value``.

    The controls keep the options of *config*: vary what belongs to the method, not the recipe.
    """
    every = conditions(config)
    controls = {name: every[name] for name in (BASELINE, LONG, *CONTROLS) if name in every}
    return controls | {PLAIN: config} | dict(_varied(config, text) for text in texts)


def _varied(config: TrainConfig, text: str) -> tuple[str, TrainConfig]:
    """Name and configuration; the name has the values as read: 1 and 1.0 of a number are one."""
    changes = dict(map(parse_setting, text.split(",")))
    varied = recorded(config.to_table() | changes, "study")
    # All conditions read the same samples in the same frames; these were loaded once.
    other_cut = config.dataset in EVENT_LOADERS and varied.framing() != config.framing()
    if other_cut or varied.dataset != config.dataset:
        raise ConfigError(
            f"study: {text}",
            found="other samples, or another cut of the recordings, than the controls have",
            hint="a study of its own; or set frames, so that the cut does not follow teacher_steps",
        )
    shown = {k: str(v).lower() if isinstance(v, bool) else v for k, v in changes.items()}
    return ",".join(f"{key}={value}" for key, value in shown.items()), varied


def made(
    config: TrainConfig,
    data: Dataset,
    folder: Path,
    start_from: Path | None = None,
    taught_by: Path | None = None,
) -> None:
    """Make or finish the run in *folder*, unless it is done."""
    if not (folder / MANIFEST).is_file():
        train(
            config,
            _framed(data, config),
            folder,
            resume=begun(folder),
            start_from=start_from,
            taught_by=taught_by,
        )
        return
    clear_leftovers(folder)
    # An option that did not exist when the run was made had its default.
    then = {**TrainConfig().to_table(), **_manifest(folder).config}
    changed = [
        key for key, value in config.to_table().items() if then[key] != value and key not in CONDUCT
    ]
    if changed:
        raise ConfigError(
            str(folder),
            found=f"a run of another configuration ({', '.join(changed)})",
            hint="another --out",
        )


def _framed(data: Dataset, config: TrainConfig) -> Dataset:
    """*data* as *config* reads it: resliced, the long control cuts a recording finer."""
    framing = config.framing()
    as_read = data.train.recordings is None or data.train.images.shape[1] == framing.steps
    return data if as_read else recut(data, framing)


def _manifest(folder: Path) -> RunManifestPart:
    found = read_manifest(folder)
    if found is None:
        raise FileFormatError(
            str(folder), found="a run that did not come to its end", hint="train it again"
        )
    return found


def measured(folder: Path, config: TrainConfig, own: TrainConfig, data: Dataset) -> Measurement:
    """Accuracy and costs of the run in *folder*, kept beside it."""
    path = folder / MEASURED
    if not path.is_file():
        table = _measure(folder, config, own, data)
        write_bytes(path, (json.dumps(table, indent=1) + "\n").encode())
    return typed.from_json(Measurement, path.read_bytes(), str(path))


def _measure(folder: Path, config: TrainConfig, own: TrainConfig, data: Dataset) -> dict[str, Any]:
    net, _ = load_net(folder, own.model)
    apart = config.teacher_frames is TeacherFrames.RESLICED
    framing = config.framing() if apart else None
    read = sorted({config.student_steps, own.student_steps})
    spent = {}
    for steps in read:
        images = shown(data.test.first(COST_SAMPLES), config, steps)
        spent[steps] = asdict(costs(strip(net, images[:4], steps), images))
    # A run with a teacher was read out at every step when it ended.
    at_step = _manifest(folder).accuracy.test_at_step
    if len(at_step) < config.teacher_steps:
        at_step = accuracies(net, data.test, config.teacher_steps, framing)
    return {"at_step": at_step[: config.teacher_steps], "costs": spent}


def shown(split: Split, config: TrainConfig, steps: int) -> ByteArray:
    """The images, or the frames that a network which reads *steps* of them is given."""
    if split.recordings is None or config.teacher_frames is TeacherFrames.PREFIX:
        return split.images
    return frames(split.recordings, replace(config.framing(), steps=steps))


def compare(found: Mapping[str, Sequence[Measurement]], config: TrainConfig) -> tuple[Outcome, ...]:
    """Outcomes from the runs' measurements, one per seed; the cut control is the long one's."""
    runs = {name: (list(one), config.student_steps) for name, one in found.items()}
    if LONG in found:
        runs[LONG] = (list(found[LONG]), config.teacher_steps)
        runs[CUT] = (list(found[LONG]), config.student_steps)
    baseline, second = next(iter(found)), BOTH if BOTH in runs else CUT
    order = [name for name in (baseline, LONG, CUT) if name in runs]
    order += [name for name in runs if name not in order]
    at = {name: [one.at_step[steps - 1] for one in ones] for name, (ones, steps) in runs.items()}
    return tuple(_outcome(name, *runs[name], at, (baseline, second)) for name in order)


def _outcome(
    name: str,
    runs: list[Measurement],
    steps: int,
    at: Mapping[str, list[float]],
    controls: tuple[str, str],
) -> Outcome:
    pairs = [difference(at[name], at[c]) if c in at and name != c else None for c in controls]
    spent = [run.costs[steps] for run in runs]
    return Outcome(
        name,
        steps,
        tuple(at[name]),
        tuple(fmean(values) for values in zip(*(run.at_step for run in runs), strict=True)),
        _means([one.rates for one in spent]),
        _means([one.synops for one in spent]),
        *pairs,
    )


def _means(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: fmean(table[key] for table in tables) for key in tables[0]}


def difference(values: Sequence[float], control: Sequence[float]) -> PairedDifference:
    """*values* minus *control*, paired by seed."""
    pairs = [a - b for a, b in zip(values, control, strict=True)]
    return PairedDifference(fmean(pairs), interval(pairs))


def interval(values: Sequence[float]) -> float | None:
    """Half the width of Student's 95 % interval of the mean; None for a single value."""
    if len(values) < 2:
        return None
    from scipy import stats

    return float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
