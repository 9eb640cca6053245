"""What lava-dl's netx loader can say, as named rules; all that is broken is reported at once.

netx (lava-dl 0.6.0, ``lava/lib/dl/netx``) drops unknown layer types, zeroes or clips weights,
ignores convolution delays and wraps biases without a word. Each rule refuses one such thing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
    ProjectionKind,
)
from tssd.calibration.integer import IntArray
from tssd.export.netx.delays import forward_into, matrices, side_by_side
from tssd.train.handover.fields import said_late, words_of

BIAS_EXP = 6  # fixed by netx: one scale for weights, biases and thresholds
MAX_BIAS = 4095  # 13-bit field; the CPU models wrap at 16 bits
MAX_VTH = 131071  # 17-bit field
MAX_DELAY = 62
MAX_GROUPS = 127  # Lava's Conv keeps the number of groups as int8


@dataclass(frozen=True)
class NetxFinding:
    """One thing that the format cannot take over: where, what, what is allowed, what to do."""

    where: str
    found: str
    allowed: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; allowed: {self.allowed}\n  try: {self.hint}"


def check_netx(network: IntNetwork) -> list[NetxFinding]:
    """Everything in *network* that netx would drop, zero, clip or change; empty if it fits."""
    return [finding for rule in RULES for finding in rule(network)]


Findings = Iterator[NetxFinding]
PLAIN = "run it in Lava through plain processes"
SMALLER = "use a smaller scale for this layer"


def at(population: Population, found: str, allowed: str, hint: str) -> NetxFinding:
    return NetxFinding(f"population {population.name}", found, allowed, hint)


def on(projection: Projection, found: str, allowed: str, hint: str) -> NetxFinding:
    return NetxFinding(f"projection {projection.name}", found, allowed, hint)


def populations_form_one_chain(network: IntNetwork) -> Findings:
    for population in network.populations[1:]:
        ways = forward_into(network, population)
        sources = list(dict.fromkeys(j.source for j in ways))
        if len(sources) == 1 and len(ways) > 1 and not side_by_side(ways):
            yield at(
                population,
                f"{len(ways)} projections from {sources[0]} that share synapses or are no matrices",
                "dense ones, each synapse with one delay",
                PLAIN,
            )
        elif len(sources) > 1:
            found = f"{len(sources)} incoming projections ({', '.join(sources)})"
            hint = f"{PLAIN}, or train without skips"
            yield at(population, found, "one: netx has no skip connections", hint)
        elif sources and (over := network.index(population.name) - network.index(sources[0]) - 1):
            yield on(
                into(network, population),
                f"a branch that passes over {over} population(s)",
                "a projection from each population to the next",
                PLAIN,
            )


def nothing_recurs(network: IntNetwork) -> Findings:
    for projection in filter(network.is_recurrent, network.projections):
        yield on(projection, "recurrence", "feed-forward projections", PLAIN)


def no_relays(network: IntNetwork) -> Findings:
    for population in network.populations:
        if population.kind.relays:
            yield at(
                population,
                "a relay (pooling kept as a population)",
                "LIF populations: netx has no pooling layer",
                "fold the pooling into the next projection",
            )


def maps_are_dense_or_convolutions(network: IntNetwork) -> Findings:
    for projection in network.projections:
        match projection.kind:
            case ProjectionKind.DENSE | ProjectionKind.CONV2D | ProjectionKind.SUM_POOL:
                continue
            case other:
                yield on(projection, f"a {other.words}", "dense, or a convolution", PLAIN)


def reset_is_hard(network: IntNetwork) -> Findings:
    for population in network.populations:
        if population.kind.fires and not population.reset.zeroes:
            yield at(
                population,
                f"{population.reset} reset",
                "hard reset: neither netx nor Lava has another",
                "train with the hard reset, or run the soft reset through Lava processes of tssd",
            )


def neurons_have_no_more_than_the_format_s(network: IntNetwork) -> Findings:
    """A soft reset's amount is told with the soft reset."""
    for population in network.populations:
        for name in said_late(population).keys() - {"reset_by"}:
            words = words_of(type(population)).get(name, name)
            yield at(population, f"a neuron with {words}", "netx's LIF, without", PLAIN)


def exponents_go_into_weights(network: IntNetwork) -> Findings:
    for projection in network.projections:
        if projection.weight_exp < 0:
            yield on(
                projection,
                f"weight exponent {projection.weight_exp}",
                ">= 0: netx cannot shift a sum right",
                "export or import the network again with --for-netx, which takes no exponents",
            )


