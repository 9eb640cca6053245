"""The study: pairs, intervals, and runs that are not repeated."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from event_files import write_nmnist_set
from float_nets import images, small_vgg

from tssd.commands.study import study as study_command
from tssd.errors import ConfigError
from tssd.train.config import Method, ReadoutLogit, TrainConfig, configure
from tssd.train.data.data_sets import load
from tssd.train.data.events import TeacherFrames
from tssd.train.handover.costs import Costs, costs
from tssd.train.handover.float_run import run
from tssd.train.study.few_bits import (
    BOTH,
    FLOAT,
    FURTHER,
    FURTHER_TAUGHT,
    GATED,
    QAT,
    TAUGHT,
    TSSD_TAUGHT,
)
from tssd.train.study.report import markdown, write_report
from tssd.train.study.runs import (
    BASELINE,
    CUT,
    LONG,
    PLAIN,
    Measurement,
    chosen,
    compare,
    conditions,
    difference,
    front,
    interval,
    made,
    run_folder,
    study,
    variants,
)

CONFIG = TrainConfig(
    epochs=1, batch_size=32, train_limit=32, student_steps=2, teacher_steps=3, width=0.2
)


COSTS = {steps: Costs({"conv1": 0.25}, {"conv1": 1e6}) for steps in (2, 3)}


def runs(*at_step: tuple[float, ...]) -> list[Measurement]:
    return [Measurement(one, COSTS) for one in at_step]


def test_differences_are_paired_by_seed() -> None:
    found = {
        BASELINE: runs((50.0, 90.0, 91.0), (50.0, 80.0, 81.0)),
        LONG: runs((40.0, 89.0, 95.0), (40.0, 79.0, 85.0)),
        "tsd": runs((1.0, 91.0, 7.0), (1.0, 83.0, 9.0)),
    }
    base, long, cut, tsd = compare(found, CONFIG)
    assert (base.to_baseline, base.mean, base.steps) == (None, 85.0, 2)
    assert (long.condition, long.steps, long.mean) == (LONG, 3, 90.0)
    assert (cut.condition, cut.steps, cut.mean, cut.to_cut) == (CUT, 2, 84.0, None)
    assert tsd.at_step == (1.0, 87.0, 8.0)
    assert tsd.to_baseline is not None
    assert tsd.to_cut is not None
    # t(0.975, 1) = 12.7062; the differences 1 and 3 have a standard error of 1.
    assert tsd.to_baseline.mean == 2.0
    assert tsd.to_baseline.half_width == pytest.approx(12.7062, abs=1e-4)
    assert tsd.to_cut.mean == 3.0


def test_one_seed_has_no_interval() -> None:
    assert interval([1.0]) is None
    found = {BASELINE: runs((50.0, 50.0, 50.0)), "tsd": runs((50.0, 51.0, 50.0))}
    assert "| +1.00 (one seed) |" in markdown(compare(found, CONFIG), CONFIG, 1)


def test_conditions_differ_in_method_and_controls_in_steps() -> None:
    config = TrainConfig()
    for name, changed in conditions(config).items():
        same = replace(config, method=changed.method)
        long = replace(same, student_steps=6, teacher_steps=7)
        assert changed == (long if name == LONG else same)


def test_a_stopped_study_goes_on_where_it_stood(tmp_path: Path) -> None:
    data = load("digits")
    data = replace(data, val=data.val.first(20), test=data.test.first(20))
    seen: list[str] = []

    def stop(condition: str, seed: int) -> None:
        seen.append(condition)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study(CONFIG, data, [0], tmp_path, stop)
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/manifest.json")}
    assert len(stamps) == 2
    outcomes = study(CONFIG, data, [0], tmp_path)
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    assert [o.condition for o in outcomes] == [BASELINE, LONG, CUT, *list(conditions(CONFIG))[2:]]
    write_report(outcomes, CONFIG, 1, tmp_path)
    assert (tmp_path / "study.png").stat().st_size > 1000
    assert "<svg" in (tmp_path / "study.svg").read_text()
    for outcome in outcomes:
        assert len(outcome.at_step) == CONFIG.teacher_steps
        assert set(outcome.synops) == {"conv1", "conv2", "fc1", "readout"}
    assert len(json.loads((tmp_path / "study.json").read_text())["outcomes"]) == len(outcomes)
    with pytest.raises(ConfigError, match="a run of another configuration"):
        study(replace(CONFIG, lr=1.0), data, [0], tmp_path)


def test_a_run_of_an_older_version_is_taken_over(tmp_path: Path) -> None:
    """A manifest without an option that is newer than it means that option's default."""
    data = load("digits")
    data = replace(data, val=data.val.first(20), test=data.test.first(20))
    made(CONFIG, data, tmp_path)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["config"]["event_gain"]
    path.write_text(json.dumps(manifest))
    stamp = path.stat().st_mtime_ns
    made(CONFIG, data, tmp_path)
    assert path.stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match=r"another configuration \(event_gain\)"):
        made(replace(CONFIG, event_gain=9), data, tmp_path)


