"""The built-in models as stage lists, and how a weak classifier is put on one of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from tssd.config import unknown_name
from tssd.train.config import TrainConfig, WeakDesign
from tssd.train.networks.network import READOUT, SpikingNet
from tssd.train.networks.neuron import NeuronModel
from tssd.train.networks.pruning import pruned_specs, widths_in
from tssd.train.networks.stages import LinkSpec, StageSpec

if TYPE_CHECKING:
    from tssd.train.networks.user_module import UserNet

WEAK = "weak"
Stages = tuple[StageSpec, ...]


def conv(name: str, width: int, source: str, *, pool: int = 1, norm: bool = False) -> StageSpec:
    """A spiking 3 x 3 convolution."""
    return StageSpec(name, width, (LinkSpec(source, 3, norm=norm),), pool)


def relay(name: str, width: int, *links: LinkSpec) -> StageSpec:
    """A residual sum, without neurons."""
    return StageSpec(name, width, links, spiking=False, relay=True)


def dense(name: str, width: int, source: str, *, norm: bool = False) -> StageSpec:
    """A spiking dense layer."""
    return StageSpec(name, width, (LinkSpec(source, 0, norm=norm),))


def readout(name: str, classes: int, source: str, *, pool: int = 1) -> StageSpec:
    """A linear map without neurons; the mean of its output over the steps is the logit."""
    return StageSpec(name, classes, (LinkSpec(source, 0, pool=pool),), spiking=False)


@dataclass(frozen=True)
class ModelPlan:
    """What a model is built for: ``wide`` scales its channel counts, ``deep`` its groups."""

    input_shape: tuple[int, ...]
    classes: int
    width: float = 1.0
    depth: float = 1.0

    def wide(self, channels: int) -> int:
        return max(1, round(channels * self.width))

    def deep(self, count: int) -> int:
        """So many convolutions or blocks of a group of *count*."""
        return max(1, round(count * self.depth))

    def rows_after(self, halvings: int) -> int:
        """The image's height after so many convolutions of stride 2."""
        rows = self.input_shape[-2]
        for _ in range(halvings):
            rows = (rows + 1) // 2
        return rows


def vgg(plan: ModelPlan, groups: Sequence[Sequence[int]], hidden: int, *, norm: bool) -> Stages:
    """Groups of 3 x 3 convolutions, a 2 x 2 average pooling after each, at most one dense layer."""
    stages: list[StageSpec] = []
    source = "input"
    for widths in groups:
        count = plan.deep(len(widths))
        for index in range(count):
            width = widths[min(index, len(widths) - 1)]
            name = f"conv{len(stages) + 1}"
            pool = 2 if index == count - 1 else 1
            stages.append(conv(name, plan.wide(width), source, pool=pool, norm=norm))
            source = name
    if hidden:
        stages.append(dense("fc1", plan.wide(hidden), source, norm=norm))
        source = "fc1"
    return (*stages, readout(READOUT, plan.classes, source))


def tiny(plan: ModelPlan) -> Stages:
    """16C3-AP2-32C3-AP2-FC128-classes, without batch normalisation."""
    return vgg(plan, ((16,), (32,)), 128, norm=False)


def vgg_small(plan: ModelPlan) -> Stages:
    """32C3-32C3-AP2-64C3-64C3-AP2-128C3-AP2-classes with batch normalisation."""
    return vgg(plan, ((32, 32), (64, 64), (128,)), 0, norm=True)


def vgg9(plan: ModelPlan) -> Stages:
    """64C3x2-AP2-128C3x2-AP2-256C3x3-AP2-FC512-classes, normalised; the channel list is *ours*."""
    return vgg(plan, ((64, 64), (128, 128), (256, 256, 256)), 512, norm=True)


