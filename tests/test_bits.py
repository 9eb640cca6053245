"""Tables of few bits: what the benchmark writes down, and how pages show it."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bits, bits_figure, bits_page, bits_speed, brevitas_bits
from benchmarks.bits import FLOAT, Deployed, Measured, found, rows
from benchmarks.harness import Row
from tssd.train.handover.float_activity import FloatActivity

FLOATS = {0: Measured(Deployed(92.0, 0), Deployed(93.0, 0), Deployed(93.0, 0)),
          1: Measured(Deployed(92.4, 0), Deployed(93.4, 0))}  # fmt: skip
FOUR = {1: Measured(Deployed(92.1, 0.003, 40.0), Deployed(93.5, 0.002)),
        0: Measured(Deployed(91.8, 0.001, 60.0), Deployed(92.9, 0.004, differing=2),
                    Deployed(92.6, 0.001, 50.0))}  # fmt: skip
BINARY = {0: Measured(None, Deployed(91.0, 0.02))}


def by_name(made: list[Row]) -> dict[str, Row]:
    return {row.name: row for row in made}


def test_losses_are_paired_by_seed_and_held_against_their_goals() -> None:
    made = by_name(rows({FLOAT: FLOATS, "4": FOUR, "binary": BINARY}, "net"))
    calibrated, trained = (made[f"4, {part}: points lost"] for part in ("calibrated", "trained"))
    assert (calibrated.value, calibrated.goal, calibrated.met) == (0.25, "<= 0.4", True)
    assert (trained.value, trained.met) == (0.0, True)
    assert "2 seeds, +- 0.64 (95 %)" in calibrated.how  # t(0.975, 1) 0.05
    assert made["4, calibrated: calibrating"].value == 50.0
    assert made["4, calibrated: drift of firing rates"].value == 0.002
    assert made["4, trained: what differs"].met is False
    behind_float = made["4, after: points lost"]
    assert (behind_float.value, behind_float.goal) == (0.4, None)
    assert made["float, one more epoch: accuracy"].value == 93.2


def test_a_width_without_calibration_has_a_row_after_training_alone() -> None:
    made = by_name(rows({FLOAT: FLOATS, "binary": BINARY}, "net"))
    assert made["binary, trained: points lost"].value == 2.0
    assert "one seed" in made["binary, trained: points lost"].how
    assert not any(name.startswith("binary, calibrated") for name in made)


def test_a_seed_without_its_float_network_is_left_out(tmp_path: Path) -> None:
    """Of each part on its own: what is calibrated may be measured later than what is trained."""
    for row, seeds in ((FLOAT, FLOATS), ("4", FOUR), ("binary", BINARY)):
        for seed, one in seeds.items():
            for part, made in vars(one).items():
                if made is not None and (row, seed, part) != (FLOAT, 1, "calibrated"):
                    path = tmp_path / f"measured-{part}-{row}-{seed}.json"
                    path.write_text(json.dumps(asdict(made)))
    kept = found(tmp_path)
    assert kept == {
        FLOAT: {0: FLOATS[0], 1: Measured(None, FLOATS[1].trained)},
        "4": {0: FOUR[0], 1: Measured(None, FOUR[1].trained)},
        "binary": BINARY,
    }
    made = by_name(rows(kept, "net"))
    assert made["4, calibrated: points lost"].value == 0.2
    assert made["4, trained: points lost"].value == 0.0


class _Data:
    """Images and labels that nothing looks at."""

    class test:
        images = np.zeros((3, 1, 2, 2), np.uint8)
        labels = np.array([0, 1, 1])


def test_a_float_network_runs_once_for_all_rows_of_its_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    class Network:
        time_steps = 4

    def network(runs: Path, row: str, seed: int, data: object) -> Network:
        ran.append(row)
        return Network()

    logits, events = np.eye(3, 2), {"conv1": np.arange(4.0)}
    monkeypatch.setattr(bits, "_network", network)
    monkeypatch.setattr(bits, "run", lambda *_: FloatActivity(3, 4, logits, events))
    first, again = (bits.fired(tmp_path, "base", 0, _Data()) for _ in range(2))  # type: ignore[arg-type]
    assert ran == ["base"]
    for kept in (first, again):
        assert (kept.samples, kept.time_steps) == (3, 4)
        np.testing.assert_array_equal(kept.logits, logits)
        np.testing.assert_array_equal(kept.events["conv1"], events["conv1"])


def test_the_table_of_widths_shows_losses_goals_and_drifts() -> None:
    text = bits_page.widths(rows({FLOAT: FLOATS, "4": FOUR, "binary": BINARY}, "net"), "make x")
    assert (
        "| 4 | 0.25 (2 seeds, +- 0.64 (95 %)) | &lt;= 0.4 | 0.002 | "
        "0.00 (2 seeds, +- 1.27 (95 %)) | &lt;= 0.05 | 0.003 | 0.40 (one seed) |" in text
    )
    assert "| binary | - | - | - | 2.00 (one seed) | &lt;= 1.2 | 0.02 | - |" in text
    assert "float, one more epoch: accuracy 93.2 %" in text
    assert "`make x`" in text


def test_the_figure_shows_what_was_measured_and_nothing_else(tmp_path: Path) -> None:
    made = rows({FLOAT: FLOATS, "4": FOUR, "binary": BINARY, "untaught-4": BINARY}, "net")
    assert bits_figure.losses(made) == {
        "calibrated": {"4": 0.25},
        "trained": {"binary": 2.0, "4": 0.0},
        "after": {"4": 0.4},
    }
    bits_figure.draw(made, tmp_path / "bits.png")
    assert (tmp_path / "bits.png").stat().st_size


def test_ends_of_8_bits_are_asked_for_by_stage() -> None:
    words = bits._words(Path("r"), "untaught-ends8-ternary", 0, "net")
    assert words[3] == "ternary,conv1=8,readout=8"
    assert "gamma=1" not in words


def test_controls_differ_from_their_row_in_the_teacher_alone() -> None:
    taught = ["--set", "gamma=1", "--set", "teacher_steps=4"]
    for control in bits.CONTROLS:
        row = control.removeprefix(bits.UNTAUGHT).removeprefix(bits.FURTHER)
        found, alone = (bits._words(Path("r"), name, 0, "net") for name in (row, control))
        assert found[-4:] == taught
        further = control.startswith(bits.FURTHER)
        assert alone == found[:-4] + further * [*taught, "--teacher", Path("r/float-0")]


@pytest.mark.parametrize("width", [3, 4])
def test_the_table_of_calibrations_has_a_column_for_each_network_and_width(width: int) -> None:
    def few(value: float) -> tuple[Row, ...]:
        lost = Row(f"{width} bit, channel, output: points lost", value, "points", None, None, "")
        return (Row("float accuracy", 90.0, "%", None, None, "9 samples"), lost)

    made = {"quantization_few_a": few(0.5), "quantization_few_b": few(1.25), "sim": few(9)}
    text = bits_page.calibrations(made, dict.fromkeys(made, "python -m x"))
    assert f"| a, {width} bits | b, {width} bits |" in text
    assert "| channel, output | 0.50 | 1.25 |" in text
    assert "b: 9 samples, float 90.0 %" in text


def test_both_sides_of_the_speed_train_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row for each width over float, of updates that were made."""
    monkeypatch.setattr(bits_speed, "BATCH", 8)
    made = by_name(bits_speed.rows(["tiny"], repeats=1))
    ratio, few, plain = (
        made[f"training tiny, {what}"].value for what in ("4 bits over float", "4", "float")
    )
    assert isinstance(ratio, float)
    assert isinstance(few, float)
    assert isinstance(plain, float)
    assert ratio == pytest.approx(few / plain)
    assert f"training tiny, 4 bits{bits_speed.WHOLE[1:]} over float" in made


def test_differences_from_brevitas_are_paired_by_seed() -> None:
    seeds = [
        {brevitas_bits.OURS: ours, "Brevitas, per tensor": 80.0, "Brevitas, per channel": 81.0,
         brevitas_bits.DEPLOYED: 70.0}
        for ours in (81.0, 82.0, 83.0)
    ]  # fmt: skip
    rows = {row.name: row for row in brevitas_bits.rows(seeds)}
    assert rows["ours minus Brevitas, per channel"].value == 1.0
    assert rows["ours minus Brevitas, per channel"].met
    assert "3 seeds; 95 % interval ± 2.48" in rows["ours minus Brevitas, per tensor"].how
    assert rows[brevitas_bits.OURS].value == 82.0
    alone = {row.name: row for row in brevitas_bits.rows(seeds[:1])}
    assert "interval" not in alone["ours minus Brevitas, per tensor"].how