def test_the_long_control_of_recordings_sees_the_teachers_frames() -> None:
    config = TrainConfig(dataset="n-mnist", student_steps=2, teacher_steps=6)
    assert conditions(config)[LONG].framing().steps == 6
    resliced = replace(config, teacher_frames=TeacherFrames.RESLICED)
    assert conditions(resliced)[LONG].framing().steps == 6
    assert conditions(resliced)[BASELINE].framing().steps == 2


@pytest.mark.parametrize("framing", list(TeacherFrames))
def test_a_study_of_recordings_trains_both_controls(framing: TeacherFrames, tmp_path: Path) -> None:
    write_nmnist_set(tmp_path / "data", 20, 4)
    changes: dict[str, Any] = {"epochs": 1, "width": 0.2, "batch_size": 8, "event_shrink": 2}
    changes |= {"student_steps": 2, "teacher_steps": 3, "teacher_frames": framing}
    config = configure("n-mnist", None, changes)
    data = load("n-mnist", tmp_path / "data", framing=config.framing())
    found = study(
        config, data, [0], tmp_path / "study", compared=chosen(config, ["ce at T_t", "tsd"])
    )
    assert [outcome.condition for outcome in found] == [BASELINE, LONG, CUT, "tsd"]
    assert all(len(outcome.at_step) == 3 for outcome in found)


def test_synops_count_the_outputs_that_each_spike_reaches() -> None:
    network = small_vgg(0)
    samples = images(network, 3)
    found = costs(network, samples)
    events = run(network, samples).events
    assert found.rates["conv1"] == pytest.approx(events["conv1"].sum() / (3 * 4 * 4 * 14 * 14))
    ends = np.array([2, *[3] * 12, 2])  # rows of outputs that a 3 x 3 kernel reaches
    fan_out = 6 * ends[:, None] * ends[None, :]
    assert found.synops["conv2"] == pytest.approx((events["conv1"] * fan_out).sum() / 3)
    pooled = events["conv3"][:, :6, :6]  # the seventh row is in no pooling window
    assert found.synops["readout"] == pytest.approx(10 * pooled.sum() / 3)


def test_a_front_changes_one_option() -> None:
    found = front(CONFIG, "label_smoothing=0.1,0.2")
    assert list(found) == [PLAIN, "label_smoothing=0.1", "label_smoothing=0.2"]
    assert found[PLAIN] == CONFIG
    assert found["label_smoothing=0.2"] == replace(CONFIG, label_smoothing=0.2)
    measured = {name: runs((1.0, 50.0 + i, 0.0)) for i, name in enumerate(found)}
    plain, *_, last = compare(measured, CONFIG)
    assert (plain.to_baseline, last.to_cut) == (None, None)
    assert last.to_baseline is not None
    assert last.to_baseline.mean == 2.0
    assert "minus as configured | synops" in markdown((plain, last), CONFIG, 1)


def test_an_unknown_condition_or_option_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'tssd'"):
        chosen(CONFIG, ["tssdd"])
    with pytest.raises(ConfigError, match="did you mean 'threshold'"):
        front(CONFIG, "treshold=1,2")


def test_variants_change_options_of_the_method_beside_both_controls() -> None:
    found = variants(CONFIG, ["alpha=2,method=tsd", "spatial_steps=teacher", "flip=true"])
    assert list(found) == [
        *("ce at T_s", "ce at T_t", PLAIN),
        *("alpha=2.0,method=tsd", "spatial_steps=teacher", "flip=true"),
    ]
    assert found["alpha=2.0,method=tsd"] == replace(CONFIG, alpha=2.0, method=Method.TSD)
    assert found["spatial_steps=teacher"].spatial_steps is ReadoutLogit.TEACHER  # not its name


