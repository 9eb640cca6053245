"""Structured pruning of a trained run: which channels go, and what that frees on a chip.

A channel's score is how much it moves those that read it on the samples,

    score[c] = |x_c| |W_c|      |x_c|: root of its spikes, |W_c|: norm of the weights that read it

with normalisation folded into W: Wanda's measure (arXiv 2306.11695) summed over a channel
(*ours*). In every layer the best ones stay. The smaller run is a run as any: ``calibrate`` and
``train --start-from`` go on with it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.arrays import FloatArray, IntArray
from tssd.atomic import write_bytes
from tssd.budget.channels import Kept, same_without, without_channels
from tssd.budget.costs import ChipCost, chip_cost
from tssd.budget.of_run import built_in_float, check_classes
from tssd.calibration.encode import encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import choose
from tssd.chain.calibration_draw import calibration_images
from tssd.chain.own_data import data_of
from tssd.contracts import Contract, check, require
from tssd.errors import ConfigError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.chip.widths import precision_of
from tssd.hw_targets.gpu.engine import count
from tssd.train.config import TrainConfig, with_changes
from tssd.train.data.data_sets import Dataset
from tssd.train.handover.fields import arrays_of
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork, FloatProjection
from tssd.train.handover.float_run import run as run_float
from tssd.train.loop.checkpoint import CHECKPOINT, Position, load_weights, save_checkpoint
from tssd.train.loop.folder import CONFIG, check_folder
from tssd.train.loop.record import write_manifest
from tssd.train.networks.models import WEAK
from tssd.train.networks.network import READOUT, SpikingNet
from tssd.train.networks.pruning import (
    pruned_tensors,
    shares_of,
    silenced_tensors,
    tied,
    widths_in,
)
from tssd.train.networks.strip import deployed
from tssd.train.quantization.build import build

COMPARED = 8  # samples on which every spike is compared
ROUNDING = 1e-12  # of an array's largest number, in float64
SAME_ARRAYS = "pruned run -> network: weights, norms and shapes"


@dataclass(frozen=True)
class PruneOptions:
    """``keep``: the share of channels that stays, with exceptions by stage; samples that score, and
    those that accuracies and costs are of."""

    keep: str
    target: str = "loihi2"
    calibration_samples: int = 256
    check_samples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Pruned:
    """What was pruned, and a float network and its 8-bit integers on the chip before and after, on
    validation samples; nothing was trained in between."""

    kept: Mapping[str, tuple[int, int]]  # stage -> channels that stay, that there were
    accuracy: tuple[float, float]
    cost: tuple[ChipCost, ChipCost]
    contracts: tuple[Contract, ...]


def prune_run(run: Path, out: Path, options: PruneOptions, data: Path | None = None) -> Pruned:
    """Write the run folder *out*: *run* with fewer channels."""
    check_folder(out, resume=False)
    net, checkpoint = built_in_float(run, "tssd prune")
    dataset = data_of(checkpoint.config, data)
    check_classes(dataset, options, "--samples")
    seen = calibration_images(dataset, options.calibration_samples, options.seed)
    steps = checkpoint.config.student_steps
    whole = deployed(net, steps)
    kept = kept_channels(net, scores(fold(whole), seen), options.keep)
    config = smaller_config(checkpoint.config, kept, net)
    smaller = build(config, checkpoint.input_shape, len(checkpoint.classes))
    assert isinstance(smaller, SpikingNet)
    tensors = {f"net.{key}": tensor for key, tensor in pruned_tensors(net, kept).items()}
    load_weights(smaller.eval(), tensors, str(run))
    rest, silenced = deployed(smaller, steps), _silenced(net, kept, steps)
    chip = load_chip(options.target)
    integers = [_integers(network, seen, precision_of(chip)) for network in (whole, rest)]
    of_all = _integers(silenced, seen, precision_of(chip))
    contracts = (
        same_arrays(rest, without_channels(silenced, _of(silenced, kept))),
        same_without(of_all, _of(of_all, kept), encode(of_all, seen[:COMPARED])),
    )
    require(contracts)
    pair = [_answers(network, dataset, options) for network in (whole, rest)]
    costs = [_cost(network, dataset, options, chip) for network in integers]
    _write(out, smaller, config, dataset, run, pair[1])
    widths = {
        name: (len(kept[name]), net.shapes[name][0]) for name in kept if not name.startswith(WEAK)
    }
    return Pruned(widths, (pair[0], pair[1]), (costs[0], costs[1]), contracts)


def scores(folded: FloatNetwork, images: ImageArray) -> dict[str, FloatArray]:
    """(channels,) of every population that fires."""
    events = run_float(folded, images).events
    found = {}
    for p in folded.populations:
        if p.kind.fires:
            spikes = events[p.name].reshape(p.shape[0], -1).sum(axis=1)
            read = sum(
                (_read_by(j, p.shape[0]) for j in folded.outgoing(p.name)), np.zeros(p.shape[0])
            )
            found[p.name] = np.sqrt(spikes * read)
    return found


def _read_by(j: FloatProjection, channels: int) -> FloatArray:
    """(channels,) squared norm of the weights that read each channel of the source."""
    squared = j.weight.astype(np.float64) ** 2
    if j.kind.spatial and j.groups > 1:
        by_group = squared.reshape(j.groups, -1, *squared.shape[1:]).sum(axis=(1, 3, 4))
        flat: FloatArray = by_group.ravel()
        return flat
    whole: FloatArray = squared.reshape(len(squared), channels, -1).sum(axis=(0, 2))
    return whole


def kept_channels(
    net: SpikingNet, score: Mapping[str, FloatArray], keep: str
) -> dict[str, IntArray]:
    """The channels of each stage that stay: the best, as many as its share says, at least one;
    stages that a skip adds to each other keep the same."""
    trunk = [name for name in net.reachable([READOUT]) if name != READOUT]
    shares = shares_of(keep, trunk)
    groups = tied([spec for spec in net.specs if spec.name in trunk])
    kept: dict[str, IntArray] = {}
    for name in trunk:
        group = groups[name]
        if len({shares[other] for other in group}) > 1:
            raise ConfigError(
                "--keep",
                found=f"{', '.join(f'{other}={shares[other]:g}' for other in group)}",
                allowed="one share for these stages: a skip adds their channels to each other",
            )
        total = np.sqrt(sum(score[other] ** 2 for other in group if other in score))
        count = max(1, round(shares[name] * len(total)))
        kept[name] = np.sort(np.argsort(-total, kind="stable")[:count])
    for spec in net.specs:  # the convolution of a weak classifier is as wide as what it reads
        if spec.spiking and spec.name not in trunk:
            kept[spec.name] = kept[spec.links[0].source]
    return kept


def _silenced(net: SpikingNet, kept: Kept, steps: int) -> FloatNetwork:
    """The whole network, in which nobody reads what is not *kept*."""
    silent = copy.deepcopy(net)
    silent.load_state_dict(silenced_tensors(net, kept))
    return deployed(silent, steps)


def smaller_config(config: TrainConfig, kept: Kept, net: SpikingNet) -> TrainConfig:
    """*config* with the widths of what is *kept*, where they are not the model's."""
    widths = widths_in(config.channels)
    for name, channels in kept.items():
        if len(channels) < net.shapes[name][0] and not name.startswith(WEAK):
            widths[name] = len(channels)
    text = ",".join(f"{name}={width}" for name, width in widths.items())
    return with_changes(config, channels=text)


