"""Forms that are rarely written: each fires as the module does, or is refused."""

import numpy as np
import pytest
import torch
from odd_networks import ODD, STEPS, Odd
from written_networks import lively

from tssd.errors import TssdError
from tssd.train.recording.agree import ModuleAgreement, compare
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import record


def through(odd: Odd) -> ModuleAgreement:
    torch.manual_seed(0)
    shape = (STEPS, *odd.shape) if odd.frames else odd.shape
    x = np.random.default_rng(1).random((10, *shape), np.float32)
    module = lively(odd.build())
    recording = record(module, x, default_steps=STEPS)
    return compare(module, recording, to_float(recording, **odd.choices), x, **odd.choices)


@pytest.mark.parametrize("name", [n for n, o in ODD.items() if o.refusal is None])
def test_fires_as_the_module_does(name: str) -> None:
    found = through(ODD[name])
    assert (found.differing, found.ties) == (0, 0), found.first
    assert found.holds
    assert found.answers.any()
    assert found.same_class == 1


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("name", [n for n, o in ODD.items() if o.refusal is not None])
def test_is_refused(name: str) -> None:
    with pytest.raises(TssdError, match=ODD[name].refusal):
        through(ODD[name])
