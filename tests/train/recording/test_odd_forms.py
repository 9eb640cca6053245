"""Forms that are rarely written: each fires as the module does, or is refused."""

import numpy as np
import pytest
import torch
from odd_networks import ODD
from odd_parts import STEPS, Odd
from strange_networks import STRANGE
from written_networks import lively

from tssd.contracts import require
from tssd.errors import TssdError
from tssd.train.handover.float_network import ProjectionKind
from tssd.train.recording.agree import ModuleAgreement, compare
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import record

ALL = ODD | STRANGE


def through(odd: Odd) -> ModuleAgreement:
    torch.manual_seed(0)
    shape = (STEPS, *odd.shape) if odd.frames else odd.shape
    x = np.random.default_rng(1).random((10, *shape), np.float32)
    module = lively(odd.build())
    recording = record(module, x, default_steps=STEPS)
    return compare(module, recording, to_float(recording, **odd.choices), x, **odd.choices)


@pytest.mark.parametrize("name", [n for n, o in ALL.items() if o.refusal is None])
def test_fires_as_the_module_does(name: str) -> None:
    found = through(ALL[name])
    assert (found.differing, found.ties) == (0, 0), found.first
    assert found.holds
    assert found.answers.any()
    assert found.same_class == 1


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("name", [n for n, o in ALL.items() if o.refusal is not None])
def test_is_refused(name: str) -> None:
    """Also by contract 0, where what Python does is not seen."""
    with pytest.raises(TssdError, match=ALL[name].refusal):
        require([through(ALL[name]).contract()])


@pytest.mark.parametrize("name", ["transposed convolution", "up with overlaps"])
def test_a_transposed_convolution_stays_one(name: str) -> None:
    torch.manual_seed(0)
    odd = ALL[name]
    x = np.random.default_rng(1).random((2, *odd.shape), np.float32)
    network = to_float(record(lively(odd.build()), x, time_steps=2))
    kinds = [j.kind for j in network.projections]
    assert kinds[1] is ProjectionKind.CONV2D_TRANSPOSED
    assert network.projections[1].weight[0, 0].size <= 16  # output_padding: a tap of zeros


def test_states_that_forward_does_not_reset_are_noted() -> None:
    torch.manual_seed(0)
    x = np.random.default_rng(1).random((2, 36), np.float32)
    (note,) = record(STRANGE["one neuron is reset"].build().eval(), x).notes
    assert note.startswith("b: forward runs all steps and does not reset the state")
    assert record(ODD["last membrane"].build().eval(), x).notes == ()


def test_weights_that_are_not_finite_are_refused() -> None:
    net = STRANGE["layers over layers"].build().eval()
    next(net.parameters()).data[0, 0] = float("nan")
    with pytest.raises(TssdError, match="module 0: found weight with values that are not finite"):
        record(net, np.zeros((2, 36), np.float32), time_steps=2)


def test_no_two_networks_have_one_name() -> None:
    """`make bench-door` counts both tables as one."""
    assert not ODD.keys() & STRANGE.keys()
