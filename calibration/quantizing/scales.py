"""Ranges x Precision -> Scales: one scale per population or channel, found on calibration samples.

A scale S turns floats into weight units, for the weights of all incoming projections, the threshold
and the bias alike (``search``). The layers that the input feeds are searched once for every way in
that may pay (``entering``): the one whose layers differ least from the float network's is taken.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

import torch
from torch import Tensor

from tssd.calibration.encode import is_still
from tssd.calibration.int_network import InputCoding
from tssd.calibration.layer import Clip, Form, LayerIntegers
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.channels import Granularity, Rounding, Search, Tuning
from tssd.calibration.quantizing.checks import (
    check_folded,
    check_layers,
    check_network,
    check_numbers,
)
from tssd.calibration.quantizing.entering import (
    BiasRoute,
    Entry,
    coding_of,
    constant_fits,
    entries,
    units_of,
)
from tssd.calibration.quantizing.given import GivenIntegers, coding_of_given, given_layer
from tssd.calibration.quantizing.observe import Observation, coded_input
from tssd.calibration.quantizing.options import Decided, Exponents, Options
from tssd.calibration.quantizing.refine import Refinement, Refiner, refiner
from tssd.calibration.quantizing.search import ScaledLayer, Trial, best, search
from tssd.train.handover.float_activity import PIXEL_MAX, ImageArray, presented
from tssd.train.handover.float_layers import layers, project
from tssd.train.handover.float_network import (
    FloatNetwork,
    FloatPopulation,
    PopulationKind,
)

WORTH = 0.5  # what costs more than bits (events of a constant channel, a .net) halves the error

__all__ = [
    "BiasRoute",
    "Exponents",
    "GivenIntegers",
    "Granularity",
    "Options",
    "Rounding",
    "Scales",
    "Search",
    "Trial",
    "Tuning",
    "choose",
]


@dataclass(frozen=True, eq=False)
class Scales:
    """The choice for every population with state, what had to be clipped, and what takes bits from
    a layer's weights (None: nothing)."""

    precision: Precision
    input_coding: InputCoding
    input_max: int
    layers: Mapping[str, LayerIntegers]
    trials: Mapping[str, tuple[Trial, ...]]
    limits: Mapping[str, str | None]

    @property
    def clips(self) -> tuple[Clip, ...]:
        return tuple(clip for layer in self.layers.values() for clip in layer.clips)

    @property
    def constant_channel(self) -> bool:
        return any(layer.form.constant for layer in self.layers.values())

    @property
    def entry(self) -> Entry:
        """How the input enters."""
        return Entry(self.input_coding, self.input_max, self.constant_channel)

    @property
    def whole(self) -> bool:
        """Whether nothing takes bits from any layer's weights."""
        return not any(self.limits.values())

    def score(self, layer: str) -> float:
        """The least of a layer's trials: how far its output is from float."""
        return min(trial.score for trial in self.trials[layer])


@dataclass(frozen=True, eq=False)
class _Setting:
    """What all searches share: the network and what it sent in float; of a READOUT, its membrane.
    ``known``: layers that were searched already, by all that their search depends on; ``refiners``
    by the way in and what is exact."""

    network: FloatNetwork
    precision: Precision
    options: Options
    images: ImageArray
    sent: Mapping[str, Tensor]
    wanted: Mapping[str, Tensor]
    known: dict[tuple[object, ...], "_Found"] = field(default_factory=dict)
    refiners: dict[tuple[Entry, frozenset[str]], Refiner] = field(default_factory=dict)

    def field(self, layer: str) -> Precision:
        """The ranges of one layer."""
        return self.options.field(layer, self.precision)

    def decided(self, layer: str) -> Decided:
        """The choices that were left open, made for the width of one layer."""
        return self.options.decided(self.field(layer))

    def with_exponents(self, exponents: Exponents) -> "_Setting":
        return replace(self, options=replace(self.options, exponents=exponents))


_Found = tuple[LayerIntegers, tuple[Trial, ...], str | None]  # its best, all trials, what limits it


@dataclass(frozen=True, eq=False)
class _Fit:
    """Some layers searched with one way in: the choices, all trials, what limits each."""

    layers: Mapping[str, LayerIntegers]
    trials: Mapping[str, tuple[Trial, ...]]
    limits: Mapping[str, str | None]

    @property
    def whole(self) -> bool:
        return not any(self.limits.values())

    @property
    def score(self) -> float:
        return sum(min(trial.score for trial in trials) for trials in self.trials.values())


