"""What the processors beside the cores add: they inject input and read answers, one at a time.

    step     = max(chip, input spikes of the step x spike_in)      injection hides the chip's work
    answer   = + read_out
    energy   = power_per_chip x chips x time

Off unless asked for: what it takes depends on how input arrives. Times without it say so.
"""

import numpy as np

from tssd.arrays import FloatArray
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.errors import ConfigError
from tssd.hw_targets.chip.spec import LEVELS, ChipSpec
from tssd.hw_targets.costs.energy import EnergyRange

WITHOUT_IO = "without I/O"  # said of every time that leaves the host out
WITH_IO = "with the host's I/O"


def check_host(network: IntNetwork, chip: ChipSpec) -> None:
    """ConfigError where nothing is known of a host for *chip*, or of how it gives this input."""
    host = chip.host
    if not any(q.value for q in (host.spike_in, host.read_out, host.power_per_chip)):
        raise ConfigError(
            f"--host: chip {chip.name}",
            found="no figure of a host",
            allowed="a chip file with a section [host]",
            hint="--set host.spike_in=5400 takes a figure of yours, in ns",
        )
    if network.input_coding.as_bias:
        raise ConfigError(
            "--host",
            found="input that is given as a bias",
            allowed="input as spikes: host.spike_in is the price of one",
        )


def injection_us(chip: ChipSpec, spikes: IntArray, steps: int) -> FloatArray:
    """(steps,): how long the host takes for the input *spikes* (events, 2) of each step."""
    counts = np.bincount(spikes[:, 0], minlength=steps).astype(np.float64)
    found: FloatArray = counts * np.float64(chip.host.spike_in.value / 1e3)
    return found


def host_pj(chip: ChipSpec, chips: int, time_us: float) -> EnergyRange:
    """The processors of *chips* chips over *time_us*: 1 W for 1 us is 10^6 pJ."""
    power = chip.host.power_per_chip
    return EnergyRange(*(power.at(level) * chips * time_us * 1e6 for level in LEVELS))
