"""Does a network fit a chip: what each layer needs, how full its fullest core is, what breaks."""

from dataclasses import dataclass

from tssd.calibration.int_network import IntNetwork
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices
from tssd.hw_targets.mapping.memory import Need
from tssd.hw_targets.mapping.partition import partition
from tssd.hw_targets.mapping.rules import RESOURCES, Finding, network_findings, the_cores_suffice


@dataclass(frozen=True)
class LayerFit:
    """One population: its cores, and the most that one of them holds."""

    name: str
    neurons: int
    cores: int
    most: Need
    fullest: str  # the resource nearest to its limit
    share: float  # of that limit


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
    shares = {
        key: getattr(most, key) / limit(chip).value
        for key, _, limit, _ in RESOURCES
        if key != "groups"  # always one here
    }
    fullest = max(shares, key=lambda key: shares[key])
    neurons = sum(need.neurons for need in held)
    return LayerFit(name, neurons, len(held), most, fullest, shares[fullest])
