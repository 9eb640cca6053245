"""A measured log: equal counts and values within its error pass, all else is a named miss."""

from pathlib import Path

import pytest

from tssd.checks.measured import (
    ENERGY,
    LATENCY,
    PACE,
    MeasuredLog,
    Reading,
    compare_log,
    parse_log,
    read_log,
)
from tssd.errors import FileFormatError

LOG = """# board 3
layer,spikes,error
input,100,
conv1,40,

samples,8,
pace_us_per_step,150,10%
energy_uj_per_inference,68.35,3.4
"""
COUNTS = {"input": 100, "conv1": 40}


def test_a_log_is_read_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    log = read_log(path)
    readings = {PACE: Reading(150.0, 15.0), ENERGY: Reading(68.35, 3.4)}
    assert log == MeasuredLog(COUNTS, 8, readings)
    assert parse_log("layer,spikes\na,1\n", "x") == MeasuredLog({"a": 1})


def test_equal_counts_and_values_within_the_error_pass() -> None:
    figures = {PACE: 165.0, ENERGY: 71.75, LATENCY: 1.0}
    rows = compare_log(parse_log(LOG, "x"), COUNTS, 8, figures)
    assert [row.status for row in rows] == ["pass", "pass", "not run", "pass", "pass"]


def test_the_edge_of_the_error_is_allowed_and_beyond_it_is_a_miss() -> None:
    log = MeasuredLog({}, None, {PACE: Reading(100.0, 5.0), ENERGY: Reading(10.0, 0.0)})
    edge = compare_log(log, {}, 1, {PACE: 105.0, ENERGY: 10.0})
    assert [row.status for row in edge] == ["not run", "pass", "pass"]
    _, *beyond = compare_log(log, {}, 1, {PACE: 105.001, ENERGY: 9.999})
    assert [row.status for row in beyond] == ["fail", "fail"]
    assert (beyond[0].found, beyond[0].allowed) == ("105.001 us", "100 +- 5 us")


@pytest.mark.parametrize(("row", "other"), [(LATENCY, PACE), (PACE, LATENCY)])
def test_a_log_says_which_time_it_gives_and_is_compared_with_that_one(row: str, other: str) -> None:
    log = parse_log(f"layer,spikes,error\n{row},150,1\n", "x")
    inside = compare_log(log, {}, 1, {row: 150.0, other: 9.0})
    outside = compare_log(log, {}, 1, {row: 9.0, other: 150.0})
    assert [r.status for r in inside if r.status != "not run"] == ["pass"]
    assert [r.status for r in outside if r.status != "not run"] == ["fail"]


def test_one_spike_too_many_is_named() -> None:
    rows = compare_log(parse_log(LOG, "x"), {**COUNTS, "conv1": 41}, 8, {})
    failed = [row for row in rows if row.status == "fail"]
    assert [(r.name, r.found, r.allowed, r.where) for r in failed] == [
        ("measured: conv1 spikes", 41, 40, "conv1")
    ]


def test_what_was_not_measured_or_not_simulated_is_not_run() -> None:
    rows = compare_log(parse_log("layer,spikes\ninput,100\n", "x"), COUNTS, 8, {PACE: 1.0})
    assert [(row.status, row.where) for row in rows] == [
        ("pass", None),
        *[("not run", "not in the log")] * 4,
    ]
    rows = compare_log(parse_log(LOG, "x"), COUNTS, 8, {}, "only a bound")
    assert [row.where for row in rows[2:]] == ["not in the log", "only a bound", "only a bound"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x: found header 'nothing'"),
        ("name;count\n", r"allowed: layer,spikes\[,error\]"),
        ("layer,spikes\na,1.5\n", "x, line 2: found count '1.5'"),
        ("layer,spikes\na,-1\n", "found count '-1'"),
        ("layer,spikes\na,\u0663\n", "found count"),
        (f"layer,spikes\na,{'9' * 5000}\n", "found count '9{40}'"),
        (f"layer,spikes\n{'a' * 200_000},1\n", "line 2: found no CSV"),
        ("layer,spikes,error\npace_us_per_step,5,1e30%\n", "an error of 1e30% of 5; allowed: at"),
        ("layer,spikes\na,1\na,2\n", "x, line 3: found 'a' twice"),
        ("layer,spikes\n,1\n", "allowed: 2 columns"),
        ("layer,spikes\na,1,2\n", "allowed: 2 columns"),
        ('layer,spikes\n""\n', "line 2: found ''; allowed: 2 columns"),
        ("layer,spikes,error\npace_us_per_step,5,\n", "found no error"),
        ("layer,spikes,error\npace_us_per_step,nan,1\n", "found value 'nan'"),
        ("layer,spikes,error\npace_us_per_step,5,-1%\n", "found value '-1'"),
        (
            "layer,spikes,error\ntime_us_per_step,5,1%\n",
            "does not say what was timed; allowed: 'latency_us' .* or 'pace_us_per_step'",
        ),
        ("layer,spikes,error\nenergy_uj_per_inference,inf,1\n", "found value 'inf'"),
    ],
)
def test_bad_logs_are_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        parse_log(text, "x")


def test_a_log_of_another_network_or_run_is_refused() -> None:
    with pytest.raises(FileFormatError, match="layer 'conv1'; allowed: input"):
        compare_log(parse_log(LOG, "x"), {"input": 100}, 8, {})
    with pytest.raises(FileFormatError, match="--samples 8"):
        compare_log(parse_log(LOG, "x"), COUNTS, 9, {})


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_log(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="CSV in UTF-8"):
        read_log(tmp_path / "bad.csv")