def resnet(plan: ModelPlan, blocks: Sequence[tuple[int, int]], hidden: int) -> Stages:
    """A stem and residual blocks of two convolutions; *blocks* is (width, count) per group.

    The second convolution of a block and its skip drive the same neurons: spikes as they are,
    or a 1 x 1 convolution where the shape changes. Each group after the first halves the image.
    """
    stages = [conv("stem", plan.wide(blocks[0][0]), "input", norm=True)]
    for group, (width, count) in enumerate(blocks):
        for block in range(plan.deep(count)):
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


def resnet18(plan: ModelPlan) -> Stages:
    """Groups of 64, 128, 256, 512 channels, two blocks each, for images of 28 x 28 and more."""
    return resnet(plan, ((64, 2), (128, 2), (256, 2), (512, 2)), 0)


def resnet19(plan: ModelPlan) -> Stages:
    """Groups of 128 (3 blocks), 256 (3), 512 (2) and FC256, after arXiv 2011.05280."""
    return resnet(plan, ((128, 3), (256, 3), (512, 2)), 256)


def ms_resnet18(plan: ModelPlan) -> Stages:
    """Membrane shortcuts (arXiv 2112.08954): 64, 128, 256, 512 channels, two blocks each.

    The residual sum is of currents: each block is neurons, convolution, neurons, convolution, and
    a last population fires before the readout. A 1 x 1 convolution where the shape changes. The
    sum begins with the spikes of the stem (*ours*; the paper's with its current): a pixel is 0 to
    255, so in integers the image's current is 255 times finer than what spikes add to it.
    """
    groups = ((64, 2), (128, 2), (256, 2), (512, 2))
    width = plan.wide(64)
    stages = [conv("stem", width, "input", norm=True)]
    for group, (channels, count) in enumerate(groups):
        for block in range(plan.deep(count)):
            stride = 2 if group and not block else 1
            source, before, width = stages[-1].name, width, plan.wide(channels)
            name = f"g{group + 1}b{block + 1}"
            changes = stride > 1 or before != width
            skip = LinkSpec(source, 1, stride, norm=True) if changes else _skip(source)
            stages += [
                StageSpec(f"{name}n1", before, (_skip(source),)),
                StageSpec(f"{name}n2", width, (LinkSpec(f"{name}n1", 3, stride, norm=True),)),
                relay(name, width, LinkSpec(f"{name}n2", 3, norm=True), skip),
            ]
    pool = plan.rows_after(len(groups) - 1)
    stages.append(StageSpec("last", width, (_skip(stages[-1].name),), pool))
    return (*stages, readout(READOUT, plan.classes, "last"))


def sew_resnet34(plan: ModelPlan) -> Stages:
    """Spike-element-wise ADD (arXiv 2102.04159), 64, 128, 256, 512 channels, (3, 4, 6, 3) blocks.

    For ImageNet: a 7 x 7 stem of stride 2 and pooling, which is 2 x 2 averaging here as maximum
    pooling has no counterpart on the chip (*ours*). A block's output is the sum of its spikes and
    its shortcut's: 0, 1, 2, ...
    """
    groups = ((64, 3), (128, 4), (256, 6), (512, 3))
    width = plan.wide(64)
    stages = [StageSpec("stem", width, (LinkSpec("input", 7, 2, norm=True),), pool=2)]
    for group, (channels, count) in enumerate(groups):
        for block in range(plan.deep(count)):
            stride = 2 if group and not block else 1
            source, before, width = stages[-1].name, width, plan.wide(channels)
            name = f"g{group + 1}b{block + 1}"
            stages += [
                StageSpec(f"{name}c1", width, (LinkSpec(source, 3, stride, norm=True),)),
                conv(f"{name}c2", width, f"{name}c1", norm=True),
            ]
            shortcut = source
            if stride > 1 or before != width:
                shortcut = f"{name}s"
                stages.append(StageSpec(shortcut, width, (LinkSpec(source, 1, stride, norm=True),)))
            stages.append(relay(name, width, _skip(f"{name}c2"), _skip(shortcut)))
    rows = plan.rows_after(1) // 2
    for _ in range(len(groups) - 1):
        rows = (rows + 1) // 2
    return (*stages, readout(READOUT, plan.classes, stages[-1].name, pool=max(rows, 1)))


