"""What an integer network's values can reach: interval bounds that pick exact ONNX types.

Every interval holds zero, and a sum's bounds add its negative and its positive terms apart, so
each partial sum, in whatever order it is taken, lies in the interval too.
"""

from dataclasses import dataclass

import numpy as np

from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    Projection,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT, IntArray
from tssd.errors import NetworkError
from tssd.train.handover.geometry import rows

EXACT_FLOAT32 = 1 << 24  # every integer up to here is a float32
EXACT_FLOAT64 = 1 << 53
INT32_LIMIT = 1 << 31


@dataclass(frozen=True)
class Interval:
    """low <= 0 <= high."""

    low: int
    high: int

    @property
    def size(self) -> int:
        return max(-self.low, self.high)

    def plus(self, other: "Interval") -> "Interval":
        return Interval(self.low + other.low, self.high + other.high)

    def shifted(self, exponent: int) -> "Interval":
        if exponent >= 0:
            return Interval(self.low << exponent, self.high << exponent)
        return Interval(self.low >> -exponent, self.high >> -exponent)


ZERO, STATE = Interval(0, 0), Interval(-STATE_LIMIT, STATE_LIMIT)


class OnnxRange:
    """Bounds from the weights and the input range alone."""

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.payload: dict[str, Interval] = {}
        for p in network.populations:
            self.payload[p.name] = Interval(0, 1) if p.kind.fires else ZERO
        if not network.input_coding.as_bias:
            self.payload[network.source.name] = Interval(0, network.input_max)
        for p in network.populations:
            if p.kind.relays:
                self._refuse_relay_loop(p)
                self.payload[p.name] = self.activation(p)

    def _refuse_relay_loop(self, p: Population) -> None:
        for j in self.network.incoming(p.name):
            source = self.network.population(j.source)
            if self.network.is_recurrent(j) and source.kind.relays:
                raise NetworkError(
                    f"projection {j.name}",
                    found="a loop through relay populations, whose payload has no bound",
                    allowed="recurrence through LIF populations",
                )

    def raw(self, j: Projection) -> Interval:
        """Sums before the 24-bit wrap and the weight exponent, over all outputs."""
        payload = self.payload[j.source]
        met = rows(j)
        up, down = np.maximum(met, 0), np.minimum(met, 0)
        return Interval(
            (up * payload.low + down * payload.high).sum(axis=-1).min(initial=0).item(),
            (up * payload.high + down * payload.low).sum(axis=-1).max(initial=0).item(),
        )

    def wraps(self, j: Projection) -> bool:
        """A convolution's sum is 24 bits wide; a dense one's is not limited."""
        return j.kind.spatial and self.raw(j).size >= STATE_LIMIT

    def delivered(self, j: Projection) -> Interval:
        return (STATE if self.wraps(j) else self.raw(j)).shifted(j.weight_exp)

    def activation(self, p: Population) -> Interval:
        total = ZERO
        for j in self.network.incoming(p.name):
            total = total.plus(self.delivered(j))
        return total

    def dtype(self, p: Population) -> str:
        """Type of a population's output."""
        bound = self.payload[p.name].size
        if not p.kind.has_state and bound > 255:
            return "int32" if bound < INT32_LIMIT else "int64"
        return "int32" if p.kind.relays else "uint8"

    def drive(self, p: Population) -> int:
        """Largest |a << 6|."""
        return self.activation(p).size * UNIT

    def current_wraps(self, p: Population) -> bool:
        """Whether u can leave (-2**23, 2**23): a geometric series where there is memory."""
        return _settled(self.drive(p), p.du) >= STATE_LIMIT

    def current(self, p: Population) -> int:
        """Largest |u|. One conditional turn keeps |u| <= 2**23 while the drive is below 2**24."""
        if not self.current_wraps(p):
            return _settled(self.drive(p), p.du)
        drive = self.drive(p)
        if drive <= 2 * STATE_LIMIT or np.all(p.du == DECAY_ONE):
            return max(STATE_LIMIT, drive - 2 * STATE_LIMIT)
        return drive + STATE_LIMIT * DECAY_ONE

    def bias(self, p: Population) -> int:
        largest = int(np.abs(p.bias).max(initial=0))
        if p is self.network.source:
            largest = max(largest, self.network.input_max << max(p.bias_exp, 0))
        return largest

    def voltage_clips(self, p: Population) -> bool:
        """Whether |v| can reach 2**23 - 1; a reset that lifts v adds to it in every step."""
        return p.lifted > 0 or self._voltage(p) >= STATE_LIMIT - 1

    def _voltage(self, p: Population) -> int:
        """Largest |v| of a step: what is below zero after a reset only decays from there."""
        return max(_settled(self.current(p) + self.bias(p), p.dv), p.sunk)

    def state(self, p: Population, label: str) -> int:
        """Largest |u| or |v| that a step leaves behind."""
        if label == "u":
            return self.current(p)
        if self.voltage_clips(p):
            return max(STATE_LIMIT + p.lifted, p.sunk)
        return self._voltage(p)

    def carrier(self, p: Population) -> str:
        """float32 where every value and product of a step is exact in it, else float64."""
        if not p.has_state:
            return _carrier(self.activation(p).size, p)
        u, v, bias = self.state(p, "u"), self.state(p, "v"), self.bias(p)
        parts = [self.drive(p) + _kept(u, p.du), u + _kept(v, p.dv) + bias, v]
        for bound, decay in ((u, p.du), (v, p.dv)):
            small, divisor = fraction(decay)
            if divisor > 1:
                parts.append(bound * int(small.max(initial=0)))
        return _carrier(max(parts), p)

    def state_dtype(self, p: Population) -> str:
        """int32 where every sum of a step stays below 2**31, else int64."""
        levels = UNIT * sum(int(np.abs(x).max(initial=0)) for x in p.levels.values())
        worst = self.drive(p) + self.current(p) + 3 * STATE_LIMIT + self.bias(p) + levels
        return "int32" if worst < INT32_LIMIT else "int64"


def fraction(decay: IntArray) -> tuple[IntArray, int]:
    """(4096 - decay) / 4096 as multipliers over one common divisor, in lowest terms."""
    multiplier = DECAY_ONE - decay
    common = int(np.gcd.reduce(multiplier.reshape(-1), initial=DECAY_ONE))
    return multiplier // common, DECAY_ONE // common


def _kept(bound: int, decay: IntArray) -> int:
    """Bound of tz(x * (4096 - decay) / 4096) for |x| <= bound."""
    return bound * (DECAY_ONE - int(decay.min(initial=DECAY_ONE))) // DECAY_ONE


def _carrier(largest: int, p: Population) -> str:
    if largest >= EXACT_FLOAT64:
        raise NetworkError(
            f"population {p.name}",
            found=f"sums of up to {largest}: no exact float64 sum",
            allowed=f"< {EXACT_FLOAT64}",
            hint="lower the weights, the weight exponents or input_max",
        )
    return "float32" if largest <= EXACT_FLOAT32 else "float64"


def _settled(drive: int, decay: IntArray) -> int:
    """Bound of x[t] = tz(x[t-1] (4096 - d) / 4096) + drive: drive * 4096 / d, for the least d."""
    least = int(decay.min(initial=DECAY_ONE))
    return -(-drive * DECAY_ONE // least) if least > 0 else (INT32_LIMIT if drive else 0)
