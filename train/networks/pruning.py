"""Structured pruning: channels of a SpikingNet are taken out of every layer that has or reads them.

Channels that a skip or a residual sum adds to each other go together: the stages of such a chain
have one set of them. What stays are the rows of the weights into a stage, their biases and
normalisation, and the columns of those that read it; a dense map that reads an image loses all
pixels of a channel. Nothing is scaled: a neuron that stays gets from the others what it got before.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from tssd.arrays import IntArray
from tssd.config import unknown_name, with_exceptions
from tssd.errors import ConfigError
from tssd.train.networks.network import SpikingNet, StageLink
from tssd.train.networks.stages import StageSpec

Kept = Mapping[str, IntArray]  # stage -> the channels or neurons that stay, in order


def tied(specs: Sequence[StageSpec]) -> dict[str, tuple[str, ...]]:
    """The stages whose channels go together, by each of them; readouts and the input have none."""
    group: dict[str, set[str]] = {s.name: {s.name} for s in specs if s.spiking or s.relay}
    for spec in specs:
        for link in spec.links:
            if link.identity and link.source in group:
                joined = group[spec.name] | group[link.source]
                for name in joined:
                    group[name] = joined
    order = [spec.name for spec in specs]
    return {name: tuple(sorted(names, key=order.index)) for name, names in group.items()}


def shares_of(text: str, stages: Sequence[str]) -> dict[str, float]:
    """The share of channels that each stage keeps: "0.5", or "0.5,conv1=1" with exceptions."""
    whole, named = with_exceptions(text, "--keep")
    for name in named:
        if name not in stages:
            raise unknown_name("--keep", f"stage {name!r}", name, stages)
    return {name: _share(named.get(name, whole)) for name in stages}


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigError("--keep", found=repr(text), allowed="above 0, up to 1: 0.5,conv1=0.75")
    return share


def widths_in(text: str) -> dict[str, int]:
    """``conv1=12,fc1=64`` as widths by stage; "" has none."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, width = part.partition("=")
        if not width.strip().isdecimal():
            raise ConfigError("training: channels", found=repr(part), allowed="conv1=12,fc1=64")
        found[name.strip()] = int(width)
    return found


def pruned_specs(specs: Sequence[StageSpec], widths: Mapping[str, int]) -> tuple[StageSpec, ...]:
    """*specs* with other widths of some stages."""
    known = [spec.name for spec in specs if spec.spiking or spec.relay]
    most = {spec.name: spec.width for spec in specs}
    for name, width in widths.items():
        if name not in known:
            raise unknown_name("training: channels", f"stage {name!r}", name, known)
        if not 1 <= width <= most[name]:
            raise ConfigError(
                f"training: channels of {name}", found=str(width), allowed=f"1 .. {most[name]}"
            )
    return tuple(replace(spec, width=widths.get(spec.name, spec.width)) for spec in specs)


def pruned_tensors(net: SpikingNet, kept: Kept) -> dict[str, Tensor]:
    """The state of *net* without the channels that are not *kept*."""
    state, smaller = net.state_dict(), {}
    for spec in net.specs:
        rows = kept.get(spec.name)
        for key, link in _links(net, spec):
            tensor = state[key]
            if tensor.dim() and rows is not None:
                tensor = tensor[torch.from_numpy(rows)]
            if key.endswith(READS) and link.source in kept:
                columns = _columns(link, tensor, kept[link.source])
                tensor = tensor[:, torch.from_numpy(columns)]
            smaller[key] = tensor
    return {**state, **smaller}


def silenced_tensors(net: SpikingNet, kept: Kept) -> dict[str, Tensor]:
    """The state of *net* in which nobody reads the channels that are not *kept*."""
    state = net.state_dict()
    for spec in net.specs:
        for key, link in _links(net, spec):
            if key.endswith(READS) and link.source in kept:
                weight = torch.zeros_like(state[key])
                columns = torch.from_numpy(_columns(link, weight, kept[link.source]))
                weight[:, columns] = state[key][:, columns]
                state[key] = weight
    return state


READS = "weights.weight"


def _links(net: SpikingNet, spec: StageSpec) -> Iterator[tuple[str, StageLink]]:
    """The tensors of each link into a stage, by their names in the state."""
    for number, link in enumerate(net.stage(spec.name).links):
        assert isinstance(link, StageLink)
        for name in link.state_dict():
            yield f"stages.{spec.name}.links.{number}.{name}", link


def _columns(link: StageLink, weight: Tensor, kept: IntArray) -> IntArray:
    """Where the weights read the channels that stay: of a matrix, at all their pixels."""
    pixels = weight.shape[1] // link.channels
    found: IntArray = (kept[:, None] * pixels + np.arange(pixels)).ravel()
    return found
