"""The study: pairs, intervals, and runs that are not repeated."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.data import load
from tssd.train.study import BASELINE, LONG, compare, conditions, interval, markdown, study

CONFIG = TrainConfig(
    epochs=1, batch_size=32, train_limit=32, student_steps=2, teacher_steps=3, width=0.2
)


def test_differences_are_paired_by_seed() -> None:
    found = {BASELINE: [[50.0, 90.0], [50.0, 80.0]], "tsd": [[1.0, 91.0, 7.0], [1.0, 83.0, 9.0]]}
    base, tsd = compare(found, 2)
    assert (base.difference, base.accuracy) == (None, 85.0)
    assert tsd.difference == 2.0
    assert tsd.at_last_step == (7.0, 9.0)
    # t(0.975, 1) = 12.7062; the differences 1 and 3 have a standard error of 1.
    assert tsd.half_width == pytest.approx(12.7062, abs=1e-4)


def test_one_seed_has_no_interval() -> None:
    assert interval([1.0]) is None
    found = {BASELINE: [[50.0]], "tsd": [[51.0]]}
    assert "+1.00 (one seed: no interval)" in markdown(compare(found, 1), CONFIG, 1)


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
    assert [o.condition for o in outcomes] == list(conditions(CONFIG))
    assert len(json.loads((tmp_path / "study.json").read_text())["outcomes"]) == len(outcomes)
    with pytest.raises(ConfigError, match="a run of another configuration"):
        study(replace(CONFIG, lr=1.0), data, [0], tmp_path)
