"""Does a network fit a chip: what each layer needs, how full its fullest core is, what breaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices, SynapseFormat
from tssd.hw_targets.mapping.fanout import box_of
from tssd.hw_targets.mapping.memory import (
    Need,
    StoredProjection,
    compartments_of,
    stored_bytes,
    thresholds_of,
)
from tssd.hw_targets.mapping.partition import Slice, partition
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.mapping.rules import (
    Finding,
    amount_of,
    fullest_resource,
    network_findings,
    the_cores_suffice,
    thresholds_per_core,
)


@dataclass(frozen=True)
class LayerFit:
    """One population: its cores, and the most that one of them holds."""

    name: str
    neurons: int
    cores: int
    most: Need
    fullest: str  # the resource nearest to its limit
    share: float  # of that limit
    limit: int


@dataclass(frozen=True)
class Fit:
    """The answer for a whole network; it fits when there are no findings.

    ``cores`` and ``chips`` are None where a layer cannot be cut at all.
    """

    chip: str
    layers: tuple[LayerFit, ...]
    cores: int | None
    chips: int | None
    findings: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        return not self.findings


def fit(network: IntNetwork, chip: ChipSpec, choices: Choices = NO_CHOICE) -> Fit:
    """Partition *network* for *chip* and collect everything that is in the way."""
    parts = partition(network, chip, choices)
    layers = []
    for population in choices.on_cores(network):
        held = [
            need
            for s, need in zip(parts.slices, parts.needs, strict=True)
            if s.population == population.name
        ]
        layers.append(_layer(population.name, held, chip))
    findings = [*network_findings(network, chip), *parts.findings]
    whole = not parts.findings
    if whole:
        findings += the_cores_suffice(parts.cores, chip)
    return Fit(
        chip.name,
        tuple(layers),
        parts.cores if whole else None,
        -(-parts.cores // chip.cores) if whole else None,
        tuple(findings),
    )


def _layer(name: str, held: list[Need], chip: ChipSpec) -> LayerFit:
    fields = Need.__dataclass_fields__
    most = Need(**{key: max(int(getattr(need, key)) for need in held) for key in fields})
    name_of_fullest, share, limit = fullest_resource(most, chip)
    neurons = sum(need.neurons for need in held)
    return LayerFit(name, neurons, len(held), most, name_of_fullest, share, limit)


def told_of_fit(
    network: IntNetwork, chip: ChipSpec, choices: Choices, found: Fit
) -> tuple[str, ...]:
    """``told`` of a fit."""
    most = {layer.name: layer.most.compartments for layer in found.layers}
    slices = partition(network, chip, choices).slices if choices.formats else ()
    return told(network, chip, choices, slices, most)


def told_of_placement(network: IntNetwork, chip: ChipSpec, placement: Placement) -> tuple[str, ...]:
    """``told`` of a placement."""
    most = {
        name: max(
            (placement.needs[core].compartments for core in placement.cores_of(name)), default=0
        )
        for name in placement.shapes
    }
    return told(network, chip, placement.choices, placement.slices, most)


def many_thresholds(network: IntNetwork, chip: ChipSpec, choices: Choices) -> list[str]:
    """Layers that are cut because a core keeps fewer thresholds than they have."""
    limit = thresholds_per_core(chip).count
    held = {p.name: len(np.unique(thresholds_of(p))) for p in choices.on_cores(network)}
    many = [f"{name} {count}" for name, count in held.items() if count > limit]
    if not many:
        return []
    return [
        f"a core of {chip.name} keeps {limit} different thresholds, so layers with more are cut:"
        f" {', '.join(many)}; --scales layer of the export gives each layer one"
    ]


def told(
    network: IntNetwork,
    chip: ChipSpec,
    choices: Choices,
    slices: Sequence[Slice],
    compartments: Mapping[str, int],
) -> tuple[str, ...]:
    """What a reader of a layout must know beside its figures; ``compartments``: of the fullest core
    of each population that sits on cores."""
    limits = chip.limits
    held = [
        f"{p.name} {amount_of('compartments', compartments[p.name], limits.neurons_per_core.count)}"
        for p in choices.on_cores(network)
        if compartments_of(p, chip) > 1
    ]
    lines = []
    if held:
        lines.append(
            f"a soft reset takes {limits.soft_reset_compartments.count} compartments a neuron on"
            f" {chip.name}, each updated, and a synapse onto itself; compartments of the fullest"
            f" core: {', '.join(held)}"
        )
    lines += many_thresholds(network, chip, choices)
    for name, stored in choices.formats.items():
        asked, least = (_stored_bytes(network, name, slices, chip, way) for way in (stored, None))
        why = f" in {asked:,} bytes; as takes least on each core {least:,}" if least < asked else ""
        lines.append(f"{name} is stored {stored}, as asked{why}")
    if choices.outside:
        lines.append(
            f"{network.source.name} comes from outside, through a port at the first chip's corner:"
            " it takes no core; what injects it counts only with `tssd simulate --host`"
        )
    return tuple(lines)


def _stored_bytes(
    network: IntNetwork,
    name: str,
    slices: Sequence[Slice],
    chip: ChipSpec,
    asked: SynapseFormat | None,
) -> int:
    """Bytes of one projection on all cores of its target."""
    projection = next(j for j in network.projections if j.name == name)
    shape = network.population(projection.target).shape
    one = StoredProjection(projection, network.population(projection.source).shape, asked)
    return sum(
        stored_bytes(one, box_of(s.neurons, shape)[0], shape, chip)
        for s in slices
        if s.population == projection.target
    )
