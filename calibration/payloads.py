"""How large the values can be that populations send."""

from typing import assert_never

from tssd.calibration.int_network import IntNetwork, PopulationKind
from tssd.calibration.layer import worst_activation


def payload_bounds(network: IntNetwork) -> dict[str, int]:
    """The largest payload each population can send."""
    bounds: dict[str, int] = {}
    for population in network.populations:
        match population.kind:
            case PopulationKind.INPUT:
                bounds[population.name] = network.input_max
            case PopulationKind.RELAY:
                incoming = network.incoming(population.name)
                bounds[population.name] = worst_activation(
                    incoming, [j.weight for j in incoming], [bounds[j.source] for j in incoming]
                )
            case PopulationKind.LIF | PopulationKind.READOUT:
                bounds[population.name] = 1
            case _:
                assert_never(population.kind)
    return bounds
