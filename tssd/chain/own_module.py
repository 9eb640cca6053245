"""A user's own module -> FloatNetwork, proved on the samples that it comes with.

The module runs by its own code and is recorded; the network read from the recording then runs on
the same samples, and every neuron's spikes in every step and the output must be equal (contract 0).
What comes out is chosen by name where there is a choice, and questions are asked (ConfigError)
where the answer would change the result: labels beyond the outputs, several neurons per class,
nothing right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from tssd.arrays import FloatArray
from tssd.calibration.integer import IntArray
from tssd.chain.user_data import FloatSamples
from tssd.contracts import OWN_MODULE, Contract, check
from tssd.errors import ConfigError, NetworkError
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.recording.agree import ModuleAgreement, compare
from tssd.train.recording.convert import to_float
from tssd.train.recording.network.choose import chosen
from tssd.train.recording.record import record
from tssd.train.recording.recording import Output, Readout, Recording

Answers = FloatArray
ACCURACY = f"{OWN_MODULE}: accuracy"
DEFAULT_STEPS = 16  # of a module of one step per call on still samples, where nobody says
ENOUGH = 2  # labelled samples per class from which it is said what the labels leave open
CHANCE = 0.05  # nothing right is a question where guessing would do better in all but so many cases


@dataclass(frozen=True)
class ModuleReading:
    """How the module is read. None: as it says itself. ``frames``: whether axis 1 of the samples is
    time. ``population``: the number of classes of a population code."""

    output: str | None = None
    readout: Readout | None = None
    population: int | None = None
    swap_max_pool: bool = False
    time_steps: int | None = None
    default_steps: int | None = None
    frames: bool | None = None


def reading_of(
    output: str | None = None,
    readout: str | None = None,
    population: int | None = None,
    swap_max_pool: bool = False,
    time_steps: int | None = None,
) -> ModuleReading:
    """The options of the command line and of ``tssd.export``."""
    rule = None if readout is None else Readout(readout)
    return ModuleReading(output, rule, population, swap_max_pool, time_steps, DEFAULT_STEPS)


@dataclass(frozen=True, eq=False)
class Taken:
    """The network that was read, what was read out, and how it agrees with the module."""

    recording: Recording
    network: FloatNetwork
    output: Output
    reading: ModuleReading
    agreement: ModuleAgreement

    @property
    def classes(self) -> int:
        """How many the network tells apart."""
        return self.network.populations[-1].neurons

    def told(self) -> Mapping[str, Any]:
        """For the manifest."""
        return {
            "read_out": self.read_out(),
            "time_steps": self.recording.time_steps,
            "feed": str(self.recording.feed),
            "frames": self.recording.frames,
            "encoder": self.recording.encoder,
        }

    def notes(self, labels: IntArray | None) -> tuple[str, ...]:
        """What a swapped pooling costs, and what holds on these samples only."""
        plain = [path for path, _ in self.agreement.reset_now]
        if plain and not self.agreement.swapped:
            return (reset_now_note(plain),)
        if not self.agreement.swapped:
            return ()
        same = f"{100 * self.agreement.same_class:.1f} % of the samples keep their class"
        if labels is not None:
            own = accuracy(self.agreement.answers, labels)
            swapped = accuracy(self.agreement.network_answers, labels)
            same += f"; accuracy {swapped:.2f} % instead of {own:.2f} %"
        return (
            f"maximum pooling moved behind its neuron, which is another network: {same}; to win "
            "it back, put the pooling behind the neuron in the module and train on from these "
            "weights",
        )

    def read_out(self) -> str:
        """``spike count of fc2/lif2, 10 classes``"""
        rule = self.reading.readout or self.output.readout
        return self.output.read_by(rule, self.reading.population)


def take_over(module: nn.Module, samples: FloatSamples, reading: ModuleReading) -> Taken:
    """The network of *module*, found equal to it on *samples* or not (``agreement``)."""
    recording = record(
        module,
        samples,
        time_steps=reading.time_steps,
        frames=reading.frames,
        default_steps=reading.default_steps,
    )
    return taken_from(module, samples, reading, recording)


def taken_from(
    module: nn.Module, samples: FloatSamples, reading: ModuleReading, recording: Recording
) -> Taken:
    """The same of a module that was recorded before."""
    output, readout, groups = reading.output, reading.readout, reading.population
    network = to_float(
        recording,
        output=output,
        readout=readout,
        groups=groups,
        swap_max_pool=reading.swap_max_pool,
    )
    agreement = compare(
        module, recording, network, samples, output=output, readout=readout, groups=groups
    )
    _check_reset_now(agreement)
    return Taken(recording, network, chosen(recording, output), reading, agreement)


def _check_reset_now(agreement: ModuleAgreement) -> None:
    """Refuse ``reset_delay=False`` with 'subtract' where it is no plain subtraction, with the
    number of slots; slots of other layers that differ are left to the contract."""
    off = [(path, slots) for path, slots in agreement.reset_now if slots]
    if not off or agreement.swapped or sum(slots for _, slots in off) < agreement.differing:
        return
    raise NetworkError(
        ", ".join(f"module {path}" for path, _ in off),
        found="reset_delay=False with 'subtract', which compares a membrane that is still above "
        f"the threshold after its reset lowered once more: on these samples "
        f"{agreement.differing:,} of {agreement.slots:,} slots fire otherwise than a plain "
        "subtraction",
        allowed="'subtract' with reset_delay=True, 'zero', 'none'",
        hint="reset_delay=True, which has an exact counterpart, and train on from these weights",
    )


def reset_now_note(paths: Sequence[str]) -> str:
    """What the samples show of ``reset_delay=False``, and what they cannot."""
    return (
        f"{', '.join(paths)}: reset_delay=False with 'subtract' is a plain subtraction as long as "
        "no membrane is above twice its threshold; on these samples no spike differs, where one "
        "is above, your module's next spike may"
    )


def accuracy(answers: Answers, labels: IntArray) -> float:
    """Of answers (N, classes), in percent."""
    return float(100 * np.mean(answers.argmax(1) == labels))


def module_accuracy(found: float, recorded: float | None, samples: int) -> Contract:
    """The module's own accuracy in percent, beside the one that its training run recorded.

    One sample may differ: other threads add up in another order.
    """
    near = recorded is None or abs(found - recorded) <= 100 / samples + 1e-9
    allowed = "its own" if recorded is None else f"{recorded:.2f} % when it was trained"
    return check(ACCURACY, near, f"{found:.2f} %", allowed, f"{samples} samples")


def ask(taken: Taken, labels: IntArray) -> None:
    """Stop with a question where labels and outputs do not go together."""
    classes, top = taken.classes, int(labels.max())
    if top >= classes:
        raise ConfigError(
            "labels",
            found=f"label {top}, and {classes} outputs: {taken.read_out()}",
            allowed=f"0 .. {classes - 1}",
            hint=_others(taken.recording),
        )
    several = classes // (top + 1)
    shown = set(labels.tolist()) == set(range(top + 1)) and len(labels) >= ENOUGH * (top + 1)
    if taken.reading.population is None and several > 1 and classes % (top + 1) == 0 and shown:
        raise ConfigError(
            "read-out",
            found=f"{classes} outputs for the labels 0 .. {top}",
            allowed=f"--population {top + 1} ({several} neurons for each class), or "
            f"--population {classes} (a class for each)",
        )
    right = taken.agreement.answers.argmax(1) == labels
    if not right.any() and (1 - 1 / max(classes, 2)) ** len(labels) < CHANCE:
        raise ConfigError(
            "read-out",
            found=f"0 of {len(labels)} samples classified as labelled by your own module, read by "
            f"the {taken.read_out()}",
            allowed="labels in the order of the outputs, trained weights, the author's read-out",
            hint=_others(taken.recording),
        )


def _others(recording: Recording) -> str:
    """What else could be read."""
    names = ", ".join(f"{o.name} ({o})" for o in recording.outputs if not o.state)
    return f"--output NAME, of {names}; or --readout, --population"


def check_no_encoder(recording: Recording, hint: str) -> None:
    """NetworkError with *hint* where the module makes spikes of its samples by itself."""
    if recording.encoder is not None:
        raise NetworkError(
            "module",
            found=recording.encoder,
            allowed="samples that enter as they are",
            hint=hint,
        )
