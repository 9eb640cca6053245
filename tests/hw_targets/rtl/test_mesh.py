"""The mesh in Verilator: every spike, state and clock, against definition and kernel."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import mlp
from open_cores import compared, drawn, random_chip, scattered, small_chip
from strategies import random_inputs

from tssd.calibration.int_network import Activity
from tssd.calibration.simulate import reference
from tssd.errors import ContractError, TargetError
from tssd.hw_targets.rtl import build
from tssd.hw_targets.rtl.engine import check_times, checked
from tssd.hw_targets.rtl.image import Image, image_of
from tssd.hw_targets.rtl.proof import StepClocks, kernel_times

SHALLOW = {"link": 1, "axon_in": 1, "spike_out": 1, "synapse": 0}
needs_verilator = pytest.mark.skipif(
    build.presence().state == "missing", reason=f"no Verilator: {build.INSTALL}"
)


def small_image(folder: Path) -> Image:
    network = mlp(12, 20, 5)
    chip = small_chip(folder, (2, 2, 1), SHALLOW)
    return image_of(network, scattered(network, chip, 1), chip)


def run_of(image: Image) -> Activity:
    return reference(image.network, random_inputs(image.network, 1, batch=1))


@pytest.mark.slow
@needs_verilator
def test_a_mesh_with_the_shallowest_queues_equals_all(tmp_path: Path) -> None:
    image = small_image(tmp_path)
    inputs = random_inputs(image.network, 1, batch=3)
    expected, found = reference(image.network, inputs), checked(image, inputs)
    assert sum(int(s.sum()) for s in expected.spikes.values()) > 100
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(found.spikes[name], spikes)
    for state, by_name in expected.states.items():
        for name, values in by_name.items():
            np.testing.assert_array_equal(found.states[state][name], values)


@pytest.mark.campaign
@needs_verilator
def test_a_few_random_networks_on_one_mesh(tmp_path: Path) -> None:
    """What continuous integration has time for."""
    chip = random_chip(4, tmp_path)
    for number in range(25):
        case, image = drawn(number, chip)
        found = compared(case, image)
        assert found.differences == ()
        assert found.clocks > 0


def altered(times: StepClocks, what: str) -> StepClocks:
    return replace(times, **{what: getattr(times, what) + 1})


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("clocks", "clocks of a step"),
        ("finished", "the clock in which a core finishes"),
        ("arrivals", "step, core, axon and clock of an arrival"),
    ],
)
def test_a_clock_that_differs_ends_the_run(what: str, said: str, tmp_path: Path) -> None:
    image = small_image(tmp_path)
    times = kernel_times(image, run_of(image))
    check_times(0, times, times)
    with pytest.raises(ContractError, match=rf"rtl, sample 3: {said}: found .* at 0; allowed:"):
        check_times(3, altered(times, what), times)


def test_the_messages_compared_are_all_that_the_kernel_sends(tmp_path: Path) -> None:
    image = small_image(tmp_path)
    activity = run_of(image)
    times, wires, plan = kernel_times(image, activity), image.plan.wires, image.plan
    each = np.diff(wires.fan_first)
    sent = sum(int(each[plan.rank[n]][np.nonzero(s)[2]].sum()) for n, s in activity.spikes.items())
    assert len(times.arrivals) == sent > 50
    assert (times.finished <= times.clocks[:, None] - image.sizes.barrier).all()


def test_without_verilator_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TargetError, match=r"no verilator, make, g\+\+\s+try: apt-get install"):
        build.program(small_image(tmp_path).sizes)