def choose(
    network: FloatNetwork,
    observation: Observation,
    precision: Precision,
    options: Options | None = None,
    exact: Collection[str] = (),
) -> Scales:
    """Scales of a folded, aligned ``network`` from the observation's calibration images; *exact*:
    populations that a front end computes, whose integers are not used."""
    options = options or Options()
    if options.given is not None:
        check_network(network)
        check_folded(network)
        return _given(network, observation.images, precision, options.given)
    return chooser(network, observation.images, precision)(options, exact)


def chooser(
    network: FloatNetwork, images: ImageArray, precision: Precision
) -> Callable[..., Scales]:
    """``choose`` for many options of one *network*: what they share is computed once, a layer that
    was searched is not searched again."""
    check_network(network)
    check_folded(network)
    with torch.inference_mode():
        shared = _setting(network, images, precision, Options())

    def chosen(options: Options, exact: Collection[str] = ()) -> Scales:
        check_layers(options.layer_bits, network)
        with torch.inference_mode():
            setting = replace(shared, options=options)
            return _refined(setting, _chosen(setting), exact)

    return chosen


def _chosen(setting: _Setting) -> Scales:
    match setting.options.exponents:
        case Exponents.ALWAYS | Exponents.NEVER:
            return _searched(setting)
        case Exponents.WORTH:
            return _sparing(setting)
        case _:
            assert_never(setting.options.exponents)


def _sparing(setting: _Setting) -> Scales:
    """Without exponents, unless they halve some layer's error; a search that compares no outputs
    takes them where a layer would lose bits."""
    plain = _searched(setting.with_exponents(Exponents.NEVER))
    if plain.whole:
        return plain
    finer = _searched(setting.with_exponents(Exponents.ALWAYS))
    halved = any(finer.score(name) < WORTH * plain.score(name) for name in plain.trials)
    return finer if halved or not setting.options.search.compares else plain


def _searched(setting: _Setting) -> Scales:
    network = setting.network
    fed = _fed_by_input(network)
    entry, first = _way_in(setting, fed)
    behind = [p for p in _stateful(network) if p not in fed]
    rest = _fit(setting, behind, entry)
    return Scales(
        _widest(setting.precision, {**first.layers, **rest.layers}),
        entry.coding,
        entry.input_max,
        {**first.layers, **rest.layers},
        {**first.trials, **rest.trials},
        {**first.limits, **rest.limits},
    )


def _given(
    network: FloatNetwork, images: ImageArray, precision: Precision, given: GivenIntegers
) -> Scales:
    """The integers that were trained."""
    units, _ = units_of(network, given.input_max)
    layers = {p.name: given_layer(network, p, units, precision, given) for p in _stateful(network)}
    coding = coding_of_given(given, not is_still(images, network.populations[0].shape))
    whole = _widest(precision, layers)
    return Scales(whole, coding, given.input_max, layers, {}, dict.fromkeys(layers))


def _widest(precision: Precision, layers: Mapping[str, LayerIntegers]) -> Precision:
    widest = max(layer.form.precision.weight_bits for layer in layers.values())
    return replace(precision, weight_bits=widest)


def _setting(
    network: FloatNetwork, images: ImageArray, precision: Precision, options: Options
) -> _Setting:
    sent: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    pixels = torch.tensor(presented(network, images)).float() / PIXEL_MAX
    for name, _, membrane, out in layers(network, pixels):
        sent[name] = wanted[name] = out
        if membrane is not None:
            check_numbers(name, membrane)
        if network.population(name).kind.reads_out:
            assert membrane is not None
            wanted[name] = membrane
    return _Setting(network, precision, options, images, sent, wanted)


def _refined(setting: _Setting, scales: Scales, exact: Collection[str]) -> Scales:
    """The layers with their errors made up for, where that is asked for."""
    decided = {name: setting.decided(name) for name in scales.layers}
    if not any(choices.refines for choices in decided.values()):
        return scales
    key = scales.entry, frozenset(exact)
    if key not in setting.refiners:
        setting.refiners[key] = _refiner(setting, *key)
    return replace(scales, layers=setting.refiners[key](scales.layers, decided))


def _refiner(setting: _Setting, entry: Entry, exact: frozenset[str]) -> Refiner:
    network, floats = setting.network, (setting.sent, setting.wanted)
    entering = coded_input(network, setting.images, entry)
    return refiner(
        Refinement(network, *floats, *units_of(network, entry.input_max), entering, exact)
    )


# ---------------------------------------------------------------- the way in


