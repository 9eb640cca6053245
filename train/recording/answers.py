"""The author's own run on one batch: every neuron's spikes and membranes, and the answers."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tssd.errors import NetworkError
from tssd.train.recording.feeding import (
    calls,
    first_arguments,
    handed_on,
    like_weights,
    seeded,
)
from tssd.train.recording.recording import Output, Over, Readout, Recording
from tssd.train.recording.tape.returned import leaf
from tssd.train.recording.watch import Fired, listening, put_back, reset_hidden


@dataclass(frozen=True, eq=False)
class OwnRun:
    """``fired[site][t]`` of the neurons; ``returned``: of each call of the module."""

    fired: tuple[tuple[Fired, ...], ...]
    returned: tuple[Any, ...]

    def spikes(self, site: int) -> Tensor:
        """(T, B, *shape), 1 where the neuron fired."""
        return torch.stack([f.spikes != 0 for f in self.fired[site]]).double()

    def sent(self, site: int) -> Tensor:
        """(T, B, *shape), as sent: graded spikes keep their size."""
        return torch.stack([f.spikes for f in self.fired[site]]).double()

    def membranes(self, site: int) -> Tensor | None:
        """(T, B, *shape), as the neuron holds them after each call."""
        held = [f.membrane for f in self.fired[site]]
        known = [m for m in held if m is not None and m.shape == held[0].shape]  # type: ignore[union-attr]
        return torch.stack(known).double() if len(known) == len(held) else None


def own_run(module: nn.Module, recording: Recording, batch: Tensor, seed: int) -> OwnRun:
    """*module* by its own code on *batch*, from rest."""
    told: list[Fired] = []
    given = first_arguments(module)

    def hand(t: int, returned: Any) -> list[Any]:
        if t == 0:
            return list(given)
        return handed_on(recording.handing, returned)

    with put_back(module), seeded(seed):
        reset_hidden(module)
        with listening(module, told):
            batch = like_weights(batch, module)
            returned = calls(module, batch, recording.feed, recording.time_steps, hand)
    sites = len(recording.sites)
    paths = [site.path for site in recording.sites] * recording.time_steps
    if [f.path for f in told] != paths:
        raise NetworkError(
            "module",
            found=f"{len(told)} calls of its neurons, in another order than when it was recorded",
            allowed=f"{len(paths)}: the same steps for every sample",
        )
    return OwnRun(tuple(tuple(told[k::sites]) for k in range(sites)), tuple(returned))


def answers(run: OwnRun, output: Output, readout: Readout, groups: int | None) -> Tensor:
    """(B, classes) in float64, read as *readout* says from what the author's run gave."""
    largest_of_all = readout.of_largest and output.what == "membrane" and output.per_step
    if output.readout is readout or largest_of_all:
        found = _returned(run, output, readout)
    else:
        found = _from_neuron(run, output, readout)
    flat = found.reshape(len(found), -1)
    if groups is None:
        return flat
    return flat.reshape(len(flat), groups, -1).sum(-1)


def _returned(run: OwnRun, output: Output, readout: Readout) -> Tensor:
    parts = [_tensor(leaf(returned, output.place)) for returned in run.returned]
    if output.over is not Over.EACH:
        return parts[0]
    steps = (
        torch.stack(parts)
        if len(parts) > 1 or output.axis is None
        else parts[0].movedim(output.axis, 0)
    )
    return _over(steps, readout)


def _tensor(part: Any) -> Tensor:
    """A tensor, or a list of one for each step."""
    whole: Tensor = torch.stack(list(part)) if isinstance(part, list | tuple) else part
    return whole.detach().double()


def _over(steps: Tensor, readout: Readout) -> Tensor:
    """(T, B, ...) -> (B, ...)."""
    if readout.of_largest:
        return steps.amax(0)
    return steps[-1] if readout.of_last_step else steps.sum(0)


def _from_neuron(run: OwnRun, output: Output, readout: Readout) -> Tensor:
    """Another rule than that of what was returned: from the neuron that it comes from."""
    site = output.neuron
    if not readout.of_membrane:
        return _over(run.sent(site), readout)
    membranes = run.membranes(site)
    assert membranes is not None  # every neuron that has a counterpart holds one
    return _over(membranes, readout)
