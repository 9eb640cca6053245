"""Prices from measured runs: exact data come back, what they cannot tell is said."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.cli import cli
from tssd.errors import ConfigError, DataError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.measured.fit import fit
from tssd.hw_targets.measured.model import ENERGY, design, readings
from tssd.hw_targets.measured.predict import Prediction, predict
from tssd.hw_targets.measured.recipes import RECIPES
from tssd.hw_targets.measured.table import MeasuredRun, packaged_runs, read_runs

PRIOR = {"synop": 20.0, "neuron": 80.0, "message": 50.0, "running": 0.02}
HEAD = "id,quantity,value,unit,boundary,synops,updates,messages,step_us\n"


def run_of(name: str, prices: dict[str, float], **counts: float) -> MeasuredRun:
    """A reading that *prices* explain exactly."""
    known = {"synops": 0.0, "updates": 0.0, "messages": 0.0, "step_us": 1.0, **counts}
    template = next(run for run in packaged_runs() if run.fits == "energy")
    run = replace(template, id=name, run=name, network=name, chips=1.0, value=1.0, **known)  # type: ignore[arg-type]
    theta = np.array([prices[price.name] for price in ENERGY])
    return replace(run, value=float((design((run,), ENERGY) @ theta)[0]))


@settings(max_examples=20, deadline=None)
@given(
    synop=st.floats(5, 50),
    neuron=st.floats(30, 300),
    message=st.floats(20, 200),
    running=st.floats(0.005, 0.05),
)
def test_exact_readings_give_their_prices_back(
    synop: float, neuron: float, message: float, running: float
) -> None:
    truth = {"synop": synop, "neuron": neuron, "message": message, "running": running}
    ways = [
        ("a", {"synops": 1e6}),
        ("b", {"updates": 1e5}),
        ("c", {"messages": 1e5}),
        ("d", {"step_us": 1000.0}),
        ("e", {"synops": 1e5, "updates": 1e4, "messages": 1e3, "step_us": 5.0}),
    ]
    found = fit(tuple(run_of(n, truth, **counts) for n, counts in ways), ENERGY, PRIOR, 20)
    for name, value in truth.items():
        assert found.value(name) == pytest.approx(value, rel=0.05)
    assert not found.kept
    assert np.abs(found.in_sample).max() < 0.05


def test_loihi_1_by_runs_left_out() -> None:
    found = RECIPES["loihi1-nahuku"].fit.sides["energy"]
    assert found.value("synop") == pytest.approx(43.7, rel=0.02)
    assert found.value("neuron") == pytest.approx(75.4, rel=0.02)
    assert found.worst_error < 0.15
    assert found.median_error < 0.09
    assert {kept.name for kept in found.kept} == {"message", "running"}


def test_no_run_of_loihi_2_left_out_is_off_by_a_factor_of_two() -> None:
    found = RECIPES["loihi2-n3b"].fit.sides["energy"]
    assert found.worst_factor < 2
    assert found.coverage >= 0.8


def test_the_covariance_is_that_of_a_sum() -> None:
    """Two prices that trade against each other: the sum is known better than either."""
    pair = {"synops": 1e6, "updates": 1e5}
    runs = tuple(run_of(f"r{i}", PRIOR, **pair) for i in range(3))
    found = fit(runs, ENERGY, PRIOR, 20)
    x = design(runs, ENERGY)[0]
    whole = float(np.sqrt(x @ found.covariance @ x)) / readings(runs)[0]
    alone = float(np.sqrt(found.covariance[0, 0])) / found.value("synop")
    assert whole < 0.1 < alone
    assert "cannot tell it from the others" in found.kept[0].why


def test_one_run_is_a_line_and_its_nearest_point_to_the_prior() -> None:
    doubled = {name: 2 * value for name, value in PRIOR.items()}
    found = fit((run_of("one", doubled, synops=1e6, updates=2.5e5),), ENERGY, PRIOR, 20)
    assert found.value("synop") == pytest.approx(40, rel=0.02)
    assert found.value("neuron") == pytest.approx(160, rel=0.02)
    assert found.value("message") == 50  # which the run does not pay
    assert found.left_out == ()


def test_readings_whose_counts_are_unknown_are_left_aside() -> None:
    known = run_of("known", PRIOR, synops=1e6)
    found = fit((known, replace(known, id="x", run="x", updates=None)), ENERGY, PRIOR, 20)
    assert [(run.id, why) for run, why in found.aside] == [
        ("x", "not known: how often it paid for neuron")
    ]
    with pytest.raises(DataError, match="x: neuron unknown; allowed: runs whose counts"):
        fit((replace(known, id="x", updates=None),), ENERGY, PRIOR, 20)


@pytest.mark.parametrize("name", RECIPES)
def test_packaged_chip_files_are_made_again_byte_for_byte(name: str) -> None:
    package = f"tssd.hw_targets.chip.{name[:6]}"
    file = resources.files(package).joinpath(f"{name}.toml")
    assert file.read_text(encoding="utf-8") == RECIPES[name].text(), (
        f"run: python -m tssd fit --packaged {name} --out hw_targets/chip/{name[:6]}/{name}.toml"
    )
    chip = load_chip(name)
    assert chip.fit is not None
    assert chip.silicon


def test_a_users_log_becomes_a_chip_file(tmp_path: Path) -> None:
    rows = "a,dynamic_energy_per_step,30,uJ,chip rails,1000000,0,0,10\n"
    (tmp_path / "log.csv").write_text(
        HEAD + rows + "b,dynamic_energy_per_step,12,uJ,chip rails,0,100000,0,10\n"
    )
    out = tmp_path / "board.toml"
    done = CliRunner().invoke(cli, ["fit", str(tmp_path / "log.csv"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "not told by these runs: message (no run pays it; prior 20)" in done.output
    chip = load_chip(out)
    assert chip.name == "board"
    assert chip.energy_pj.synop_conv.value == pytest.approx(29.5, rel=0.05)
    assert chip.fit is not None
    assert chip.fit.energy is not None
    assert chip.fit.energy.runs == ("a", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,quantity,value,unit\n", "found no column boundary"),
        (HEAD, "found no rows"),
        (HEAD + "a,dynamic_energy_per_step,1,W,chip,1,1,1,1\n", "line 2: unit: found 'W'"),
        (HEAD + "a,static_power_per_chip,-1,W,chip,,,,\n", "value: found -1; allowed: a finite"),
        (HEAD + "a,static_power_per_chip,nan,W,chip,,,,\n", "value: found nan; allowed: a finite"),
        (HEAD + "a,dynamic_energy,1,pJ,chip,1,1,1,1\n", "did you mean 'dynamic_energy_per_step'"),
        (HEAD + "a,dynamic_energy_per_step,1,pJ,,1,1,1,1\n", "boundary: found nothing"),
        (HEAD + 2 * "a,static_power_per_chip,1,W,chip,,,,\n", "id: found 'a' twice"),
        (HEAD + "a,static_power_per_chip,,W,chip,,,,\n", "value: found nothing"),
    ],
)
def test_bad_logs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_runs(tmp_path / "log.csv")


ENERGY_ROW = ",dynamic_energy_per_step,6,uJ,chip,200000,2000,900,100\n"


def test_what_could_still_be_fitted_is_said_beside_what_is_wrong(tmp_path: Path) -> None:
    good = f"{HEAD}a{ENERGY_ROW}b{ENERGY_ROW}s,static_power_per_chip,1,W,chip,,,,\n"
    negative = "c,dynamic_energy_per_step,-6,uJ,chip,1,1,1,1\n"
    (tmp_path / "log.csv").write_text(good + negative + negative.replace("-6,uJ", "6,W"))
    wanted = (
        r"line 5: value: .*\n.*without 2 such rows could still be fitted: energy \(a, b\); static"
    )
    with pytest.raises(ConfigError, match=wanted):
        read_runs(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text(HEAD + negative)
    with pytest.raises(ConfigError, match="without 1 such row nothing could be fitted"):
        read_runs(tmp_path / "log.csv")


def test_readings_that_contradict_each_other_and_too_few_are_said(tmp_path: Path) -> None:
    rows = HEAD + "a" + ENERGY_ROW + "b" + ENERGY_ROW.replace(",6,", ",60000,")
    (tmp_path / "log.csv").write_text(rows)
    done = CliRunner().invoke(cli, ["fit", str(tmp_path / "log.csv")], catch_exceptions=False)
    assert "2 runs for 4 prices: fewer than there are to tell" in done.output
    assert "a and b contradict each other: the same counts, and a factor of 10,000" in done.output
    (tmp_path / "log.csv").write_text(rows.replace(",60000,", ",30,"))
    done = CliRunner().invoke(cli, ["fit", str(tmp_path / "log.csv")], catch_exceptions=False)
    assert "contradict" not in done.output  # the same unit, noisy


def test_readings_far_above_every_prior_keep_it() -> None:
    """No price is a share of them: the least-squares problem has no column."""
    run = replace(run_of("x", PRIOR, synops=1.0), value=1e12)
    found = fit((run,), ENERGY, PRIOR, 5)
    assert {name: found.value(name) for name in PRIOR} == PRIOR
    assert len(found.kept) == 4


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        ("[[1, 0], [0, 1]]", "allowed: a covariance, 1 x 1"),
        ("[[-1]]", "no negative eigenvalue"),
        ('"none"', r"fit: energy.covariance: found 'none'; allowed: a list"),
    ],
)
def test_a_chip_file_without_a_covariance_is_refused(
    tmp_path: Path, covariance: str, message: str
) -> None:
    record = 'prices = ["synop"]\nruns = ["a"]\nkept = []\nspread = 0.1\nleft_out = []\n'
    (tmp_path / "c.toml").write_text(
        'name = "c"\ntitle = "c"\ncalibrated_on = []\nextends = "loihi2"\n'
        f'[fit]\ndata_sha256 = "0"\n[fit.energy]\n{record}covariance = {covariance}\n'
    )
    with pytest.raises(ConfigError, match=message):
        load_chip(tmp_path / "c.toml")


def test_every_row_of_the_table_says_what_it_is_for() -> None:
    kinds = {"fitted", "test", "consistency", "not usable", "bound"}
    for run in packaged_runs():
        assert run.role.partition(":")[0] in kinds, run.id
        assert run.boundary or run.fits != "energy"
        assert run.source


def test_the_host_hides_the_work_of_the_steps_in_which_it_injects() -> None:
    """Five measured curves: injection alone, then work alone, within 20 %."""
    rows = [run for run in packaged_runs() if run.role == "test: time with host"]
    assert len(rows) == 5
    for run in rows:
        error = predict(run).error(run)
        assert error is not None
        assert abs(error) < 0.2


def test_static_power_of_an_idle_and_of_a_full_chip() -> None:
    rows = {run.id: run for run in packaged_runs()}
    for name in ("V13-i", "S-all", "L2-15s"):
        error = predict(rows[name]).error(rows[name])
        assert error is not None
        assert abs(error) < 0.05


def test_what_cannot_be_predicted_says_why() -> None:
    rows = {run.id: run for run in packaged_runs()}
    assert predict(rows["V6-e"]).how == "not known: how often it paid for message"
    assert predict(rows["V13-p"]) == Prediction(None, "host input is inside")