def _way_in(setting: _Setting, fed: Sequence[FloatPopulation]) -> tuple[Entry, _Fit]:
    """The way in whose layers are most like float. Fewer levels are tried until the weights are
    whole; nothing else is where they are with all levels."""
    network, options = setting.network, setting.options
    coding, binary = coding_of(network, setting.images, options.input_coding)
    tried: list[tuple[Entry, _Fit]] = []
    compares = options.search.compares or options.bias_route is not BiasRoute.AUTO
    route = options.bias_route if compares else BiasRoute.SCALE
    offered = list(entries(coding, binary, setting.precision, route))
    possible = [e for e in offered if all(_layer(setting, p, e).possible for p in fed)]
    for entry in possible or offered[:1]:
        if _pays(setting, fed, entry, tried):
            tried.append((entry, _fit(setting, fed, entry)))
    if route is BiasRoute.LEVELS:  # the most levels with which the weights are whole
        return tried[-1]
    return min(tried, key=lambda pair: pair[1].score * (1 if pair[0].constant else WORTH))


def _pays(
    setting: _Setting,
    fed: Sequence[FloatPopulation],
    entry: Entry,
    tried: Sequence[tuple[Entry, _Fit]],
) -> bool:
    """Whether *entry* can be better than what was tried already."""
    if any(fit.whole and made.constant == entry.constant for made, fit in tried):
        return False
    if not tried or not entry.constant:
        return True
    fits = all(
        constant_fits(j) for j in setting.network.outgoing(setting.network.populations[0].name)
    )
    return (
        fits and not tried[0][1].whole and any(_overflows(_plain(setting, p, entry)) for p in fed)
    )


def _fit(setting: _Setting, populations: Sequence[FloatPopulation], entry: Entry) -> _Fit:
    """Search *populations* with the input as *entry* says."""
    source = setting.network.populations[0].name
    coded = coded_input(setting.network, setting.images, entry)
    sent = _relayed(setting.network, {**setting.sent, source: coded})
    found: dict[str, LayerIntegers] = {}
    trials: dict[str, tuple[Trial, ...]] = {}
    limits: dict[str, str | None] = {}
    for population in populations:
        name, options = population.name, setting.options
        each = (setting.field(name), setting.decided(name).granularity)
        key = (name, entry, options.exponents, options.search, *each)
        if key not in setting.known:
            layer = _layer(setting, population, entry)
            tried = search(layer, sent, setting.wanted[name], options.search)
            setting.known[key] = best(layer, tried), tried, layer.limit
        found[name], trials[name], limits[name] = setting.known[key]
    return _Fit(found, trials, limits)


def _relayed(network: FloatNetwork, sent: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What relays of the coded input pass on."""
    passed = dict(sent)
    for population in network.populations:
        if population.kind.relays:
            (into,) = network.incoming(population.name)
            passed[population.name] = project(into, passed[into.source], population.shape)
    return passed


def _plain(setting: _Setting, population: FloatPopulation, entry: Entry) -> ScaledLayer:
    """The layer without any of the ways to make room."""
    units, payloads = units_of(setting.network, entry.input_max)
    incoming = setting.network.incoming(population.name)
    layer = ScaledLayer(
        population,
        incoming,
        tuple(units[j.source] for j in incoming),
        tuple(payloads[j.source] for j in incoming),
        Form(setting.field(population.name), setting.precision.bias_exp),
        setting.network.time_steps,
    )
    how = setting.options.search
    granularity = setting.decided(population.name).granularity
    match granularity:
        case Granularity.LAYER:
            return layer.observed(how)
        case Granularity.CHANNEL:
            return layer.levelled(how)
        case _:
            assert_never(granularity)


def _layer(setting: _Setting, population: FloatPopulation, entry: Entry) -> ScaledLayer:
    """The layer with room for its bias, as *entry* says, else by finer weights."""
    plain = _plain(setting, population, entry)
    fed = population in _fed_by_input(setting.network)
    if fed and _overflows(plain) and entry.constant:
        return replace(plain, form=replace(plain.form, constant=entry.input_max))
    if fed and _overflows(plain) and entry.bias_exp is not None:
        return replace(plain, form=replace(plain.form, bias_exp=entry.bias_exp))
    sparing = setting.options.exponents is Exponents.NEVER
    return plain if sparing and plain.possible else plain.refined()


def _overflows(layer: ScaledLayer) -> bool:
    """Whether the bias leaves its mantissa at the scale at which the weights just fit."""
    return layer.bias_scale < layer.max_abs_scale


def _stateful(network: FloatNetwork) -> list[FloatPopulation]:
    states = (PopulationKind.LIF, PopulationKind.READOUT)
    return [p for p in network.populations if p.kind in states]


def _fed_by_input(network: FloatNetwork) -> list[FloatPopulation]:
    """Populations with state that the input reaches directly, or through relays."""
    carriers = {network.populations[0].name}
    for population in network.populations:
        into = {j.source for j in network.incoming(population.name)}
        if population.kind.relays and into & carriers:
            carriers.add(population.name)
    return [
        p for p in _stateful(network) if carriers & {j.source for j in network.incoming(p.name)}
    ]
