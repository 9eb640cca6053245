"""The steady state a few samples at a time: what is held does not grow with their number.

Samples run back to back, again and again; chip step t of this ring stands for t, t + round,
t + 2 round, ... No step fills or drains the pipeline. A stretch of the ring needs its own samples
and the few before it that are still in the chip, the first one the last samples of all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tssd.calibration.encode import Inputs
from tssd.calibration.int_network import interval
from tssd.hw_targets.sim.functional import Progress, SampleEvents, simulate
from tssd.hw_targets.sim.program import Program
from tssd.hw_targets.sim.record import SpikeRecord, cut, reach, ring_part

SAMPLES = 32  # held at once

Samples = list[dict[str, SampleEvents]]


@dataclass(frozen=True, eq=False)
class Ring:
    """The samples of ``inputs`` in the steady state."""

    program: Program
    inputs: Inputs

    @property
    def steps(self) -> int:
        """Chip steps of one round."""
        return self.inputs.samples * interval(self.program.network)

    def parts(self, progress: Progress | None = None) -> Iterator[tuple[Samples, SpikeRecord]]:
        """All samples in order, a few at a time, each with its stretch of the ring."""
        network, near = self.program.network, reach(self.program.network)
        before = self._samples(range(-near, 0))
        for _, given in self.inputs.batches(SAMPLES):
            samples = simulate(self.program, given, progress)
            yield samples, ring_part(network, before + samples, near)
            before = (before + samples)[len(samples) :]

    def record(self, steps: range) -> SpikeRecord:
        """Some steps of the ring; their samples are run again."""
        network, apart = self.program.network, interval(self.program.network)
        first, near = steps.start // apart, reach(self.program.network)
        samples = self._samples(range(first - near, -(-steps.stop // apart)))
        begin = first * apart
        return cut(
            ring_part(network, samples, near), range(steps.start - begin, steps.stop - begin)
        )

    def _samples(self, numbers: range) -> Samples:
        """Samples by number, which goes round."""
        at = [number % self.inputs.samples for number in numbers]
        return [simulate(self.program, self.inputs.part(n, n + 1))[0] for n in at]
