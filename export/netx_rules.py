"""What lava-dl's netx loader can say, as named rules; all that is broken is reported at once.

netx (lava-dl 0.6.0, ``lava/lib/dl/netx``) drops unknown layer types, zeroes or clips weights,
ignores convolution delays and wraps biases without a word. Each rule refuses one such thing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
)
from tssd.calibration.integer import IntArray

BIAS_EXP = 6  # fixed by netx: one scale for weights, biases and thresholds
MAX_BIAS = 4095  # 13-bit field; the CPU models wrap at 16 bits
MAX_VTH = 131071  # 17-bit field
MAX_DELAY = 62
MAX_GROUPS = 127  # Lava's Conv keeps the number of groups as int8


@dataclass(frozen=True)
class Finding:
    """One thing that the format cannot take over: where, what, what is allowed, what to do."""

    where: str
    found: str
    allowed: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; allowed: {self.allowed}\n  try: {self.hint}"


def check_netx(network: IntNetwork) -> list[Finding]:
    """Everything in *network* that netx would drop, zero, clip or change; empty if it fits."""
    return [finding for rule in RULES for finding in rule(network)]


def populations_form_one_chain(network: IntNetwork) -> Iterator[Finding]:
    for population in network.populations[1:]:
        entering = network.incoming(population.name)
        if len(entering) > 1:
            yield Finding(
                f"population {population.name}",
                f"{len(entering)} incoming projections ("
                + ", ".join(j.source for j in entering)
                + ")",
                "one: netx has no skip connections",
                "run it in Lava through plain processes, or train without skips",
            )
    for projection in network.projections:
        step = network.index(projection.target) - network.index(projection.source)
        if step < 1:
            yield Finding(
                f"projection {projection.name}",
                "recurrence",
                "feed-forward projections",
                "run it in Lava through plain processes",
            )
        elif step > 1 and len(network.incoming(projection.target)) == 1:
            yield Finding(
                f"projection {projection.name}",
                f"a branch that passes over {step - 1} population(s)",
                "a projection from each population to the next",
                "run it in Lava through plain processes",
            )


def no_relays(network: IntNetwork) -> Iterator[Finding]:
    for population in network.populations:
        if population.kind is PopulationKind.RELAY:
            yield Finding(
                f"population {population.name}",
                "a relay (pooling kept as a population)",
                "LIF populations: netx has no pooling layer",
                "fold the pooling into the next projection",
            )


def reset_is_hard(network: IntNetwork) -> Iterator[Finding]:
    for population in network.populations:
        if population.kind is PopulationKind.LIF and population.reset is not Reset.HARD:
            yield Finding(
                f"population {population.name}",
                f"{population.reset} reset",
                "hard reset: neither netx nor Lava has another",
                "train with the hard reset, or run the soft reset through Lava processes of tssd",
            )


def weights_survive_loading(network: IntNetwork) -> Iterator[Finding]:
    for projection in network.projections:
        where = f"projection {projection.name}"
        if projection.weight_exp < 0:
            yield Finding(
                where,
                f"weight exponent {projection.weight_exp}",
                ">= 0: netx cannot shift a sum right",
                "quantize with weight exponents of 0",
            )
            continue
        weight = projection.weight << projection.weight_exp
        dense = projection.kind is ProjectionKind.DENSE
        if dense and not weight.any():
            yield Finding(
                where, "only zero weights", "at least one other weight", "drop or retrain the layer"
            )
        elif not fits_eight_bits(weight):
            yield Finding(
                where,
                f"weights {weight.min()} .. {weight.max()} (shifted)",
                "-127 .. 127, or even numbers in -254 .. 254: netx zeroes or clips others",
                "quantize to 8 bits",
            )
        elif dense and not loads_exactly(weight):
            yield Finding(
                where,
                f"no positive weight, and the smallest is {weight.min()}, a power of two",
                "another smallest weight: Lava clips this one after scaling",
                f"make it {weight.min() + 1}, or use another scale for this layer",
            )


def loads_exactly(weight: IntArray) -> bool:
    """Whether netx's ``optimize_weight_bits`` and Lava's dense process keep these integers.

    Measured on 200,000 random matrices with lava-dl 0.6.0 and lava-nc 0.10.0: every accepted one
    was kept. A matrix without positive weights whose smallest is -2**k is scaled to -256, which
    Lava clips to -255.
    """
    low, high = _range(weight)
    clipped = high <= 0 and low < 0 and -low & (-low - 1) == 0
    return not clipped and fits_eight_bits(weight)


def fits_eight_bits(weight: IntArray) -> bool:
    """8-bit fields with a sign mode: mixed signs at full range mean even weights."""
    low, high = _range(weight)
    even = not (weight % 2).any()
    if within(low, high, 127, 127) or (even and within(low, high, 254, 254)):
        return True
    if low < 0 < high:
        return within(low, high, 128, 127) or (even and within(low, high, 256, 254))
    return high <= 255 if low >= 0 else high < 0 and low >= -255


def _range(weight: IntArray) -> tuple[int, int]:
    return (int(weight.min()), int(weight.max())) if weight.size else (0, 0)


def within(low: int, high: int, most_negative: int, most_positive: int) -> bool:
    """-most_negative <= low and high <= most_positive."""
    return low >= -most_negative and high <= most_positive


def biases_fit(network: IntNetwork) -> Iterator[Finding]:
    for population in stateful(network):
        mantissa = bias_mantissa(population)
        where = f"population {population.name}"
        if mantissa is None:
            yield Finding(
                where,
                f"biases with exponent {population.bias_exp}",
                f"multiples of 2**{BIAS_EXP}: netx fixes the exponent at {BIAS_EXP}",
                f"quantize with bias_exp {BIAS_EXP}",
            )
        elif abs(mantissa).max(initial=0) > MAX_BIAS:
            worst = int(mantissa.flat[abs(mantissa).argmax()])
            yield Finding(
                where,
                f"a bias of {worst}",
                f"-{MAX_BIAS} .. {MAX_BIAS}: a larger one wraps",
                "use a smaller scale for this layer",
            )


def bias_mantissa(population: Population) -> IntArray | None:
    """The bias at exponent 6; None if it is no whole number there."""
    bias = population.bias
    return None if (bias % (1 << BIAS_EXP)).any() else bias >> BIAS_EXP


def thresholds_fit(network: IntNetwork) -> Iterator[Finding]:
    for population in network.populations:
        low, high = int(population.vth.min()), int(population.vth.max())
        if population.kind is PopulationKind.LIF and not 0 <= low <= high <= MAX_VTH:
            yield Finding(
                f"population {population.name}",
                f"thresholds {low} .. {high}",
                f"0 .. {MAX_VTH}",
                "use a smaller scale for this layer",
            )


def parameters_are_per_channel(network: IntNetwork) -> Iterator[Finding]:
    for population in stateful(network):
        for label in ("du", "dv", "vth"):
            value = getattr(population, label)
            if value.ndim == 3 and (value != value[:, :1, :1]).any():
                yield Finding(
                    f"population {population.name}",
                    f"{label} that differs within a channel",
                    "one value per channel",
                    "quantize neuron parameters per channel",
                )


def groups_are_few(network: IntNetwork) -> Iterator[Finding]:
    for projection in network.projections:
        if projection.groups > MAX_GROUPS:
            yield Finding(
                f"projection {projection.name}",
                f"{projection.groups} groups",
                f"1 .. {MAX_GROUPS}: Lava keeps the number in 8 bits",
                "fold a pooling into the next projection, or use fewer groups",
            )


def delays_are_dense(network: IntNetwork) -> Iterator[Finding]:
    for projection in network.projections:
        limit = MAX_DELAY if projection.kind is ProjectionKind.DENSE else 0
        if projection.delay > limit:
            yield Finding(
                f"projection {projection.name}",
                f"a delay of {projection.delay} steps",
                f"0 .. {MAX_DELAY} on dense projections, none on convolutions (netx ignores it)",
                "run it in Lava through plain processes",
            )


def input_has_a_form(network: IntNetwork) -> Iterator[Finding]:
    source = network.source
    images = len(source.shape) == 3
    as_bias = network.input_coding is InputCoding.BIAS
    where = f"population {source.name}"
    first = [j for j in network.outgoing(source.name) if j.kind is ProjectionKind.DENSE]
    if images and first and not as_bias:
        yield Finding(
            where,
            f"a dense layer on an image input {source.shape}",
            "a flat input before a dense layer",
            "flatten the samples in C, H, W order and give the input the shape (N,)",
        )
    if as_bias and not images:
        yield Finding(
            where, f"an input layer of shape {source.shape}", "(C, H, W)", "use the shape (N, 1, 1)"
        )
    if as_bias and (source.bias_exp != BIAS_EXP or network.input_max > MAX_BIAS):
        yield Finding(
            where,
            f"input biases up to {network.input_max} with exponent {source.bias_exp}",
            f"up to {MAX_BIAS} with exponent {BIAS_EXP}",
            "scale the input down",
        )


def shapes_fit_layers(network: IntNetwork) -> Iterator[Finding]:
    for projection in network.projections:
        target = network.population(projection.target)
        if projection.kind is ProjectionKind.DENSE and len(target.shape) > 1:
            yield Finding(
                f"projection {projection.name}",
                f"a dense projection into the image shape {target.shape}",
                "a flat target",
                "give the target the shape (N,)",
            )


def stateful(network: IntNetwork) -> list[Population]:
    """Populations that become netx neurons and use their own bias."""
    return [p for p in network.populations[1:] if p.has_state]


def into(network: IntNetwork, population: Population) -> Projection:
    """The one projection into a population of a chain."""
    return network.incoming(population.name)[0]


RULES = (
    populations_form_one_chain,
    no_relays,
    reset_is_hard,
    weights_survive_loading,
    biases_fit,
    thresholds_fit,
    parameters_are_per_channel,
    groups_are_few,
    delays_are_dense,
    input_has_a_form,
    shapes_fit_layers,
)
