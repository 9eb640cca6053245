"""The built-in models as stage lists, and how a weak classifier is put on one of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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


def dense(name: str, width: int, source: str, *, norm: bool = False) -> StageSpec:
    """A spiking dense layer."""
    return StageSpec(name, width, (LinkSpec(source, 0, norm=norm),))


def readout(name: str, classes: int, source: str, *, pool: int = 1) -> StageSpec:
    """A linear map without neurons; the mean of its output over the steps is the logit."""
    return StageSpec(name, classes, (LinkSpec(source, 0, pool=pool),), spiking=False)


@dataclass(frozen=True)
class Plan:
    """What a model is built for; ``wide`` scales its channel counts."""

    input_shape: tuple[int, ...]
    classes: int
    width: float = 1.0

    def wide(self, channels: int) -> int:
        return max(1, round(channels * self.width))

    def rows_after(self, halvings: int) -> int:
        """The image's height after so many convolutions of stride 2."""
        rows = self.input_shape[-2]
        for _ in range(halvings):
            rows = (rows + 1) // 2
        return rows


def vgg(plan: Plan, groups: Sequence[Sequence[int]], hidden: int, *, norm: bool) -> Stages:
    """Groups of 3 x 3 convolutions, a 2 x 2 average pooling after each, at most one dense layer."""
    stages: list[StageSpec] = []
    source = "input"
    for widths in groups:
        for index, width in enumerate(widths):
            name = f"conv{len(stages) + 1}"
            pool = 2 if index == len(widths) - 1 else 1
            stages.append(conv(name, plan.wide(width), source, pool=pool, norm=norm))
            source = name
    if hidden:
        stages.append(dense("fc1", plan.wide(hidden), source, norm=norm))
        source = "fc1"
    return (*stages, readout(READOUT, plan.classes, source))


def tiny(plan: Plan) -> Stages:
    """16C3-AP2-32C3-AP2-FC128-classes, without batch normalisation."""
    return vgg(plan, ((16,), (32,)), 128, norm=False)


def vgg_small(plan: Plan) -> Stages:
    """32C3-32C3-AP2-64C3-64C3-AP2-128C3-AP2-classes with batch normalisation."""
    return vgg(plan, ((32, 32), (64, 64), (128,)), 0, norm=True)


def vgg9(plan: Plan) -> Stages:
    """64C3x2-AP2-128C3x2-AP2-256C3x3-AP2-FC512-classes, normalised; the channel list is *ours*."""
    return vgg(plan, ((64, 64), (128, 128), (256, 256, 256)), 512, norm=True)


def resnet(plan: Plan, blocks: Sequence[tuple[int, int]], hidden: int) -> Stages:
    """A stem and residual blocks of two convolutions; *blocks* is (width, count) per group.

    The second convolution of a block and its skip drive the same neurons: spikes as they are,
    or a 1 x 1 convolution where the shape changes. Each group after the first halves the image.
    """
    stages = [conv("stem", plan.wide(blocks[0][0]), "input", norm=True)]
    for group, (width, count) in enumerate(blocks):
        for block in range(count):
            stride = 2 if group and not block else 1
            stages += _block(f"g{group + 1}b{block + 1}", plan.wide(width), stages[-1], stride)
    stages[-1] = replace(stages[-1], pool=plan.rows_after(len(blocks) - 1))
    source = stages[-1].name
    if hidden:
        stages.append(dense("fc1", plan.wide(hidden), source, norm=True))
        source = "fc1"
    return (*stages, readout(READOUT, plan.classes, source))


def _block(name: str, width: int, source: StageSpec, stride: int) -> list[StageSpec]:
    changes = stride > 1 or width != source.width
    skip = LinkSpec(source.name, 1, stride, norm=True) if changes else _skip(source.name)
    first = StageSpec(f"{name}c1", width, (LinkSpec(source.name, 3, stride, norm=True),))
    second = StageSpec(f"{name}c2", width, (LinkSpec(first.name, 3, norm=True), skip))
    return [first, second]


def _skip(source: str) -> LinkSpec:
    return LinkSpec(source, identity=True)


def resnet18(plan: Plan) -> Stages:
    """Groups of 64, 128, 256, 512 channels, two blocks each, for images of 28 x 28 and more."""
    return resnet(plan, ((64, 2), (128, 2), (256, 2), (512, 2)), 0)


def resnet19(plan: Plan) -> Stages:
    """Groups of 128 (3 blocks), 256 (3), 512 (2) and FC256, after arXiv 2011.05280."""
    return resnet(plan, ((128, 3), (256, 3), (512, 2)), 256)


MODELS: dict[str, Callable[[Plan], Stages]] = {
    "tiny": tiny,
    "vgg-small": vgg_small,
    "vgg-9": vgg9,
    "resnet-18": resnet18,
    "resnet-19": resnet19,
}
# Where the weak classifier goes by default; the middle stage of the others.
MIDDLE = {"tiny": "conv1", "vgg-small": "conv4"}


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
    stages = MODELS[config.model](Plan(input_shape, classes, config.width))
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
        names = [spec.name for spec in stages if spec.spiking]
        place = config.weak_stage or MIDDLE.get(config.model, names[len(names) // 2])
        shape = plain.emitted_shapes().get(place, ())
        pool = 2 if len(shape) == 3 and min(shape[1:]) >= 2 else 1
        design = WeakDesign.POOL_LINEAR if len(shape) == 1 else config.weak_design
        return SpikingNet(
            with_weak_classifier(stages, place, classes, design, pool), input_shape, neuron
        )
