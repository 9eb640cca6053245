"""The target registry."""

import numpy as np
import pytest
from networks import mlp

from tssd.errors import ConfigError, TargetError
from tssd.hw_targets import target
from tssd.hw_targets.target import NullTarget, Target, load_target


def test_null_takes_everything_and_stays_silent() -> None:
    network = mlp(6, 4)
    null = load_target("null")
    assert null.check(network) == []
    run = null.run(null.place(network), np.ones((4, 2, 6), np.int64))
    assert run.activity.spikes["fc0"].shape == (4, 2, 4)
    assert not run.activity.spikes["fc0"].any()
    assert run.counters is None


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
