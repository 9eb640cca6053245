"""Do the shapes of a projection fit its populations? Asked of every file before it is believed."""

from tssd.calibration.int_network import IntNetwork
from tssd.train.handover.geometry import check_shapes


def check_projections(network: IntNetwork) -> None:
    """NetworkError names the first projection whose weights do not fit source and target."""
    for projection in network.projections:
        source = network.population(projection.source)
        check_shapes(projection, source.shape, network.population(projection.target).shape)
