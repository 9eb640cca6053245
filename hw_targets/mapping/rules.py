"""Hardware limits as sentences: each rule is a small function that yields what breaks it.

A rule sees the network, the chip and (where it speaks of cores) the placement; ``violations`` runs
all of them and reports everything at once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import DECAY_ONE, IntArray
from tssd.calibration.payloads import payload_bounds
from tssd.errors import TargetError, counted
from tssd.hw_targets.chip.spec import ChipSpec, Quantity
from tssd.hw_targets.mapping.memory import Need

AGAIN = "export or import the float network for this chip"


@dataclass(frozen=True)
class Finding:
    """One broken rule: which, where, by how much, and what to do."""

    rule: str
    layer: str
    found: str
    limit: str
    hint: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.rule}: found {self.found}; limit {self.limit}; {self.hint}"


# the resources of a core: field of Need, rule, limit, what to do
RESOURCES: tuple[tuple[str, str, Callable[[ChipSpec], Quantity], str], ...] = (
    (
        "compartments",
        "a core holds only so many neurons",
        lambda chip: chip.limits.neurons_per_core,
        "spread the layer over more cores",
    ),
    (
        "state_words",
        "the state of a core's neurons fits its state memory",
        lambda chip: chip.limits.state_words_per_core,
        "spread the layer over more cores",
    ),
    (
        "memory_bytes",
        "the synapses of a core fit its synaptic memory",
        lambda chip: chip.limits.synaptic_memory_per_core,
        "fewer input channels or inputs, smaller kernels, or grouped convolutions",
    ),
    (
        "axons_in",
        "a core listens to only so many source neurons",
        lambda chip: chip.limits.axons_in_per_core,
        "fewer inputs: pool or stride before this layer",
    ),
    (
        "axons_out",
        "a core sends to only so many neuron and core pairs",
        lambda chip: chip.limits.axons_out_per_core,
        "fewer neurons per core, or targets on fewer cores",
    ),
    (
        "groups",
        "only so many populations share a core",
        lambda chip: chip.limits.neuron_groups_per_core,
        "give each population a core of its own",
    ),
    (
        "thresholds",
        "a core keeps only so many different thresholds",
        lambda chip: thresholds_per_core(chip),
        "--scales layer: one threshold for all channels, or fewer channels per core",
    ),
)


def thresholds_per_core(chip: ChipSpec) -> Quantity:
    """How many different thresholds a core keeps: as many as neurons where none is given."""
    own = chip.limits.thresholds_per_core
    return own if own.count else chip.limits.neurons_per_core


def resource_word(name: str, chip: ChipSpec) -> str:
    """A field of Need as people say it; neurons are compartments where some take several."""
    words = {
        "state_words": "state memory",
        "memory_bytes": "synaptic memory",
        "axons_in": "input axons",
        "axons_out": "output axons",
        "groups": "populations",
        "thresholds": "thresholds",
    }
    one = chip.limits.soft_reset_compartments.count == 1
    return words.get(name, "neurons" if one else "compartments")


def amount_of(name: str, found: int, limit: int) -> str:
    """``512 of 1,024``, memory in KiB."""
    if name == "memory_bytes":
        return f"{found / 1024:,.1f} of {limit / 1024:,.1f} KiB"
    return f"{found:,} of {limit:,}"


def fullest_resource(need: Need, chip: ChipSpec) -> tuple[str, float, int]:
    """(field, share, limit) of the resource that *need* leaves least room of; one population or
    threshold on a core says nothing of its room for others."""
    return max(
        (
            (name, int(getattr(need, name)) / limit(chip).count, limit(chip).count)
            for name, _, limit, _ in RESOURCES
            if not (name in ("groups", "thresholds") and getattr(need, name) <= 1)
        ),
        key=lambda found: found[1],
    )


def overdrawn(need: Need, chip: ChipSpec) -> Iterator[tuple[str, str, int, int, str]]:
    """(field, rule, found, limit, hint) of every resource of a core that *need* exceeds."""
    for name, rule, limit, hint in RESOURCES:
        found, allowed = int(getattr(need, name)), limit(chip).count
        if found > allowed:
            yield name, rule, found, allowed, hint


def weights_fit_the_stored_bits(network: IntNetwork, chip: ChipSpec) -> Iterator[Finding]:
    """Over a common power of two, weights of one sign have all the bits, mixed ones give one up."""
    bits = chip.bits.weight.count
    for projection in network.projections:
        low, high = int(projection.weight.min()), int(projection.weight.max())
        step = _power_of_two(projection.weight)
        mixed = low < 0 < high
        limit = (1 << (bits - 1)) if mixed else (1 << bits) - 1
        if max(-low, high) // step > limit:
            yield Finding(
                "weights fit the stored bits",
                projection.name,
                f"{low} .. {high}" + (f" in steps of {step}" if step > 1 else ""),
                f"{bits} bits: +-{limit} times a power of two",
                "quantize to fewer bits",
            )


def thresholds_fit_their_bits(network: IntNetwork, chip: ChipSpec) -> Iterator[Finding]:
    """0 <= vth < 2**bits on neurons that fire."""
    limit = (1 << chip.bits.threshold.count) - 1
    for population in network.populations:
        low, high = int(population.vth.min()), int(population.vth.max())
        if population.kind.fires and not 0 <= low <= high <= limit:
            yield Finding(
                "thresholds fit their bits",
                population.name,
                f"{low} .. {high}",
                f"0 .. {limit}",
                "quantize with a smaller scale",
            )


def decays_fit_their_bits(network: IntNetwork, chip: ChipSpec) -> Iterator[Finding]:
    """du and dv are fractions of 2**bits, 0 to one inclusive: multiples of 4096 / 2**bits here."""
    step = DECAY_ONE >> chip.bits.decay.count
    for population in network.populations:
        for label, decay in (("du", population.du), ("dv", population.dv)):
            if decay.min() < 0 or decay.max() > DECAY_ONE or (decay % step).any():
                yield Finding(
                    "decays fit their bits",
                    f"{population.name}: {label}",
                    f"{int(decay.min())} .. {int(decay.max())} of {DECAY_ONE}",
                    f"0 .. {DECAY_ONE} in steps of {step}",
                    AGAIN,
                )


def biases_fit_their_bits(network: IntNetwork, chip: ChipSpec) -> Iterator[Finding]:
    """Mantissas within the signed field, exponents within the unsigned one; inputs as bias too."""
    limit = 1 << (chip.bits.bias.count - 1)
    exponent_max = (1 << chip.bits.bias_exponent.count) - 1
    for population in network.populations:
        low, high = int(population.bias_mant.min()), int(population.bias_mant.max())
        if population is network.source and network.input_coding.as_bias:
            low, high = min(low, -network.input_max), max(high, network.input_max)
        if low < -limit or high >= limit:
            yield Finding(
                "biases fit their bits",
                population.name,
                f"mantissas {low} .. {high}",
                f"{-limit} .. {limit - 1}",
                AGAIN,
            )
        if (low or high) and not 0 <= population.bias_exp <= exponent_max:
            yield Finding(
                "biases fit their bits",
                population.name,
                f"exponent {population.bias_exp}",
                f"0 .. {exponent_max}",
                AGAIN,
            )


def weight_exponents_fit_their_bits(network: IntNetwork, chip: ChipSpec) -> Iterator[Finding]:
    """A signed field; without one, weights act as they are stored."""
    bits = chip.bits.weight_exponent.count
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if bits else (0, 0)
    for projection in network.projections:
        if not low <= projection.weight_exp <= high:
            yield Finding(
                "weight exponents fit their bits",
                projection.name,
                str(projection.weight_exp),
                f"{low} .. {high}",
                AGAIN,
            )


def delays_are_not_longer_than_the_longest(
    network: IntNetwork, chip: ChipSpec
) -> Iterator[Finding]:
    """Synaptic delays up to the chip's longest."""
    for projection in network.projections:
        if projection.delay > chip.limits.delay.count:
            yield Finding(
                "delays are not longer than the longest",
                projection.name,
                f"{projection.delay} steps",
                f"{chip.limits.delay.count} steps",
                AGAIN + " (relays are built where delays are missing)",
            )


