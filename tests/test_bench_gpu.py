"""The pieces of `make bench-gpu` that need no CUDA device."""

from dataclasses import replace

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import NETWORKS, SIDES, built, differing, energy_rows, pace, training_row
from tssd.hw_targets.gpu import engine


class Meter(gpu.Nvml):
    """A device that takes 2 J each time it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def energy_mj(self) -> int:
        self.asked += 1
        return 2000 * self.asked


def test_networks_are_alive_and_equal_on_one_device() -> None:
    for name in NETWORKS:
        row = gpu.equality_row(name, "cpu")
        assert (row.value, row.met) == (0, True)
    network, inputs = built("tiny")
    activity = engine.run(network, inputs[:, :4], states=True)
    assert all(activity.spikes[p.name].any() for p in network.populations[:-1])
    wrong = replace(activity, readout=activity.readout + 1)
    assert differing(wrong, activity) == activity.readout.size


def test_a_pace_counts_what_was_done() -> None:
    done = []
    found = pace(lambda: done.append(1), "cpu", seconds=0.0)
    assert found.count == 1
    assert len(done) == gpu.WARM_UPS + 1
    assert found.per_second == pytest.approx(1 / found.seconds)


def test_energy_is_what_the_meter_rose_by() -> None:
    """2 J while it waits, 2 J at work: four inferences of 500 mJ."""
    whole, own = energy_rows("net", 1, lambda: None, "cpu", Meter(), seconds=0.0)
    assert whole.value == 500.0
    assert isinstance(own.value, float)
    assert own.value < 500.0
    assert "4 inferences" in whole.how


def test_what_is_not_installed_is_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(gpu, "PEERS", tmp_path)
    row = training_row("spikingjelly", "cpu")
    assert (row.value, "make bench-train" in row.how) == (None, True)


@pytest.mark.slow
@pytest.mark.parametrize("side", SIDES[:2])
def test_an_update_of_each_side_moves_its_weights(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[torch.Tensor] = []
    real = torch.optim.Adam.step

    def step(self: torch.optim.Adam) -> None:
        before = self.param_groups[0]["params"][0].detach().clone()
        real(self)
        moved.append((self.param_groups[0]["params"][0].detach() - before).abs().sum())

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    gpu.training(side, "cpu")()
    assert moved[0] > 0


def test_without_a_device_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 2
    assert capsys.readouterr().err.startswith("no CUDA device")
