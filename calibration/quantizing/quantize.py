"""FloatNetwork x Scales -> IntNetwork, and the constraints that every deployable one satisfies."""

import math
from dataclasses import replace

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.layer import memory_gain, worst_activation
from tssd.calibration.payloads import payload_bounds
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.checks import label
from tssd.calibration.quantizing.entering import constant_fits
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.scales import Options, Scales, choose
from tssd.calibration.simulate import check_loops, check_silence
from tssd.errors import NetworkError
from tssd.train.handover.fields import amounts_of, words_of
from tssd.train.handover.float_network import FloatNetwork, FloatPopulation, FloatProjection


def quantize(
    network: FloatNetwork,
    precision: Precision,
    observation: Observation,
    options: Options | None = None,
) -> IntNetwork:
    """The folded, aligned ``network`` in integers; scales from the observation's images.

    To see the scales and what was clipped, call ``scales.choose`` and ``apply`` instead.
    """
    return apply(network, choose(network, observation, precision, options))


def apply(network: FloatNetwork, scales: Scales) -> IntNetwork:
    """The integer network at the chosen scales; every constraint is checked."""
    integers = IntNetwork(
        tuple(_population(p, network, scales) for p in network.populations),
        tuple(_projection(j, network, scales) for j in network.projections),
        network.time_steps,
        scales.input_coding,
        scales.input_max,
    )
    check_integers(integers, scales.precision)
    for projection in integers.projections:
        if projection.target in scales.layers:
            _check_weights(projection, scales.layers[projection.target].form.precision)
    return integers


def _population(population: FloatPopulation, network: FloatNetwork, scales: Scales) -> Population:
    name, shape = population.name, population.shape
    if not population.kind.has_state:
        payload_scale = float(scales.input_max) if _carries_input(network, name) else 1.0
        if population.kind.enters and scales.constant_channel:
            shape = (shape[0] + 1, *shape[1:])
        return replace(plain_population(name, shape, population.kind), scale=payload_scale)
    layer = scales.layers[name]
    return Population(
        name,
        shape,
        population.kind,
        population.reset,
        du=layer.du,
        dv=layer.dv,
        vth=layer.vth,
        bias_mant=layer.bias_mant,
        bias_exp=layer.form.bias_exp,
        scale=layer.scale,
        membrane_read=population.membrane_read,
        channel_scales=() if layer.level is None else tuple(map(float, layer.scale * layer.level)),
        **layer.amounts,
    )


def _carries_input(network: FloatNetwork, name: str) -> bool:
    """Whether *name* is the input, or a relay of it."""
    population = network.population(name)
    if population.kind.relays:
        return _carries_input(network, network.incoming(name)[0].source)
    return population.kind.enters


def _projection(projection: FloatProjection, network: FloatNetwork, scales: Scales) -> Projection:
    target = network.population(projection.target)
    if target.kind.relays:
        weight, coarse, exponent = projection.weight.astype(np.int64), None, 0
    else:
        place = network.incoming(target.name).index(projection)
        layer = scales.layers[target.name]
        weight, coarse = layer.weights[place], layer.coarse
        exponent = layer.exponents[place]
    source = network.population(projection.source)
    if source.kind.enters and scales.constant_channel:
        weight = _with_constant(projection, weight, coarse, source.shape)
    return Projection(
        projection.source,
        projection.target,
        projection.kind,
        weight,
        weight_exp=exponent,
        stride=projection.stride,
        padding=projection.padding,
        dilation=projection.dilation,
        groups=projection.groups,
        delay=projection.delay,
    )


def _with_constant(
    projection: FloatProjection, weight: IntArray, coarse: IntArray | None, shape: tuple[int, ...]
) -> IntArray:
    """Weights for one more input channel: ``coarse`` at a place that every output reads."""
    out = len(weight)
    values = np.zeros(out, np.int64) if coarse is None else _per_output(coarse, out)
    if not projection.kind.spatial:
        extra = np.zeros((out, int(np.prod(shape[1:]))), np.int64)
        extra[:, 0] = values
        return np.concatenate([weight, extra], axis=1)
    _check_constant_tap(projection)
    channel = np.zeros((out, 1, *weight.shape[2:]), np.int64)
    channel[:, 0, projection.padding[0], projection.padding[1]] = values
    return np.concatenate([weight, channel], axis=1)


def _per_output(coarse: IntArray, outputs: int) -> IntArray:
    return np.broadcast_to(coarse.reshape(len(coarse), -1)[:, 0], (outputs,))


def _check_constant_tap(projection: FloatProjection) -> None:
    if not constant_fits(projection):
        taps = projection.weight.shape[2:]
        raise NetworkError(
            label(projection),
            found=f"groups {projection.groups}, padding {projection.padding}, kernel {taps}",
            allowed="groups 1, no dilation and kernel >= 2 * padding + 1 for a constant channel",
            hint="choose another bias route (scale, levels or exponent)",
        )


def check_integers(network: IntNetwork, precision: Precision) -> None:
    """Weights in the sign-safe set, parameters in their fields, currents that cannot wrap."""
    payloads = payload_bounds(network)
    for projection in network.projections:
        _check_weights(projection, precision)
    for population in network.populations:
        if not population.has_state:
            continue
        where = f"population {population.name}"
        for name, amount in amounts_of(population).items():
            _check_limit(where, words_of(type(population))[name], amount, precision.vth_max)
        _check_limit(where, "bias mantissa", population.bias_mant, precision.bias_mant_max)
        incoming = network.incoming(population.name)
        reach = worst_activation(
            incoming,
            [j.weight for j in incoming],
            [payloads[j.source] for j in incoming],
            [j.weight_exp for j in incoming],
        )
        reach = math.ceil(reach * memory_gain(population.du, network.time_steps))
        if reach > precision.activation_max:
            raise NetworkError(
                where,
                found=f"a worst-case activation of {reach}",
                allowed=f"<= {precision.activation_max}, so that the current never wraps",
                hint="a smaller scale, or fewer input levels",
            )
    check_loops(network)
    check_silence(network)


def _check_weights(projection: Projection, precision: Precision) -> None:
    where = f"projection {projection.name}"
    _check_limit(where, "weight", projection.weight, precision.weight_max)
    if not projection.weight.any():
        raise NetworkError(
            where,
            found="weights that all became zero",
            allowed="at least one weight that is not zero",
            hint="more weight bits; the other projections into this population are far larger",
        )


def _check_limit(where: str, what: str, values: IntArray, limit: int) -> None:
    largest = int(np.abs(values).max(initial=0))
    if largest > limit:
        raise NetworkError(where, found=f"a {what} of {largest}", allowed=f"+-{limit}")
