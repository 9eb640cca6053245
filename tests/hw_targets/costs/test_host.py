"""What a host adds to times and energies, in closed form; boards and their barriers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known import known
from networks import mlp
from strategies import recurrent_case

from tssd.calibration.int_network import InputCoding, IntNetwork
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import CHIPS, load_chip
from tssd.hw_targets.costs.host import WITH_IO, WITHOUT_IO, check_host, host_pj
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run, run, run_record
from tssd.hw_targets.sim.record import SpikeRecord

CHIP = load_chip("loihi1").with_value("host.read_out", 2e4)
INJECTION_US = CHIP.host.spike_in.value / 1e3


def network() -> IntNetwork:
    return replace(mlp(6, 5, 4), input_coding=InputCoding.SPIKES, input_max=1)


def one_sample(host: bool) -> Run:
    """Two spikes in the first step, five in the last, none between."""
    inputs = np.zeros((network().time_steps, 1, 6), np.int64)
    inputs[0, 0, :2] = inputs[-1, 0, :5] = 1
    return run(network(), inputs, place(network(), CHIP), CHIP, host=host)


def test_injection_hides_the_chips_work_and_reading_out_follows() -> None:
    without, host = one_sample(False), one_sample(True)
    spikes = np.bincount(host.record.spikes["input"][:, 0], minlength=host.steps)
    assert sorted(spikes[spikes > 0]) == [2, 5]
    expected = np.maximum(without.timing.step_us, spikes * INJECTION_US)
    np.testing.assert_allclose(host.timing.step_us, expected)
    assert (host.timing.step_us > without.timing.step_us).sum() == 2
    added = expected.sum() - without.timing.step_us.sum() + 20
    assert host.us_per_inference == pytest.approx(without.us_per_inference + added)
    alone = (host.latency_us or 0.0) - (without.latency_us or 0.0)
    assert alone == pytest.approx(added, abs=0.2)  # other layers work in the steps that it hides
    assert [limit == "host" for limit in host.timing.limits()] == (spikes > 0).tolist()
    assert host.timing.bottleneck() == "host"
    np.testing.assert_array_equal(host.timing.cycles, without.timing.cycles)


def test_the_hosts_energy_stands_apart_and_its_absence_is_said() -> None:
    without, host = (summary.totals(one_sample(asked)) for asked in (False, True))
    assert (without.io, without.host_pj) == (WITHOUT_IO, None)
    assert host.io == WITH_IO
    us = one_sample(True).us_per_inference
    assert host.host_pj is not None
    assert host.host_pj == host_pj(CHIP, 1, us)
    assert host.host_pj.nominal == pytest.approx(CHIP.host.power_per_chip.value * us * 1e6)
    running = [
        known(total.dynamic_pj).nominal - known(total.stepping_pj).nominal
        for total in (without, host)
    ]
    assert running[0] == pytest.approx(running[1])
    assert known(host.static_pj).nominal > known(without.static_pj).nominal  # of a longer inference


def test_a_spike_record_takes_the_host_too() -> None:
    spikes = {p.name: np.zeros((0, 2), np.int64) for p in network().populations}
    spikes["input"] = np.array([[1, 0], [1, 3], [1, 4]])
    found = run_record(
        network(), SpikeRecord(3, spikes, {}), place(network(), CHIP), CHIP, host=True
    )
    assert found.timing.step_us[1] == pytest.approx(3 * INJECTION_US)


def test_a_host_of_which_nothing_is_known_is_refused() -> None:
    chip = load_chip("loihi2").with_value("host.spike_in", 0)
    inputs = np.zeros((network().time_steps, 1, 6), np.int64)
    with pytest.raises(ConfigError, match="chip loihi2-n3b: found no figure of a host"):
        run(network(), inputs, place(network(), chip), chip, host=True)
    some = (recurrent_case(seed).network for seed in range(20))
    driven = next(n for n in some if n.input_coding is InputCoding.BIAS)
    with pytest.raises(ConfigError, match="found input that is given as a bias"):
        check_host(driven, CHIP)


def test_a_board_brings_its_barrier_and_its_power() -> None:
    chip = load_chip("loihi2").with_value("limits.neurons_per_core", 1)
    chip = chip.with_value("limits.cores_per_chip", 8)
    inputs = np.zeros((network().time_steps, 1, 6), np.int64)
    plain, board = (
        run(network(), inputs, place(network(), c), c) for c in (chip, chip.on_board("vpx"))
    )
    assert plain.placement.chips == 2
    assert plain.timing.us_per_step == pytest.approx(1.164 + 0.048)
    assert board.timing.us_per_step == pytest.approx(10)
    watts = [
        known(summary.totals(r).static_pj).nominal / r.us_per_inference / 1e6
        for r in (plain, board)
    ]
    assert watts[1] - watts[0] == pytest.approx(2 * 0.79)
    with pytest.raises(ConfigError, match="chip loihi2-n3b: found 'moon'; allowed: bare, "):
        chip.on_board("moon")
    with pytest.raises(ConfigError, match=r"allowed: none: this chip file has no \[boards\]"):
        CHIP.on_board("vpx")


def test_every_packaged_board_acts() -> None:
    """A barrier of its own, with a source; its range holds its value."""
    for name in CHIPS:
        chip = load_chip(name)
        for board in chip.boards:
            there = chip.on_board(board).time_ns.barrier
            assert there.points[0].source
            assert there.points[0].low <= there.at(1) <= there.points[0].high
    boards = load_chip("loihi2-prior").boards
    assert len({board.barrier.value for board in boards.values()}) == len(boards)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 3", r"boards.x: found 3; allowed: an object"),
        ('x = { title = "x" }', r"boards.x.barrier: missing; needed: a number in ns"),
        ("x = { barrier = 3 }", r"boards.x: no title"),
        ('x = { title = "x", barier = 3 }', r"boards.x.barier: unknown; did you mean 'barrier'"),
    ],
)
def test_what_is_wrong_with_a_board_is_said(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    head = 'name = "mine"\ntitle = "mine"\ncalibrated_on = []\nextends = "loihi1-sanafe"\n'
    file.write_text(f"{head}[boards]\n{text}\n")
    with pytest.raises(ConfigError, match=message):
        load_chip(file)
