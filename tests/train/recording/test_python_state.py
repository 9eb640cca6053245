"""What lives in Python is taken as it acts, or refused: never frozen at its first value."""

from collections.abc import Callable
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

STEPS = 6


class Net(nn.Module):
    """Linear, a Leaky that keeps its state, Linear; *step* is what forward does."""

    def __init__(self, step: Callable[["Net", Tensor], Any], **options: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.into, self.other, self.out = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 4)
        self.cell = snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True, **options)
        self.norms = snn.BatchNormTT1d(12, time_steps=STEPS)
        for i, norm in enumerate(self.norms):
            nn.init.constant_(norm.weight, 0.5 + i)
        self.step, self.t, self.past = step, 0, list[Tensor]()
        self.trace: Tensor | None = None
        self.eval()

    def forward(self, x: Tensor) -> Any:
        result = self.step(self, x)
        self.t += 1
        return result

    def plain(self, x: Tensor) -> Tensor:
        return self.out(self.cell(self.into(x)))  # type: ignore[no-any-return]


def two_layers_in_turn(net: Net, x: Tensor) -> Any:
    return net.out(net.cell((net.into if net.t % 2 == 0 else net.other)(x)))


def input_once(net: Net, x: Tensor) -> Any:
    return net.out(net.cell(net.into(x) * (1.0 if net.t == 0 else 0.1)))


def fading(net: Net, x: Tensor) -> Any:
    return net.out(net.cell(net.into(x) * 0.8**net.t))


def norm_of_the_step(net: Net, x: Tensor) -> Any:
    return net.out(net.cell(net.norms[net.t](net.into(x))))


def low_pass(net: Net, x: Tensor) -> Any:
    current = net.into(x)
    net.trace = current if net.trace is None else 0.5 * net.trace + current
    return net.out(net.cell(net.trace))


def spikes_of_long_ago(net: Net, x: Tensor) -> Any:
    net.past.append(net.cell(net.into(x)))
    return net.out(net.past[max(0, net.t - 2)])


def forgets_every_third(net: Net, x: Tensor) -> Any:
    if net.t % 3 == 2:
        net.cell.reset_mem()
    return net.plain(x)


def beta_of_the_step(net: Net, x: Tensor) -> Any:
    net.cell.beta = torch.tensor(0.5 + 0.05 * net.t)
    return net.plain(x)


def membrane_halved(net: Net, x: Tensor) -> Any:
    net.cell.mem = net.cell.mem * 0.5
    return net.plain(x)


def membrane_clipped_in_place(net: Net, x: Tensor) -> Any:
    net.cell.mem.clamp_(max=0.2)
    return net.plain(x)


def late_layer(net: Net, x: Tensor) -> Any:
    """The last step only goes another way."""
    return net.out(net.cell((net.other if net.t == STEPS - 1 else net.into)(x)))


def noise(net: Net, x: Tensor) -> Any:
    current = net.into(x)
    return net.out(net.cell(current + 0.1 * torch.randn_like(current)))


def dropped(net: Net, x: Tensor) -> Any:
    return net.out(nn.functional.dropout(net.cell(net.into(x)), 0.5))


def branch(net: Net, x: Tensor) -> Any:
    return net.plain(x if x.sum() > 0 else -x)


def branch_on_spikes(net: Net, x: Tensor) -> Any:
    spikes = net.cell(net.into(x))
    return net.out(spikes) if bool(spikes.any()) else net.out(spikes) * 0


def through_numpy(net: Net, x: Tensor) -> Any:
    return net.plain(torch.from_numpy(np.abs(x.numpy())))


def own_neuron(net: Net, x: Tensor) -> Any:
    return net.out((net.into(x) > 0.3).float() + 0 * net.cell(net.into(x)))


def batch_statistics(net: Net, x: Tensor) -> Any:
    current = net.into(x)
    return net.out(net.cell(current - current.mean(0)))


def squared(net: Net, x: Tensor) -> Any:
    return net.out(net.cell(net.into(x) ** 2))


def gated(net: Net, x: Tensor) -> Any:
    spikes = net.cell(net.into(x))
    return net.out(spikes * net.other(x))


def learning(net: Net, x: Tensor) -> Any:
    with torch.no_grad():
        net.into.weight += 0.01
    return net.plain(x)


def nothing(net: Net, x: Tensor) -> Any:
    net.plain(x)


def raising(net: Net, x: Tensor) -> Any:
    raise ValueError("the author forgot something")


