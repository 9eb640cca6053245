"""The dense layers of PilotNet LIF against Intel's recorded run: spikes, u and v of 18 steps.

The record (lava-dl 0.6.0, BSD-3-Clause, see ``golden/pilotnet_fc.LICENSE``) covers 24 steps with a
reset every 17; the last convolution spikes at depth 5, so its window begins at step 5.
"""

from pathlib import Path

import numpy as np
import pilotnet
import pytest

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import chip_steps

LAYERS = ("fc1", "fc2", "fc3")
DEPTH = 5
SHAPE = (64, 2, 20)


@pytest.fixture(scope="module")
def record() -> dict[str, IntArray]:
    with np.load(Path(__file__).parents[1] / "golden" / "pilotnet_fc.npz") as data:
        return {key: data[key] for key in data.files}


def network(record: dict[str, IntArray]) -> IntNetwork:
    populations = [plain_population("conv5", SHAPE, PopulationKind.INPUT)]
    projections = []
    for name in LAYERS:
        weight = record[f"{name}/weight"].astype(np.int64)
        population = Population(
            name,
            (len(weight),),
            PopulationKind.LIF,
            Reset.HARD,
            du=constant(4096, (1,)),
            dv=constant(1024, (1,)),
            vth=constant(25, (1,)),
            bias_mant=record[f"{name}/bias_mant"].astype(np.int64),
        )
        projections.append(Projection(populations[-1].name, name, ProjectionKind.DENSE, weight))
        populations.append(population)
    return IntNetwork(
        tuple(populations), tuple(projections), pilotnet.INTERVAL, InputCoding.SPIKES, 1
    )


def shown(record: dict[str, IntArray]) -> IntArray:
    """The recorded spikes from step 5 on as two samples of 17 steps, the second cut short."""
    bits = np.unpackbits(record["conv5/spikes"].view(np.uint8)).astype(np.int64)
    later = bits.reshape(pilotnet.STEPS, *SHAPE)[DEPTH:]
    samples = np.zeros((2 * pilotnet.INTERVAL, *SHAPE), np.int64)
    samples[: len(later)] = later
    return samples.reshape(2, pilotnet.INTERVAL, *SHAPE).swapaxes(0, 1)


def test_dense_layers_repeat_the_record(record: dict[str, IntArray]) -> None:
    built, steps = network(record), pilotnet.STEPS - DEPTH
    seen = list(chip_steps(built, shown(record), pilotnet.INTERVAL, steps))
    fired = 0
    for depth, name in enumerate(LAYERS, 1):
        spikes, u, v = (np.stack([step[name][k] for step in seen[depth:]]) for k in range(3))
        wanted = {q: record[f"{name}/{q}"][DEPTH + depth :] for q in ("spikes", "u", "v")}
        np.testing.assert_array_equal(u, wanted["u"], err_msg=f"{name} u")
        np.testing.assert_array_equal(spikes, wanted["spikes"], err_msg=f"{name} spikes")
        np.testing.assert_array_equal(pilotnet.as_recorded(spikes, v), wanted["v"])
        fired += int(spikes.sum())
    assert fired > 100