MODELS: dict[str, Callable[[ModelPlan], Stages]] = {
    "tiny": tiny,
    "vgg-small": vgg_small,
    "vgg-9": vgg9,
    "resnet-18": resnet18,
    "resnet-19": resnet19,
    "ms-resnet-18": ms_resnet18,
    "sew-resnet-34": sew_resnet34,
}
# Where the weak classifier goes by default; the middle stage of the others.
MIDDLE = {"tiny": "conv1", "vgg-small": "conv4"}


def with_weak_classifier(
    stages: Stages, stage: str, classes: int, design: WeakDesign, pool: int, suffix: str = ""
) -> Stages:
    """*stages* and a weak readout on the spikes of *stage*."""
    spiking = {spec.name: spec for spec in stages if spec.spiking}
    if stage not in spiking:
        raise unknown_name("training: weak_stage", f"stage {stage!r}", stage, spiking)
    weak, extra = WEAK + suffix, f"weak_conv{suffix}"
    if design is WeakDesign.POOL_LINEAR:
        return (*stages, readout(weak, classes, stage, pool=pool))
    norm = spiking[stage].links[0].norm
    added = conv(extra, spiking[stage].width, stage, pool=pool, norm=norm)
    return (*stages, added, readout(weak, classes, extra))


def build(
    config: TrainConfig, input_shape: tuple[int, ...], classes: int
) -> "SpikingNet | UserNet":
    """The network of *config*, initialised from its seed; ``pkg.module:build`` is a user's."""
    if ":" in config.model:
        return build_users(config, input_shape, classes)
    return build_stages(config, input_shape, classes)


def build_stages(config: TrainConfig, input_shape: tuple[int, ...], classes: int) -> SpikingNet:
    """A built-in network."""
    if config.model not in MODELS:
        raise unknown_name("training: model", f"model {config.model!r}", config.model, MODELS)
    stages = MODELS[config.model](ModelPlan(input_shape, classes, config.width, config.depth))
    stages = pruned_specs(stages, widths_in(config.channels))
    neuron = neuron_of(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        plain = SpikingNet(stages, input_shape, neuron, config.learn_leak)
        if not config.method.spatial:
            return plain
        stages = _with_heads(stages, plain.emitted_shapes(), classes, config)
        torch.manual_seed(config.seed)  # the trunk begins with the weights it has without heads
        return SpikingNet(stages, input_shape, neuron, config.learn_leak)


def neuron_of(config: TrainConfig) -> NeuronModel:
    """The neuron that the built-in networks of *config* share."""
    return NeuronModel(
        config.decay,
        config.threshold,
        config.surrogate_width,
        config.reset,
        config.detach_reset,
        config.surrogate,
    )


def build_users(config: TrainConfig, input_shape: tuple[int, ...], classes: int) -> "UserNet":
    """What a user's function returns, made trainable."""
    from tssd.train.networks.user_module import UserNet, build_module

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return UserNet(build_module(config.model), input_shape, classes)


def _with_heads(
    stages: Stages, shapes: dict[str, tuple[int, ...]], classes: int, config: TrainConfig
) -> Stages:
    """A weak classifier on every stage that ``weak_stage`` names, or on the middle one."""
    names = [spec.name for spec in stages if spec.spiking]
    middle = MIDDLE.get(config.model, "")
    middle = middle if middle in names else names[len(names) // 2]
    places = [name.strip() for name in config.weak_stage.split(",") if name.strip()] or [middle]
    for index, place in enumerate(places):
        shape = shapes.get(place, ())
        pool = 2 if len(shape) == 3 and min(shape[1:]) >= 2 else 1
        design = WeakDesign.POOL_LINEAR if len(shape) == 1 else config.weak_design
        suffix = str(index + 1) if index else ""
        stages = with_weak_classifier(stages, place, classes, design, pool, suffix)
    return stages
