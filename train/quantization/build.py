"""The network that a configuration trains: in float, or with its ``bits``."""

from tssd.errors import NetworkError
from tssd.train.config import TrainConfig
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.networks import models
from tssd.train.networks.network import READOUT, SpikingNet
from tssd.train.networks.user_module import UserNet
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.network import QuantizedNet
from tssd.train.quantization.stage import is_plain
from tssd.train.quantization.widths import chip_of

Net = SpikingNet | UserNet | QuantizedGraph


def build(
    config: TrainConfig,
    input_shape: tuple[int, ...],
    classes: int,
    graph: FloatNetwork | None = None,
) -> Net:
    """The network of *config*, initialised from its seed; with ``bits`` and a *graph* that float
    network, to be trained on."""
    if graph is not None:
        return QuantizedGraph(graph, config.bits, chip_of(config), models.neuron_of(config))
    if not config.bits:
        return models.build(config, input_shape, classes)
    if ":" in config.model:
        raise _needs_a_float_run(config, "a module of your own")
    net = models.build_stages(config, input_shape, classes)
    if not stage_by_stage(net):
        raise _needs_a_float_run(config, "a network with several projections into one population")
    made = QuantizedNet(
        net.specs, input_shape, net.neuron, config.learn_leak, config.bits, chip_of(config)
    )
    made.load_state_dict(made.state_dict() | net.state_dict())
    return made


def stage_by_stage(net: SpikingNet) -> bool:
    """Whether ``QuantizedNet`` takes *net*: one convolution or dense layer into each stage."""
    return all(is_plain(net.stage(name)) for name in net.reachable([READOUT]))


def _needs_a_float_run(config: TrainConfig, what: str) -> NetworkError:
    return NetworkError(
        "training: bits",
        found=f"{config.bits!r} from the first step on, with {what}",
        allowed="a built-in network of one projection into each population, or bits after float",
        hint="train in float, then: tssd calibrate RUN --bits 4",
    )
