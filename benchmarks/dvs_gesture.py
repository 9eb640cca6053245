"""SANA-FE's DVS-gesture network in our terms.

Weights, thresholds and one frame come from ``dvs_challenge.npz`` in the package ``sanafe`` 2.2.9;
strides, leak (none) and the mapping (the neurons of each layer evenly over so many cores, cores in
order) are those of SANA-FE's notebook ``tutorial/tutorial_5_dvs.ipynb`` at commit 8951ab07, which
gives 365,277 firings in 1000 steps.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
)
from tssd.calibration.integer import IntArray
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.memory import Need
from tssd.hw_targets.mapping.partition import Slice
from tssd.hw_targets.mapping.placement import Placement, formats_of

STEPS = 1000
NAMES = ("input", "conv1", "conv2", "conv3", "conv4", "dense")
SHAPES: tuple[tuple[int, ...], ...] = (
    (1, 32, 32),
    (16, 15, 15),
    (32, 13, 13),
    (64, 11, 11),
    (11, 9, 9),
    (11,),
)
WEIGHTS = ("conv1", "conv2", "conv3", "conv4", "dense1")
STRIDES = (2, 1, 1, 1)
CORES = (1, 4, 16, 16, 4, 1)  # of each layer
CORES_PER_TILE, ROWS = 4, 4  # SANA-FE numbers its tiles column by column
CHIP = "sanafe-loihi"


@dataclass(frozen=True, eq=False)
class Gesture:
    """``counted`` has ones where weights are zero: SANA-FE stores and charges those synapses, so
    synapses are counted on it. ``bias`` (1, 32, 32) is the frame, given at every step."""

    network: IntNetwork
    counted: IntNetwork
    bias: IntArray
    placement: Placement


def read_gesture(weights: Path) -> Gesture:
    """The network from ``dvs_challenge.npz``."""
    arrays = np.load(weights)
    populations = [
        integrate_and_fire(name, shape, int(threshold))
        for name, shape, threshold in zip(NAMES, SHAPES, arrays["thresholds"], strict=True)
    ]
    projections = [_projection(i, arrays[key].astype(np.int64)) for i, key in enumerate(WEIGHTS)]
    bias = arrays["inputs"].astype(np.int64)
    network = IntNetwork(
        tuple(populations), tuple(projections), STEPS, InputCoding.BIAS, int(bias.max())
    )
    ones = tuple(replace(j, weight=np.where(j.weight == 0, 1, j.weight)) for j in projections)
    counted = replace(network, projections=ones)
    return Gesture(network, counted, bias.reshape(SHAPES[0]), _placement(counted))


def integrate_and_fire(name: str, shape: tuple[int, ...], threshold: int) -> Population:
    """A population without leak, reset to zero."""

    def of(value: int) -> IntArray:
        return constant(value, shape)

    return Population(
        name, shape, PopulationKind.LIF, Reset.HARD, of(4096), of(0), of(threshold), of(0)
    )


def _projection(i: int, weight: IntArray) -> Projection:
    if weight.ndim == 2:  # neurons of an image count channels, rows, columns, as ours do
        dense = np.ascontiguousarray(weight.T)
        return Projection(NAMES[i], NAMES[i + 1], ProjectionKind.DENSE, dense)
    kernel = np.ascontiguousarray(weight.transpose(3, 2, 0, 1))
    stride = (STRIDES[i], STRIDES[i])
    return Projection(NAMES[i], NAMES[i + 1], ProjectionKind.CONV2D, kernel, stride=stride)


def _placement(network: IntNetwork) -> Placement:
    slices: list[Slice] = []
    needs: list[Need] = []
    for name, shape, cores in zip(NAMES, SHAPES, CORES, strict=True):
        neurons = np.arange(int(np.prod(shape)))
        each = len(neurons) // cores
        for mine in np.split(neurons, each * np.arange(1, cores)):  # the last core takes the rest
            slices.append(Slice(name, len(slices), mine))
            needs.append(Need(len(mine), 2 * len(mine), 0, 0))
    tile, slot = np.divmod(np.arange(len(slices)), CORES_PER_TILE)
    sites = np.column_stack([np.zeros_like(tile), tile // ROWS, tile % ROWS, slot])
    shapes: dict[str, tuple[int, ...]] = dict(zip(NAMES, SHAPES, strict=True))
    stored = formats_of(network, slices, load_chip(CHIP))
    return Placement(CHIP, shapes, tuple(slices), sites, tuple(needs), 0.0, stored)
