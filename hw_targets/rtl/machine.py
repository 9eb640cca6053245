"""Run an image on the mesh, sample by sample: what every neuron did, and when everything happened.

A sample starts at rest with nothing under way and takes ``length_alone`` steps: a population at
depth d works in steps d .. d + T - 1. Two empty steps before the first clear both banks of sums.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import IntNetwork, Population, depths
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_inputs
from tssd.errors import TargetError
from tssd.hw_targets.rtl.build import program
from tssd.hw_targets.rtl.image import Image
from tssd.hw_targets.rtl.units.host import (
    EVERYTHING,
    RECORD_WORDS,
    STATE_WORDS,
    CoreRegister,
    MeshRegister,
    Record,
    Region,
    address,
)
from tssd.hw_targets.sim.record import length_alone

WRITE, WANTED, STEPS, SILENT_STEPS = 1, 2, 3, 4  # orders, as harness.cpp has them
BEFORE_THE_FIRST = 0xFFFF  # the number of the step before step 0
MOST_CLOCKS = 1 << 30  # a step that takes longer does not end
QUANTITIES: tuple[str, ...] = ("u", "v", "sent")  # of each neuron, in the host port's order


@dataclass(frozen=True, eq=False)
class Step:
    """What one step took and did. ``clocks`` with its barrier; ``finished`` (cores,);
    ``arrivals`` (messages, 3): core, axon, clock; ``states`` (3, neurons) u, v and payload sent, of
    all populations one after the other."""

    clocks: int
    finished: IntArray
    arrivals: IntArray
    states: IntArray


def run(image: Image, inputs: IntArray) -> list[list[Step]]:
    """The steps of each sample of ``inputs`` (T, B, *input shape)."""
    answers = _answers(image, orders_of(image, inputs))
    steps = list(_read(image, answers))
    length = length_alone(image.network)
    if len(steps) != length * inputs.shape[1]:
        raise TargetError("engine rtl", found=f"{len(steps)} steps that were told of")
    return [steps[a : a + length] for a in range(0, len(steps), length)]


def orders_of(image: Image, inputs: IntArray) -> bytes:
    """Everything that the host is told for ``inputs``, in the program's own words."""
    check_inputs(image.network, inputs)
    orders = np.concatenate([*_loading(image), *_samples(image, inputs)])
    return orders.astype("<u4").tobytes()


def _answers(image: Image, orders: bytes) -> IntArray:
    command = [str(program(image.sizes)), str(MOST_CLOCKS)]
    done = subprocess.run(command, input=orders, capture_output=True, check=False)
    if done.returncode:
        why = "a step that does not end" if done.returncode == 3 else f"exit {done.returncode}"
        raise TargetError("engine rtl", found=why)
    return np.frombuffer(done.stdout, "<u4").astype(np.int64)


def _loading(image: Image) -> Iterator[IntArray]:
    """The memories; then what is to be read after every step."""
    yield _write(image.words)
    yield _write(register(MeshRegister.WINDOW, 0))
    yield np.array([SILENT_STEPS, 2])
    yield _write(register(MeshRegister.WINDOW, image.network.time_steps))
    wanted = np.concatenate([finished_at(image), states_at(image)])
    yield np.concatenate([[WANTED, len(wanted)], wanted])


def _write(words: IntArray) -> IntArray:
    return np.concatenate([[WRITE, len(words)], words.ravel()])


def register(register: MeshRegister, value: int) -> IntArray:
    """(1, 2): the write of *value* into a register of the mesh."""
    return np.array([[address(EVERYTHING, 0, register), value]])


def finished_at(image: Image) -> IntArray:
    """(cores,) addresses of the clock in which each finished."""
    cores = range(image.sizes.cores)
    return np.array([address(c, Region.REGISTERS, CoreRegister.FINISHED) for c in cores])


def states_at(image: Image) -> IntArray:
    """(3 x neurons,) addresses of u, v and what was sent."""
    names = [p.name for p in image.network.populations]
    core, place = (np.concatenate([x[n] for n in names]) for x in (image.core, image.place))
    first = at_host(core, Region.STATES, place * STATE_WORDS)
    return np.concatenate([first + quantity for quantity in range(len(QUANTITIES))])


def at_host(core: IntArray, region: Region, word: IntArray) -> IntArray:
    """Addresses of *word* of *region* on *core*, one by one."""
    return (core * address(1, 0, 0)) + address(0, region, 0) + word


def _samples(image: Image, inputs: IntArray) -> Iterator[IntArray]:
    network, source = image.network, image.network.source
    for sample in np.moveaxis(inputs, 1, 0):
        yield _write(register(MeshRegister.STEP, BEFORE_THE_FIRST))
        for frame in sample.reshape(len(sample), -1):
            yield _write(presented(image, source, frame))
            yield np.array([STEPS, 1])
        yield np.array([STEPS, length_alone(network) - len(sample)])


def presented(image: Image, source: Population, frame: IntArray) -> IntArray:
    """What a host writes before a step: the sums of the input's neurons, or biases."""
    core, place = image.core[source.name], image.place[source.name]
    if not image.network.input_coding.as_bias:
        return _pairs(at_host(core, Region.SUMS, place), frame)
    at = at_host(core, Region.NEURONS, place * RECORD_WORDS + Record.BIAS)
    return _pairs(at, frame << source.bias_exp)


def _pairs(at: IntArray, value: IntArray) -> IntArray:
    return np.column_stack([at, value & 0xFFFFFFFF])


def _read(image: Image, answers: IntArray) -> Iterator[Step]:
    """The steps that the program told of."""
    cores = image.sizes.cores
    neurons = sum(p.neurons for p in image.network.populations)
    at = 0
    while at < len(answers):
        clocks, messages = answers[at : at + 2].tolist()
        ends = np.cumsum([at + 2, 3 * messages, cores, 3 * neurons]).tolist()
        arrivals, finished, states = (
            answers[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)
        )
        signed = np.where(states >> 31, states - (1 << 32), states)
        yield Step(clocks, finished, arrivals.reshape(-1, 3), signed.reshape(3, neurons))
        at = ends[-1]


def by_population(network: IntNetwork, steps: list[Step]) -> dict[str, IntArray]:
    """(3, T, neurons) u, v and payload of each population, in its own window of the steps."""
    every = np.stack([step.states for step in steps], axis=1)
    found, first, depth = {}, 0, depths(network)
    for population in network.populations:
        begin, end = depth[population.name], depth[population.name] + network.time_steps
        found[population.name] = every[:, begin:end, first : first + population.neurons]
        first += population.neurons
    return found