def same_arrays(found: FloatNetwork, wanted: FloatNetwork) -> Contract:
    """That the smaller run deploys as the larger one in which its channels are silent: shapes,
    groups and every array equal; but for rounding, as weights through a residual sum are products.
    """
    pairs = list(zip(found.populations, wanted.populations, strict=True))
    differing = sum(a.shape != b.shape or _unlike(arrays_of(a), arrays_of(b)) for a, b in pairs)
    for ours, theirs in zip(found.projections, wanted.projections, strict=True):
        differing += ours.groups != theirs.groups or _unlike(_numbers(ours), _numbers(theirs))
    return check(SAME_ARRAYS, differing == 0, f"{differing} layers differ", "0")


def _numbers(j: FloatProjection) -> dict[str, FloatArray]:
    """The arrays of a projection, its normalisation's too."""
    norm = {} if j.norm is None else arrays_of(j.norm)
    return {"weight": j.weight, **({} if j.bias is None else {"bias": j.bias}), **norm}


def _unlike(ours: Mapping[str, FloatArray], theirs: Mapping[str, FloatArray]) -> bool:
    if ours.keys() != theirs.keys():
        return True
    return any(
        array.shape != theirs[name].shape
        or np.abs(array - theirs[name]).max(initial=0)
        > ROUNDING * np.abs(theirs[name]).max(initial=0)
        for name, array in ours.items()
    )


def _of(network: FloatNetwork | IntNetwork, kept: Kept) -> Kept:
    """*kept* of the populations that are deployed."""
    names = {p.name for p in network.populations}
    return {name: channels for name, channels in kept.items() if name in names}


def _integers(network: FloatNetwork, seen: ImageArray, precision: Precision) -> IntNetwork:
    folded = align(fold(network), precision.delay_max)
    return apply(folded, choose(folded, Observation(seen, {}), precision))


def _answers(network: FloatNetwork, dataset: Dataset, options: PruneOptions) -> float:
    checked = dataset.val.first(options.check_samples)
    return float((run_float(fold(network), checked.images[:]).classes() == checked.labels).mean())


def _cost(network: IntNetwork, dataset: Dataset, options: PruneOptions, chip: ChipSpec) -> ChipCost:
    shown = dataset.val.first(min(options.check_samples, options.calibration_samples))
    return chip_cost(network, count(network, shown.images[:]), chip, options.seed)


def _write(
    out: Path, net: SpikingNet, config: TrainConfig, dataset: Dataset, run: Path, accuracy: float
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(out / CONFIG, config.to_toml().encode())
    position = Position(epoch=config.epochs)
    save_checkpoint(out / CHECKPOINT, net, None, config, dataset.classes, position, {})
    told = {"val": 100 * accuracy}
    write_manifest(out, config, dataset, told, position, run.resolve().name)
