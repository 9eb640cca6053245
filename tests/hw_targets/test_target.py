"""The target registry."""

import numpy as np
import pytest
from networks import mlp
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, TargetError
from tssd.hw_targets import target
from tssd.hw_targets.engines import EngineTarget
from tssd.hw_targets.target import NullTarget, Target, load_target


def test_null_takes_everything_and_stays_silent() -> None:
    network = mlp(6, 4)
    null = load_target("null")
    assert null.check(network) == []
    run = null.run(null.place(network), np.ones((4, 2, 6), np.int64))
    assert run.activity.spikes["fc0"].shape == (4, 2, 4)
    assert not run.activity.spikes["fc0"].any()
    assert run.counters is None


@pytest.mark.parametrize("name", ["definition", "gpu", "onnx"])
def test_every_engine_keeps_the_same_contract(name: str) -> None:
    network = random_conv_network(7, Reset.SOFT)
    target = load_target(name)
    assert isinstance(target, Target)
    assert target.check(network) == []
    inputs = random_inputs(network, 1)
    run = target.run(target.place(network), inputs)
    wanted = layerwise(network, inputs)
    for population in network.populations[1:]:
        got = run.activity.spikes[population.name]
        assert np.array_equal(got, wanted.spikes[population.name])
    assert np.array_equal(run.activity.readout, wanted.readout)


def test_a_missing_library_is_named() -> None:
    broken = EngineTarget("mine", "no_such_library.engine:run")
    network = mlp(3, 2)
    with pytest.raises(TargetError, match="target mine: found No module named"):
        broken.run(broken.place(network), np.zeros((4, 1, 3), np.int64))


def test_unknown_targets_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'null'"):
        load_target("nul")


@pytest.mark.parametrize(
    ("where", "message"),
    [("nowhere.at.all:Thing", "cannot be loaded"), ("pathlib:Path", "check, place and run")],
)
def test_broken_targets_are_explained(
    where: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(target.TARGETS, "mine", where)
    with pytest.raises(TargetError, match=message):
        load_target("mine")


def test_null_follows_the_protocol() -> None:
    assert isinstance(NullTarget(), Target)