def weights_survive_loading(network: IntNetwork) -> Findings:
    for projection, weight in matrices(network):
        dense = not projection.kind.spatial
        low, high = _range(weight)
        if dense and not weight.any():
            allowed, hint = "at least one other weight", "drop or retrain the layer"
            yield on(projection, "only zero weights", allowed, hint)
        elif not fits_eight_bits(weight):
            yield on(
                projection,
                f"weights {low} .. {high} (shifted)",
                "-127 .. 127, or even numbers in -254 .. 254: netx zeroes or clips others",
                "quantize to 8 bits",
            )
        elif dense and not loads_exactly(weight):
            yield on(
                projection,
                f"no positive weight, and the smallest is {low}, a power of two",
                "another smallest weight: Lava clips this one after scaling",
                f"make it {low + 1}, or use another scale for this layer",
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


def biases_fit(network: IntNetwork) -> Findings:
    for population in stateful(network):
        mantissa = bias_mantissa(population)
        if mantissa is None:
            yield at(
                population,
                f"biases with exponent {population.bias_exp}",
                f"multiples of 2**{BIAS_EXP}: netx fixes the exponent at {BIAS_EXP}",
                f"quantize with bias_exp {BIAS_EXP}",
            )
        elif abs(mantissa).max(initial=0) > MAX_BIAS:
            worst = int(mantissa.flat[abs(mantissa).argmax()])
            allowed = f"-{MAX_BIAS} .. {MAX_BIAS}: a larger one wraps"
            yield at(population, f"a bias of {worst}", allowed, SMALLER)


def bias_mantissa(population: Population) -> IntArray | None:
    """The bias at exponent 6; None if it is no whole number there."""
    bias = population.bias
    return None if (bias % (1 << BIAS_EXP)).any() else bias >> BIAS_EXP


def thresholds_fit(network: IntNetwork) -> Findings:
    for population in network.populations:
        low, high = _range(population.vth)
        if population.kind.fires and not 0 <= low <= high <= MAX_VTH:
            yield at(population, f"thresholds {low} .. {high}", f"0 .. {MAX_VTH}", SMALLER)


def parameters_are_per_channel(network: IntNetwork) -> Findings:
    for population in stateful(network):
        for label in ("du", "dv", "vth"):
            value = getattr(population, label)
            if value.ndim == 3 and (value != value[:, :1, :1]).any():
                hint = "quantize neuron parameters per channel"
                found = f"{label} that differs within a channel"
                yield at(population, found, "one value per channel", hint)


def the_last_membrane_is_read(network: IntNetwork) -> Findings:
    read = network.readout.membrane_read
    if read.of_every_step:
        yield at(
            network.readout,
            f"the {read} membrane as the answer",
            "that of the last step: a .net says no other",
            f"{PLAIN}, or export with --readout membrane-last",
        )


def groups_are_few(network: IntNetwork) -> Findings:
    for projection in network.projections:
        if projection.groups > MAX_GROUPS:
            yield on(
                projection,
                f"{projection.groups} groups",
                f"1 .. {MAX_GROUPS}: Lava keeps the number in 8 bits",
                "fold a pooling into the next projection, or use fewer groups",
            )


def delays_are_dense(network: IntNetwork) -> Findings:
    for projection in network.projections:
        limit = 0 if projection.kind.spatial else MAX_DELAY
        if projection.delay > limit:
            yield on(
                projection,
                f"a delay of {projection.delay} steps",
                f"0 .. {MAX_DELAY} on dense projections, none on convolutions (netx ignores it)",
                PLAIN,
            )


def input_has_a_form(network: IntNetwork) -> Findings:
    source, as_bias = network.source, network.input_coding.as_bias
    images = len(source.shape) == 3
    dense = any(not j.kind.spatial for j in network.outgoing(source.name))
    if images and dense and not as_bias:
        found = f"a dense layer on an image input {source.shape}"
        hint = "flatten the samples in C, H, W order and give the input the shape (N,)"
        yield at(source, found, "a flat input before a dense layer", hint)
    if as_bias and not images:
        found = f"an input layer of shape {source.shape}"
        yield at(source, found, "(C, H, W)", "use the shape (N, 1, 1)")
    if as_bias and (source.bias_exp != BIAS_EXP or network.input_max > MAX_BIAS):
        found = f"input biases up to {network.input_max} with exponent {source.bias_exp}"
        yield at(
            source, found, f"up to {MAX_BIAS} with exponent {BIAS_EXP}", "scale the input down"
        )


def shapes_fit_layers(network: IntNetwork) -> Findings:
    for projection in network.projections:
        shape = network.population(projection.target).shape
        if not projection.kind.spatial and len(shape) > 1:
            found, hint = f"a dense projection into the image shape {shape}", "(N,) for the target"
            yield on(projection, found, "a flat target", hint)


def stateful(network: IntNetwork) -> list[Population]:
    """Populations that become netx neurons and use their own bias."""
    return [p for p in network.populations[1:] if p.has_state]


def into(network: IntNetwork, population: Population) -> Projection:
    """The one projection into a population of a chain, or the first of several delays."""
    return forward_into(network, population)[0]


RULES = (
    populations_form_one_chain,
    nothing_recurs,
    no_relays,
    maps_are_dense_or_convolutions,
    reset_is_hard,
    neurons_have_no_more_than_the_format_s,
    exponents_go_into_weights,
    weights_survive_loading,
    biases_fit,
    thresholds_fit,
    parameters_are_per_channel,
    groups_are_few,
    the_last_membrane_is_read,
    delays_are_dense,
    input_has_a_form,
    shapes_fit_layers,
)
