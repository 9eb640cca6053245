"""The built-in models as stage lists, and how a weak classifier is put on one of them."""

from collections.abc import Callable

import torch

from tssd.config import unknown_name
from tssd.train.config import TrainConfig, WeakDesign
from tssd.train.network import READOUT, LinkSpec, SpikingNet, StageSpec
from tssd.train.neuron import NeuronModel

WEAK = "weak"
Stages = tuple[StageSpec, ...]


def conv(name: str, width: int, source: str, *, pool: int = 1, norm: bool = False) -> StageSpec:
    """A spiking 3 x 3 convolution."""
    return StageSpec(name, width, (LinkSpec(source, 3, norm=norm),), pool)


def dense(name: str, width: int, source: str) -> StageSpec:
    """A spiking dense layer."""
    return StageSpec(name, width, (LinkSpec(source, 0),))


def readout(name: str, classes: int, source: str, *, pool: int = 1) -> StageSpec:
    """A linear map without neurons; the mean of its output over the steps is the logit."""
    return StageSpec(name, classes, (LinkSpec(source, 0, pool=pool),), spiking=False)


def tiny(classes: int) -> Stages:
    """16C3-AP2-32C3-AP2-FC128-classes, without batch normalisation."""
    return (
        conv("conv1", 16, "input", pool=2),
        conv("conv2", 32, "conv1", pool=2),
        dense("fc1", 128, "conv2"),
        readout(READOUT, classes, "fc1"),
    )


def vgg_small(classes: int) -> Stages:
    """32C3-32C3-AP2-64C3-64C3-AP2-128C3-AP2-classes with batch normalisation."""
    return (
        conv("conv1", 32, "input", norm=True),
        conv("conv2", 32, "conv1", pool=2, norm=True),
        conv("conv3", 64, "conv2", norm=True),
        conv("conv4", 64, "conv3", pool=2, norm=True),
        conv("conv5", 128, "conv4", pool=2, norm=True),
        readout(READOUT, classes, "conv5"),
    )


MODELS: dict[str, Callable[[int], Stages]] = {"tiny": tiny, "vgg-small": vgg_small}
MIDDLE = {"tiny": "conv1", "vgg-small": "conv4"}  # where the weak classifier goes by default


def with_weak_classifier(
    stages: Stages, stage: str, classes: int, design: WeakDesign, pool: int
) -> Stages:
    """*stages* and a weak readout on the spikes of *stage*."""
    spiking = {spec.name: spec for spec in stages if spec.spiking}
    if stage not in spiking:
        raise unknown_name("training: weak_stage", f"stage {stage!r}", stage, spiking)
    if design is WeakDesign.POOL_LINEAR:
        return (*stages, readout(WEAK, classes, stage, pool=pool))
    norm = spiking[stage].links[0].norm
    extra = conv("weak_conv", spiking[stage].width, stage, pool=pool, norm=norm)
    return (*stages, extra, readout(WEAK, classes, "weak_conv"))


def build(config: TrainConfig, input_shape: tuple[int, ...], classes: int) -> SpikingNet:
    """The network of *config*, freshly initialised from its seed."""
    if config.model not in MODELS:
        raise unknown_name("training: model", f"model {config.model!r}", config.model, MODELS)
    stages = MODELS[config.model](classes)
    neuron = NeuronModel(
        config.decay,
        config.threshold,
        config.surrogate_width,
        config.reset,
        config.detach_reset,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        plain = SpikingNet(stages, input_shape, neuron)
        if not config.method.spatial:
            return plain
        place = config.weak_stage or MIDDLE[config.model]
        shape = plain.emitted_shapes().get(place, ())
        pool = 2 if len(shape) == 3 and min(shape[1:]) >= 2 else 1
        design = WeakDesign.POOL_LINEAR if len(shape) == 1 else config.weak_design
        return SpikingNet(
            with_weak_classifier(stages, place, classes, design, pool), input_shape, neuron
        )
