"""Every reset of every neuron of snnTorch, 200 steps under strong drive: the same slots fire."""

from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from tssd.errors import TssdError
from tssd.train.recording.agree import ModuleAgreement, compare
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import record

STEPS, NEURONS = 200, 50


class Driven(nn.Module):
    """One neuron layer; each neuron has its own input, weight and (where given) recurrence."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.into, self.cell = nn.Linear(4, NEURONS), cell
        nn.init.normal_(self.into.weight, 0, 0.6)
        self.eval()

    def forward(self, x: Tensor) -> Any:
        return self.cell(self.into(x))


def options(kind: type[Any], reset: str, *, late: bool) -> dict[str, Any]:
    """Constants per neuron, as the class takes them."""
    draw = torch.Generator().manual_seed(9)
    per = {"threshold": 0.3 + torch.rand(NEURONS, generator=draw), "init_hidden": True}
    given: dict[str, Any] = {**per, "reset_mechanism": reset}
    given["beta"] = 0.2 + 0.75 * torch.rand(NEURONS, generator=draw)
    if kind in (snn.Synaptic, snn.RSynaptic):
        given["alpha"] = 0.9 * torch.rand(NEURONS, generator=draw)
    if kind in (snn.RLeaky, snn.RSynaptic):
        given["linear_features"] = NEURONS
    if kind is snn.Lapicque:
        given |= {"beta": False, "R": 2.0, "C": 3.0}
    else:
        given["reset_delay"] = late
    return given


def driven(kind: type[Any], reset: str, *, late: bool = True) -> ModuleAgreement:
    module = Driven(kind(**options(kind, reset, late=late)))
    x = np.random.default_rng(2).normal(0.4, 1.2, (2, STEPS, 4)).astype(np.float32)
    recording = record(module, x)
    return compare(module, recording, to_float(recording), x)


SAID = [
    (snn.Leaky, "subtract", True),
    (snn.Leaky, "zero", True),
    (snn.Leaky, "zero", False),
    (snn.Leaky, "none", True),
    (snn.Leaky, "none", False),
    (snn.Lapicque, "subtract", True),
    (snn.Lapicque, "none", True),
    (snn.Synaptic, "subtract", True),
    (snn.Synaptic, "zero", False),
    (snn.Synaptic, "none", True),
    (snn.Synaptic, "none", False),
    (snn.RLeaky, "subtract", True),
    (snn.RLeaky, "zero", False),
    (snn.RLeaky, "none", True),
    (snn.RSynaptic, "subtract", True),
    (snn.RSynaptic, "none", True),
]


@pytest.mark.parametrize(("kind", "reset", "late"), SAID)
def test_the_rule_is_said_exactly(kind: type[Any], reset: str, late: bool) -> None:
    found = driven(kind, reset, late=late)
    assert found.slots == 2 * STEPS * NEURONS
    assert found.differing == 0, found.first
    assert found.holds
    rate = found.answers.sum() / found.slots
    assert 0.05 < rate < 0.95  # neither silent nor always on


@pytest.mark.parametrize("kind", [snn.Lapicque, snn.Synaptic, snn.RLeaky, snn.RSynaptic])
def test_a_reset_that_loses_its_input_is_refused_in_its_own_words(kind: type[Any]) -> None:
    words = f"module cell: found {kind.__name__} with reset_mechanism='zero' and its late reset"
    with pytest.raises(TssdError, match=words):
        driven(kind, "zero")


def test_a_reset_that_snntorch_cannot_run_is_the_authors_error() -> None:
    with pytest.raises(TssdError, match="raised by your module: TypeError"):
        driven(snn.RSynaptic, "subtract", late=False)


@pytest.mark.parametrize("kind", [snn.Leaky, snn.Synaptic, snn.RLeaky])
def test_the_odd_comparison_of_reset_delay_false_is_counted(kind: type[Any]) -> None:
    """Membranes that stay above the threshold after their reset: so many slots would differ."""
    found = driven(kind, "subtract", late=False)
    assert found.differing > 0
    assert not found.holds
    assert found.reset_now == (("cell", found.differing),)
    row = found.contract()
    assert row.status == "fail"
    assert f"{found.differing:,} of {found.slots:,} spikes differ" in str(row.found)


def weak(beta: float | Tensor, **more: Any) -> ModuleAgreement:
    module = Driven(snn.Leaky(beta=beta, threshold=0.4, init_hidden=True, **more))
    x = np.random.default_rng(2).random((3, 12, 4), np.float32)
    recording = record(module, x)
    return compare(module, recording, to_float(recording), x)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.3, -0.2])
def test_betas_at_and_beyond_the_edges(beta: float) -> None:
    found = weak(beta)
    assert found.holds, found.first
    assert found.answers.any()


def test_some_neurons_without_memory() -> None:
    found = weak(torch.linspace(0, 1, NEURONS) * (torch.arange(NEURONS) % 2))
    assert found.holds, found.first


def test_a_surrogate_that_fires_at_the_threshold_itself() -> None:
    """0.25 + 0.25 meets the threshold 0.5 exactly: >= fires, > does not."""

    def fires(inclusive: bool) -> float:
        grad = (lambda u: (u >= 0).float()) if inclusive else (lambda u: (u > 0).float())
        cell = snn.Leaky(beta=1.0, threshold=0.5, init_hidden=True, spike_grad=grad)
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, 0.25)
        module = nn.Sequential(layer, cell).eval()
        x = np.ones((1, 1), np.float32)
        recording = record(module, x, time_steps=2)
        found = compare(module, recording, to_float(recording), x)
        assert found.holds
        assert found.ties == 0
        return float(found.network_answers[0, 0])

    assert fires(True) == 1
    assert fires(False) == 0


def test_a_surrogate_with_another_forward_is_refused() -> None:
    with pytest.raises(TssdError, match=r"spike_grad whose forward is not \[v > threshold\]"):
        weak(0.8, spike_grad=torch.sigmoid)


def test_a_reset_set_after_construction_is_taken_as_it_acts() -> None:
    """snnTorch goes on as constructed: subtract."""
    cell = snn.Leaky(beta=0.8, threshold=0.4, init_hidden=True)
    cell.reset_mechanism = "zero"
    module = Driven(cell)
    x = np.random.default_rng(2).random((3, 12, 4), np.float32)
    recording = record(module, x)
    found = compare(module, recording, to_float(recording), x)
    assert found.holds
    assert np.array_equal(found.answers, weak(0.8).answers)


class SynapticDelay(nn.Module):
    """Stands in for snnTorch's layer of that name, which its releases up to 1.0.0 do not have."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.past: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.past = [x, *self.past][: self.steps + 1]
        return self.past[-1] * float(len(self.past) > self.steps)