def payloads_need_graded_spikes(network: IntNetwork, chip: ChipSpec) -> Iterator[Finding]:
    """Values travel as payloads only where spikes carry any, and only as wide as they are."""
    bits, first = chip.bits.payload.count, network.source
    graded = network.input_coding.graded and network.input_max > 1
    if graded and network.input_max >= (1 << bits):
        yield Finding(
            "payloads need graded spikes",
            first.name,
            f"inputs up to {network.input_max}",
            f"{bits}-bit payloads" if bits else "binary spikes",
            AGAIN + " with --input bias or --input spikes",
        )
    bounds = payload_bounds(network)
    for population in network.populations:
        if population.kind.relays and bounds[population.name] >= 1 << max(bits, 1):
            yield Finding(
                "payloads need graded spikes",
                population.name,
                f"a relay of values up to {bounds[population.name]}",
                f"{bits}-bit payloads" if bits else "binary spikes",
                "fold pooling into the next projection",
            )


NETWORK_RULES = (
    weights_fit_the_stored_bits,
    weight_exponents_fit_their_bits,
    thresholds_fit_their_bits,
    biases_fit_their_bits,
    decays_fit_their_bits,
    delays_are_not_longer_than_the_longest,
    payloads_need_graded_spikes,
)


def network_findings(network: IntNetwork, chip: ChipSpec) -> list[Finding]:
    """What the chip cannot take, wherever it is placed."""
    return [finding for rule in NETWORK_RULES for finding in rule(network, chip)]


def core_findings(layer: str, need: Need, chip: ChipSpec) -> list[Finding]:
    """What one core would have too much of."""
    return [
        Finding(rule, layer, f"{found:,}", f"{limit:,}", hint)
        for _, rule, found, limit, hint in overdrawn(need, chip)
    ]


def the_cores_suffice(cores: int, chip: ChipSpec) -> list[Finding]:
    """All cores of all chips of the largest system."""
    limit = chip.cores * chip.limits.chips.count
    if cores <= limit:
        return []
    return [
        Finding(
            "the cores suffice",
            "network",
            f"{cores:,} cores",
            f"{limit:,} ({chip.limits.chips.count} x {chip.cores})",
            "a smaller network, or a chip file with more chips",
        )
    ]


def refuse(findings: Iterable[Finding], chip: ChipSpec) -> None:
    """Raise TargetError with every finding, if there is any."""
    found = list(findings)
    if found:
        lines = "".join(f"\n  - {finding}" for finding in found)
        raise TargetError(
            f"target {chip.name}",
            found=f"{counted(len(found), 'broken rule')}:{lines}",
            hint="`tssd check` lists what each layer needs",
        )


def _power_of_two(weights: IntArray) -> int:
    """The largest power of two that divides every weight."""
    bits = int(np.bitwise_or.reduce(weights, axis=None))
    return bits & -bits if bits else 1
