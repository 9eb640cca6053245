"""What an integer network's values can reach: interval bounds that pick exact ONNX types."""

import numpy as np

from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
)
from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, UNIT
from tssd.errors import NetworkError

EXACT_FLOAT32 = 1 << 24  # every integer up to here is a float32
INT32_LIMIT = 1 << 31


class Range:
    """Bounds of magnitudes, from the weights and the input range alone."""

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.payload: dict[str, int] = {}
        for p in network.populations:
            self.payload[p.name] = 1 if p.kind is PopulationKind.LIF else 0
        self.payload[network.source.name] = (
            1 if network.input_coding is InputCoding.BIAS else network.input_max
        )
        for p in network.populations:
            if p.kind is PopulationKind.RELAY:
                self._refuse_relay_loop(p)
                self.payload[p.name] = self.activation(p)

    def _refuse_relay_loop(self, p: Population) -> None:
        for j in self.network.incoming(p.name):
            source = self.network.population(j.source)
            if self.network.is_recurrent(j) and source.kind is PopulationKind.RELAY:
                raise NetworkError(
                    f"projection {j.name}",
                    found="a loop through relay populations, whose payload has no bound",
                    allowed="recurrence through LIF populations",
                )

    def raw(self, projection: Projection) -> int:
        """Largest sum before the weight exponent: max over outputs of sum |w| times payload."""
        weight = np.abs(projection.weight).reshape(len(projection.weight), -1)
        return int(weight.sum(axis=1).max(initial=0)) * self.payload[projection.source]

    def wraps(self, projection: Projection) -> bool:
        """A convolution's sum is 24 bits wide; a dense one's is not limited."""
        return projection.kind is not ProjectionKind.DENSE and self.raw(projection) >= STATE_LIMIT

    def delivered(self, projection: Projection) -> int:
        raw = STATE_LIMIT if self.wraps(projection) else self.raw(projection)
        e = projection.weight_exp
        return raw << e if e >= 0 else (raw >> -e) + 1

    def activation(self, p: Population) -> int:
        return sum(self.delivered(j) for j in self.network.incoming(p.name))

    def dtype(self, p: Population) -> str:
        """Type of a population's output."""
        bound = self.payload[p.name]
        if p.kind in (PopulationKind.RELAY, PopulationKind.INPUT) and bound > 255:
            return "int32" if bound < INT32_LIMIT else "int64"
        return "int32" if p.kind is PopulationKind.RELAY else "uint8"

    def current(self, p: Population) -> int:
        """Largest |u|. One conditional turn keeps |u| <= 2**23 while the drive is below 2**24."""
        drive = self.activation(p) * UNIT
        if np.all(p.du == DECAY_ONE):
            return drive
        return STATE_LIMIT if drive <= 2 * STATE_LIMIT else drive + STATE_LIMIT * DECAY_ONE

    def bias(self, p: Population) -> int:
        largest = int(np.abs(p.bias).max(initial=0))
        if p is self.network.source:
            largest = max(largest, self.network.input_max << max(p.bias_exp, 0))
        return largest

    def state_dtype(self, p: Population) -> str:
        """int32 where every sum of a step stays below 2**31, else int64."""
        drive = self.activation(p) * UNIT
        threshold = int(np.abs(p.vth).max(initial=0)) * UNIT
        worst = drive + self.current(p) + 2 * STATE_LIMIT + self.bias(p) + threshold
        return "int32" if worst < INT32_LIMIT else "int64"