SynapticDelay.__module__ = "snntorch._neurons.synapticdelay"


class Late(nn.Module):
    """Two layers; what the second reads of the first is *how*."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.how, self.delay = how, SynapticDelay(2)
        self.f, self.g = nn.Linear(8, 12), nn.Linear(12, 5)
        self.a, self.b = (snn.Leaky(beta=0.7, threshold=0.3, init_hidden=True) for _ in range(2))
        self.change = snn.DeltaLeaky(beta=0.7, delta_threshold=0.2, init_hidden=True)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        out: list[Tensor] = []
        before, earlier = torch.zeros(len(x), 12), torch.zeros(len(x), 12)
        for _ in range(12):
            if self.how == "DeltaLeaky":
                sent, _ = self.change(self.f(x))
            else:
                sent = self.a(self.f(x))
            late = self.delay(sent) if self.how == "SynapticDelay" else earlier
            earlier, before = before, sent
            out.append(self.b(self.g(sent if self.how == "DeltaLeaky" else late)))
        return torch.stack(out)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("SynapticDelay", r"module delay: found SynapticDelay, which mixes .*become delays\)"),
        ("DeltaLeaky", "module change: found DeltaLeaky \\(sigma-delta\\), which fires on changes"),
    ],
)
def test_a_layer_without_counterpart_is_refused_by_name(how: str, why: str) -> None:
    x = np.random.default_rng(0).random((3, 8)).astype(np.float32)
    with pytest.raises(TssdError, match=why):
        to_float(record(Late(how), x))


def test_spikes_kept_in_variables_become_a_delay() -> None:
    """What the refusal of a SynapticDelay says to do, done."""
    x = np.random.default_rng(0).random((3, 8)).astype(np.float32)
    module = Late("variables")
    recording = record(module, x)
    network = to_float(recording)
    assert [j.delay for j in network.projections] == [0, 2, 0]  # the last is the read-out
    found = compare(module, recording, network, x)
    assert found.differing == 0
    assert found.slots > 0
