"""Contract 0: the network is the module, neuron by neuron, step by step.

The author's module runs by its own code, in its own precision; the FloatNetwork runs in float64 on
what entered. Where a spike differs, the neuron is looked at alone: its membrane v is computed in
float64 from the *author's* spikes up to that step. It is a tie if v is as near to the threshold as
the author's float32 sums can be off; else the network is another one. With n numbers added per
step and M the sum of their sizes (Higham, Accuracy and Stability, 3.1)

    |v(float32) - v| <= gamma M,   gamma = (n + 4 T) u / (1 - (n + 4 T) u),   u = 2^-24

The first samples are looked at in this way in any case, their membranes too.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tssd.arrays import FloatArray
from tssd.contracts import Contract, check
from tssd.errors import counted
from tssd.train.handover.float_layers import current, delayed, layers, project, read_of
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    Reset,
    depths,
)
from tssd.train.recording.answers import OwnRun, answers, own_run
from tssd.train.recording.network.choose import chosen, reading
from tssd.train.recording.record import checked, encoded
from tssd.train.recording.recording import Output, Readout, Recording
from tssd.train.recording.tape.neurons import After, Rule

UNIT = 2.0**-24  # half the distance of 1 to the next float32
VALUES_AT_ONCE = 1 << 24  # of one layer over all steps of a batch


@dataclass(frozen=True)
class FirstDifference:
    """The first neuron that is another one, and its values: spikes, or membranes where held."""

    path: str
    sample: int
    step: int
    neuron: tuple[int, ...]
    module: float
    network: float

    def __str__(self) -> str:
        return (
            f"{self.path}: sample {self.sample}, step {self.step + 1}, neuron {self.neuron}: "
            f"{self.module:.9g} in your module, {self.network:.9g} in the network"
        )


@dataclass(frozen=True, eq=False)
class ModuleAgreement:
    """``slots``: neurons times steps times samples. ``differing`` of them fire otherwise than the
    network; ``ties`` do so within the author's rounding. ``answers`` (N, outputs) is what the
    author reads, ``network_answers`` the network's readout. ``reset_now``: the layers that subtract
    with ``reset_delay=False``, and how many of their slots a plain subtraction fires otherwise."""

    slots: int
    differing: int
    ties: int
    output_difference: float
    output_allowed: float
    answers: FloatArray
    network_answers: FloatArray
    first: FirstDifference | None = None
    swapped: bool = False
    reset_now: tuple[tuple[str, int], ...] = ()

    @property
    def same_class(self) -> float:
        """Share of samples that get the same class."""
        same = self.answers.argmax(1) == self.network_answers.argmax(1)
        return float(np.mean(same))

    @property
    def holds(self) -> bool:
        if self.swapped:
            return True
        return self.differing == 0 and self.output_difference <= self.output_allowed

    def contract(self) -> Contract:
        """The first row of verify and of the report."""
        if self.swapped:
            found = f"{100 * self.same_class:.2f} % of the classes are the same"
            name = "your snnTorch module, its maximum pools swapped"
            return check(name, True, found, "reported")
        tied = f", {counted(self.ties, 'tie')}" if self.ties else ""
        found = f"{self.differing:,} of {self.slots:,} spikes differ{tied}"
        if self.output_difference > self.output_allowed:
            found += f", the output by {self.output_difference:.3g}"
        where = str(self.first) if self.first else ""
        return check("your snnTorch module", self.holds, found, "0 differ", where)


def compare(
    module: nn.Module,
    recording: Recording,
    network: FloatNetwork,
    samples: npt.ArrayLike,
    *,
    output: str | None = None,
    readout: Readout | None = None,
    groups: int | None = None,
    seed: int = 0,
    batch: int = 64,
) -> ModuleAgreement:
    """*module* and *network* (from *recording*, with the same choices) on all *samples*."""
    about = chosen(recording, output)
    rule = reading(about, readout, groups)
    array = checked(samples)
    tally = _Tally(recording, network, about, rule, groups)
    size = _batch(network, batch)
    for first in range(0, len(array), size):
        chunk = torch.from_numpy(array[first : first + size])
        run = own_run(module, recording, chunk, seed + first)
        frames = chunk
        if recording.encoder is not None:
            frames = torch.from_numpy(encoded(module, recording, chunk, seed + first))
        tally.add(run, _time_first(recording, network, frames), first)
    return tally.result()


def _batch(network: FloatNetwork, batch: int) -> int:
    largest = max(p.neurons for p in network.populations) * network.time_steps
    return max(1, min(batch, VALUES_AT_ONCE // largest))


def _time_first(recording: Recording, network: FloatNetwork, frames: Tensor) -> Tensor:
    """(T, B, *shape) or (1, B, *shape) in float64."""
    shape = network.populations[0].shape
    if recording.frames:
        steps = frames.transpose(0, 1)[: network.time_steps]
        return steps.reshape(len(steps), len(frames), *shape).double()
    return frames.reshape(1, len(frames), *shape).double()


@dataclass(eq=False)
class _Tally:
    recording: Recording
    network: FloatNetwork
    about: Output
    rule: Readout
    groups: int | None
    slots: int = 0
    differing: int = 0
    ties: int = 0
    difference: float = 0.0
    allowed: float = 0.0
    first: FirstDifference | None = None
    off: dict[str, int] = field(default_factory=dict)  # population -> differing slots
    own: list[Tensor] = field(default_factory=list)
    networks: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        sites = {site.name: k for k, site in enumerate(self.recording.sites)}
        self.sites = {p.name: sites[p.name] for p in self.network.populations if p.name in sites}
        self.swapped = any(
            self.network.population(name).neurons != prod(self.recording.sites[k].shape)
            for name, k in self.sites.items()
        )

    def add(self, run: OwnRun, frames: Tensor, first: int) -> None:
        """One batch."""
        given = answers(run, self.about, self.rule, self.groups)
        self.own.append(given)
        free = dict[str, Tensor]()
        with torch.no_grad():
            for name, _, membrane, sent in layers(self.network, frames):
                if name in self.sites:
                    free[name] = sent
                if membrane is not None and name == self.network.populations[-1].name:
                    self.networks.append(self._read(membrane).flatten(1))
            if self.swapped:
                return
            fired = {n: self._fired(run, n) for n in self.sites}
            self.slots += sum(f.numel() for f in fired.values())
            same = all(bool((free[n] == f).all()) for n, f in fired.items())
            if not same or first == 0 or self._output_off(given):
                self._look(run, frames, fired, given, first)

    def _read(self, membranes: Tensor) -> Tensor:
        """Of a bound too: largest values differ by no more than the largest difference."""
        return read_of(self.network.populations[-1], membranes)

    def _output_off(self, given: Tensor) -> bool:
        return not torch.allclose(self.networks[-1], given, rtol=1e-6, atol=1e-6)

    def _fired(self, run: OwnRun, name: str) -> Tensor:
        spikes = run.spikes(self.sites[name])
        return spikes.reshape(*spikes.shape[:2], *self.network.population(name).shape)

    def _look(
        self,
        run: OwnRun,
        frames: Tensor,
        fired: Mapping[str, Tensor],
        given: Tensor,
        first: int,
    ) -> None:
        """Every neuron alone, behind the author's spikes."""
        for population, seen in _alone(self.network, frames, fired):
            if population.name in self.sites:
                self._neurons(run, population, seen, fired[population.name], first)
            elif population.kind.reads_out:
                self._output(seen, given, first)

    def _neurons(
        self, run: OwnRun, population: FloatPopulation, seen: "_Seen", fired: Tensor, first: int
    ) -> None:
        theta = torch.from_numpy(np.asarray(population.threshold))
        near = (seen.membrane - theta).abs() <= seen.bound
        other = (seen.membrane >= theta).double() != fired
        self.ties += int((other & near).sum())
        wrong = other & ~near
        held = self._held(run, population)
        if held is not None:
            wrong |= ((held - seen.membrane).abs() > seen.bound) & (held - seen.membrane).isfinite()
        count = int(wrong.sum())
        self.differing += count
        self.off[population.name] = self.off.get(population.name, 0) + count
        if bool(wrong.any()) and self.first is None:
            values = (fired, 1 - fired) if held is None else (held, seen.membrane)
            self.first = _first(self._path(population.name), wrong, *values, first)

    def _held(self, run: OwnRun, population: FloatPopulation) -> Tensor | None:
        """The author's membranes before the reset, where the neuron holds them so."""
        site = self.sites[population.name]
        rule = self.recording.steps[site].rule
        assert isinstance(rule, Rule)
        if rule.after in (After.ZERO_NOW, After.SUBTRACT_NOW):
            return None
        found = run.membranes(site)
        return None if found is None else found.reshape(*found.shape[:2], *population.shape)

    def _path(self, name: str) -> str:
        return self.recording.sites[self.sites[name]].path

    def _output(self, seen: "_Seen", given: Tensor, first: int) -> None:
        if self.about.ordered and self.rule is self.about.readout:
            return
        found, bound = (self._read(x).flatten(1) for x in (seen.membrane, seen.bound))
        off = (found - given).abs()
        self.difference = max(self.difference, float(off.max()))
        self.allowed = max(self.allowed, float(bound.max()))
        wrong = off > bound
        if bool(wrong.any()) and self.first is None:
            self.allowed = min(self.allowed, float(bound[wrong].min()))
            path = f"output {self.about.name}"
            self.first = _first(path, wrong[None], given[None], found[None], first)

    def result(self) -> ModuleAgreement:
        late = self.first is not None and self.first.path.startswith("output")
        return ModuleAgreement(
            self.slots,
            self.differing,
            self.ties,
            self.difference,
            self.allowed if not late else min(self.allowed, self.difference / 2),
            torch.cat(self.own).numpy(),
            torch.cat(self.networks).numpy(),
            self.first,
            self.swapped,
            tuple(
                (self.recording.sites[k].path, self.off.get(name, 0))
                for name, k in self.sites.items()
                if getattr(self.recording.steps[k].rule, "after", None) is After.SUBTRACT_NOW
            ),
        )