REFUSED: dict[Callable[[Net, Tensor], Any], str] = {
    two_layers_in_turn: "steps 1 and 2 that differ: the values pass another map at into",
    input_once: "steps 1 and 2 that differ",
    fading: "steps 1 and 2 that differ",
    norm_of_the_step: "steps 1 and 2 that differ: the values pass another map at norms.0",
    low_pass: "steps 1 and 2 that differ",
    spikes_of_long_ago: "an output whose steps 1 and 2 differ",
    forgets_every_third: "steps 3 and 2 that differ: its state starts from zero",
    beta_of_the_step: "other constants of the neuron",
    membrane_halved: "your code changes mem between two calls",
    membrane_clipped_in_place: "your code changes mem between two calls",
    late_layer: "steps 6 and 2 that differ: the values pass another map at other",
    noise: "random numbers drawn between layers",
    dropped: "random numbers drawn between layers",
    branch: "values of the samples that become Python numbers",
    branch_on_spikes: "values of the samples that become Python numbers",
    through_numpy: "values of the samples that become Python numbers",
    own_neuron: "a comparison",
    batch_statistics: "samples",
    squared: "found a power",
    gated: "a product of two values that depend on the samples",
    learning: "module into: found weight that changes while the module runs",
    nothing: "nothing returned that depends on the samples",
    raising: "raised by your module: ValueError: the author forgot something",
}


@pytest.mark.parametrize("name", ["snntorch_nets", "torch_nets", "tssd_nets"])
def test_a_branch_is_seen_whatever_the_authors_file_is_called(name: str) -> None:
    """snnTorch's own checks of its input are no branches of the author; a like name is not it."""
    code = "def step(net, x): return net.plain(x if x.sum() > 0 else -x)"
    names: dict[str, Any] = {"__name__": name}
    exec(code, names)
    with pytest.raises(TssdError, match="values of the samples that become Python numbers"):
        through(Net(names["step"]))


def samples(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((9, 8), np.float32)


def through(module: nn.Module) -> ModuleAgreement:
    recording = record(module, samples(), time_steps=STEPS)
    return compare(module, recording, to_float(recording), samples())


@pytest.mark.parametrize("step", REFUSED, ids=lambda step: step.__name__)
def test_refused(step: Callable[[Net, Tensor], Any]) -> None:
    with pytest.raises(TssdError, match=REFUSED[step]):
        through(Net(step))


def halving_hook(module: nn.Module, given: Any, result: Tensor) -> Tensor:
    return result * 0.5


def test_a_hook_acts_as_in_the_module() -> None:
    """Values: the spikes of the run by hand, with the hook."""
    net = Net(Net.plain)
    net.into.register_forward_hook(halving_hook)
    found = through(net)
    assert found.holds
    assert found.slots == 9 * STEPS * 12


def test_a_state_that_starts_anew_in_every_step_does_so_in_the_network() -> None:
    def forgetting(net: Net, x: Tensor) -> Any:
        net.cell.reset_mem()
        return net.plain(x)

    net = Net(forgetting)
    recording = record(net, samples(), time_steps=STEPS)
    assert "starts from zero in every step" in recording.notes[0]
    found = compare(net, recording, to_float(recording), samples())
    assert found.holds
    assert np.any(found.answers != through(Net(Net.plain)).answers)


def test_the_module_is_put_back_as_it_was() -> None:
    net = Net(two_layers_in_turn)
    net.trace = torch.ones(2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    forward = net.cell.forward
    with pytest.raises(TssdError, match="differ"):
        through(net)
    assert net.t == 0
    assert torch.equal(net.trace, torch.ones(2))
    assert "forward" not in vars(net.cell)
    assert net.cell.forward == forward
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_weights_that_change_are_put_back() -> None:
    net = Net(learning)
    before = net.into.weight.clone()
    with pytest.raises(TssdError, match="changes while the module runs"):
        through(net)
    assert torch.equal(net.into.weight, before)


class SharedByTwo(nn.Module):
    """One neuron object, two layers."""

    def __init__(self, *, handed: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.cell = snn.Leaky(beta=0.8, threshold=0.2, init_hidden=not handed)
        self.handed = handed
        self.eval()

    def forward(self, x: Tensor) -> Any:
        m1 = m2 = self.cell.init_leaky()
        out = []
        for _ in range(STEPS):
            if self.handed:
                spikes, m1 = self.cell(self.a(x), m1)
                spikes, m2 = self.cell(self.b(spikes), m2)
            else:
                spikes = self.cell(self.b(self.cell(self.a(x))))
            out.append(spikes)
        return torch.stack(out)


def test_one_neuron_object_with_a_state_for_each_layer() -> None:
    module = SharedByTwo(handed=True)
    recording = record(module, samples())
    assert [s.name for s in recording.sites] == ["cell_call1", "cell_call2"]
    assert compare(module, recording, to_float(recording), samples()).holds


def test_one_neuron_object_whose_state_goes_from_layer_to_layer() -> None:
    with pytest.raises(TssdError, match="module cell: .*(another call of the same|differ)"):
        through(SharedByTwo(handed=False))