def test_a_variant_with_other_samples_than_the_controls_is_refused() -> None:
    events = configure("n-mnist", None, {"student_steps": 2})
    with pytest.raises(ConfigError, match="(?s)another cut of the recordings.*set frames"):
        variants(events, ["teacher_steps=7"])
    with pytest.raises(ConfigError, match="dataset=mnist: found other samples"):
        front(CONFIG, "dataset=mnist")
    fixed = replace(events, frames=6)
    assert variants(fixed, ["teacher_steps=4"])["teacher_steps=4"].teacher_steps == 4


def test_the_command_takes_one_choice_of_conditions(tmp_path: Path) -> None:
    both = ["--front", "alpha=1,2", "--variant", "alpha=1", "--out", str(tmp_path / "study")]
    result = CliRunner().invoke(study_command, both)
    assert result.exit_code == 2
    assert "give one kind" in result.output
    assert not (tmp_path / "study").exists()


BITS = replace(CONFIG, bits="ternary")


def test_conditions_of_few_bits_differ_in_their_teacher() -> None:
    found = conditions(BITS)
    assert next(iter(found)) == QAT
    assert found[QAT] == replace(BITS, method=Method.CE)
    assert found[BOTH] == replace(BITS, method=Method.TSD, alpha=0.0, beta=0.0)
    assert found[TAUGHT] == replace(found[QAT], gamma=1.0)
    assert found[GATED] == replace(found[TAUGHT], gated=True)
    assert found[FURTHER_TAUGHT] == found[TAUGHT]
    assert found[TSSD_TAUGHT] == replace(BITS, method=Method.TSSD, gamma=1.0)
    assert found[FURTHER] == replace(found[QAT], bits="")
    assert found[FLOAT] == replace(found[BOTH], bits="")
    assert conditions(replace(BITS, gamma=0.3))[GATED].gamma == 0.3


def test_few_bits_begin_with_the_float_network_of_their_seed(tmp_path: Path) -> None:
    data = load("digits")
    data = replace(data, val=data.val.first(20), test=data.test.first(20))
    every = conditions(BITS)
    names = (QAT, BOTH, TAUGHT, FURTHER_TAUGHT, FURTHER, FLOAT)
    outcomes = study(BITS, data, [3], tmp_path, compared={name: every[name] for name in names})
    assert [o.condition for o in outcomes] == list(names)
    first = (run_folder(tmp_path, FLOAT, 3) / "checkpoint.safetensors").read_bytes()
    assert (run_folder(tmp_path, TAUGHT, 3) / "teacher.safetensors").read_bytes() == first
    further = (run_folder(tmp_path, FURTHER, 3) / "checkpoint.safetensors").read_bytes()
    assert further != first
    taught_by = run_folder(tmp_path, FURTHER_TAUGHT, 3) / "teacher.safetensors"
    assert taught_by.read_bytes() == further
    for name in (QAT, BOTH, TAUGHT, FURTHER_TAUGHT, FURTHER):
        manifest = json.loads((run_folder(tmp_path, name, 3) / "manifest.json").read_text())
        assert manifest["start_from"] == run_folder(tmp_path, FLOAT, 3).name
    taught = outcomes[2]
    assert taught.to_cut == difference(taught.accuracy, outcomes[1].accuracy)
    assert f"minus {BOTH}" in markdown(outcomes, BITS, 1)
    assert "1 seeds, bits ternary, T_s" in markdown(outcomes, BITS, 1)


def test_choices_of_a_study_of_few_bits_keep_its_float_network() -> None:
    assert list(chosen(BITS, [GATED])) == [QAT, GATED, FLOAT]
    assert list(chosen(BITS, [FURTHER_TAUGHT])) == [QAT, FURTHER_TAUGHT, FURTHER, FLOAT]
    assert list(front(BITS, "gamma=0.5,1")) == ["as configured", "gamma=0.5", "gamma=1.0", FLOAT]
    assert {QAT, BOTH, FLOAT, "gamma=2.0"} < variants(BITS, ["gamma=2"]).keys()
