"""``strip``: SpikingNet -> FloatNetwork, the hand-over to calibration.

What the main readout does not depend on is left behind: a walk backwards through the graph finds
the stages to keep, whatever the others are called. Batch normalisation stays as a ``Norm`` and
average pooling as a ``pool`` on the projection; calibration folds them.
"""

import numpy as np
import torch
from torch import nn

from tssd.arrays import ByteArray
from tssd.contracts import check, require
from tssd.errors import NetworkError
from tssd.train.handover.compose import through
from tssd.train.handover.costs import connections
from tssd.train.handover.float_network import (
    AveragePool,
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    Norm,
    PopulationKind,
    ProjectionKind,
    Reset,
)
from tssd.train.networks.coding import to_current
from tssd.train.networks.network import READOUT, SpikingNet, Stage, StageLink, Unrolled, Unrolling

KNOWN = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.Identity)


def strip(
    net: Unrolled, example: ByteArray, time_steps: int, output: str = READOUT
) -> FloatNetwork:
    """The part of *net* that *output* depends on, as populations and projections.

    A network that was trained with few bits comes in the whole numbers of its integers.
    *example* is a batch of uint8 images (B, C, H, W): the logits with and without heads must be
    bit-equal on it (ContractError). Raises NetworkError for a layer that has no counterpart and
    for weights that are not finite, naming the module.
    """
    if not isinstance(net, SpikingNet):
        raise NetworkError(
            "strip",
            found="a user's module, which has no stages",
            allowed="a built-in network",
            hint="tssd export reads the module itself",
        )
    _check_layers(net)
    _check_heads_are_idle(net, example, time_steps, output)
    return net.in_integers(time_steps) or deployed(net, time_steps, output)


def deployed(net: SpikingNet, time_steps: int, output: str = READOUT) -> FloatNetwork:
    """The populations and projections that *output* depends on; relays become sums of
    projections."""
    populations = [_input(net)]
    into: dict[str, list[FloatProjection]] = {}
    relays = {spec.name for spec in net.specs if spec.relay}
    for name in net.reachable([output]):
        stage = net.stage(name)
        links = [_projection(net, stage, x) for x in stage.links if isinstance(x, StageLink)]
        into[name] = [part for link in links for part in through(into, relays, link)]
        if name not in relays:
            populations.append(_population(net, stage))
    kept = [projection for p in populations[1:] for projection in into[p.name]]
    return FloatNetwork(tuple(populations), tuple(kept), time_steps)


def reach(net: SpikingNet) -> dict[str, float]:
    """Connections out of each population of the deployed network."""
    network = deployed(net, 1)
    shapes = {p.name: p.shape for p in network.populations}
    found = dict.fromkeys(shapes, 0.0)
    for projection in network.projections:
        found[projection.source] += connections(projection, shapes[projection.source])
    return found


def _check_layers(net: SpikingNet) -> None:
    """Only known layers, only finite numbers."""
    for path, module in net.named_modules():
        structural = (SpikingNet, Stage, StageLink, nn.ModuleDict, nn.ModuleList)
        if not isinstance(module, (*KNOWN, *structural)):
            hint = "average pooling (StageSpec.pool)" if "Pool" in type(module).__name__ else None
            raise NetworkError(
                path,
                found=type(module).__name__,
                allowed=", ".join(kind.__name__ for kind in KNOWN),
                hint=hint,
            )
    for path, tensor in net.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise NetworkError(path, found="NaN or infinity", allowed="finite numbers")


def _check_heads_are_idle(net: SpikingNet, example: ByteArray, steps: int, output: str) -> None:
    was_training = net.training
    net.eval()
    run = Unrolling(len(example), steps)
    with torch.no_grad():
        whole = net.run(to_current(example), run, net.readouts)[output]
        alone = net.run(to_current(example), run, [output])[output]
    net.train(was_training)
    differing = int((whole != alone).sum())
    require([check("logits with and without heads", differing == 0, differing, 0, output)])


def _input(net: SpikingNet) -> FloatPopulation:
    none = np.zeros((1,) * len(net.input_shape))
    return FloatPopulation(
        "input", net.input_shape, PopulationKind.INPUT, Reset.NONE, none, none, none
    )


def _population(net: SpikingNet, stage: Stage) -> FloatPopulation:
    shape = net.shapes[stage.name]
    neuron = net.neuron
    learned = stage.decay
    decay = neuron.decay if learned is None else float(learned.detach())
    decay = decay if stage.spiking else 1.0
    ones = np.ones((1,) * len(shape))
    return FloatPopulation(
        stage.name,
        shape,
        PopulationKind.LIF if stage.spiking else PopulationKind.READOUT,
        neuron.reset if stage.spiking else Reset.NONE,
        ones * decay,
        ones * neuron.threshold,
        ones * 0.0,
    )


def _projection(net: SpikingNet, stage: Stage, link: StageLink) -> FloatProjection:
    weights = link.weights
    is_conv = isinstance(weights, nn.Conv2d)
    # Pooling by a, then by b, incomplete windows dropped, is pooling by a * b.
    pool = link.pool * (1 if link.source == "input" else net.stage(link.source).pool)
    average = AveragePool((pool, pool), (pool, pool)) if pool > 1 else None
    if isinstance(weights, nn.Identity):
        return _identity(net, stage, link, average)
    bias: torch.Tensor | nn.Module | None = weights.bias
    return FloatProjection(
        link.source,
        stage.name,
        ProjectionKind.CONV2D if is_conv else ProjectionKind.DENSE,
        _numbers(weights.weight),
        _numbers(bias) if bias is not None else None,
        stride=_pair(weights.stride) if is_conv else (1, 1),
        padding=_pair(weights.padding) if is_conv else (0, 0),
        dilation=_pair(weights.dilation) if is_conv else (1, 1),
        groups=_whole(weights.groups) if is_conv else 1,
        pool=average,
        norm=_norm(link),
    )


def _identity(
    net: SpikingNet, stage: Stage, link: StageLink, average: AveragePool | None
) -> FloatProjection:
    """A skip: one weight of 1 per channel (a depthwise 1 x 1 convolution), or the unit matrix."""
    shape = net.shapes[stage.name]
    is_image = len(shape) == 3
    weight = np.ones((shape[0], 1, 1, 1)) if is_image else np.eye(shape[0])
    kind = ProjectionKind.CONV2D if is_image else ProjectionKind.DENSE
    groups = shape[0] if is_image else 1
    return FloatProjection(link.source, stage.name, kind, weight, groups=groups, pool=average)


def _pair(value: object) -> tuple[int, int]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise NetworkError("convolution", found=f"geometry {value!r}", allowed="two whole numbers")
    return int(value[0]), int(value[1])


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise NetworkError("convolution", found=f"{value!r}", allowed="a whole number")
    return value


def _norm(link: StageLink) -> Norm | None:
    norm = link.norm
    if norm is None:
        return None
    if norm.running_mean is None or norm.running_var is None:
        raise NetworkError("batch normalisation", found="no running statistics")
    return Norm(
        _numbers(norm.running_mean),
        _numbers(norm.running_var),
        _numbers(norm.weight),
        _numbers(norm.bias),
        norm.eps,
    )


def _numbers(tensor: torch.Tensor | nn.Module) -> FloatArray:
    if isinstance(tensor, nn.Module):
        raise NetworkError("weights", found=type(tensor).__name__, allowed="Tensor")
    return np.ascontiguousarray(tensor.detach().cpu().double().numpy())