def _first(path: str, wrong: Tensor, own: Tensor, network: Tensor, first: int) -> FirstDifference:
    """By sample, then step, then neuron."""
    by_sample = wrong.transpose(0, 1).nonzero()[0].tolist()
    sample, step, *neuron = by_sample
    at = (step, sample, *neuron)
    return FirstDifference(
        path, first + sample, step, tuple(neuron), float(own[at]), float(network[at])
    )


# ---------------------------------------------------------------- one neuron layer alone


@dataclass(frozen=True, eq=False)
class _Seen:
    """Membranes in float64 behind the author's spikes, and how far float32 may be off."""

    membrane: Tensor
    bound: Tensor


def _alone(
    network: FloatNetwork, frames: Tensor, fired: Mapping[str, Tensor]
) -> Iterator[tuple[FloatPopulation, _Seen]]:
    """Every population behind what the author's neurons sent."""
    depth = depths(network)
    sent: dict[str, Tensor] = {network.populations[0].name: frames, **fired}
    steps = network.time_steps
    for population in network.populations[1:]:
        incoming, sizes, added = [], [], 0
        for j in network.incoming(population.name):
            late = depth[j.source] + 1 + j.delay - depth[j.target]
            late = 1 + j.delay if j.is_loop else max(late, 0)
            source = sent[j.source]
            incoming.append(delayed(project(j, source, population.shape), late, steps))
            sizes.append(delayed(project(_sizes(j), source.abs(), population.shape), late, steps))
            added += prod(j.weight.shape[1:])
        total = current(population, incoming, steps)
        size = current(replace(population, bias=np.abs(population.bias)), sizes, steps)
        shape = (steps, frames.shape[1], *population.shape)
        own = sent.get(population.name)
        membrane = _membranes(population, total.expand(shape), own, signed=True)
        reach = _membranes(population, size.expand(shape), own, signed=False)
        if population.name not in sent:
            theta = torch.from_numpy(np.asarray(population.threshold))
            sent[population.name] = (membrane >= theta).double()
        count = (added + 4 * steps) * UNIT
        yield population, _Seen(membrane, reach * (count / (1 - count)))


def _sizes(j: FloatProjection) -> FloatProjection:
    bias = None if j.bias is None else np.abs(j.bias)
    return replace(j, weight=np.abs(j.weight), bias=bias)


def _membranes(
    population: FloatPopulation, total: Tensor, own: Tensor | None, *, signed: bool
) -> Tensor:
    """H[t] = decay H[t-1] + current, reset by the author's spikes; unsigned: the sizes added."""
    decay = torch.from_numpy(np.asarray(population.decay))
    amount = torch.from_numpy(np.asarray(population.subtracted))
    out = torch.empty_like(total)
    h = torch.zeros_like(total[0])
    for t in range(len(total)):
        h = total[t] + decay * h
        out[t] = h
        if own is None:
            continue
        match population.reset:
            case Reset.SOFT:
                h = h - own[t] * amount if signed else h + own[t] * amount
            case Reset.HARD:
                h = h * (1 - own[t])
            case Reset.NONE:
                pass
            case _:
                assert_never(population.reset)
    return out
