"""The training loop: one run from its configuration to its run folder.

Run folder: ``checkpoint.safetensors``, ``config.toml``, ``history.csv`` (one row per epoch) and,
when done, ``manifest.json``. All randomness comes from (seed, epoch, batch): a run resumed from
any checkpoint, also one saved in the middle of an epoch, continues bit for bit (on the same
machine with the same number of threads). Checkpoints are written every ``save_every_s`` seconds,
so a killed process loses no more than that. Ctrl-C and SIGTERM act between batches, where the state
is whole; a second one ends the run at once, and the last checkpoint stays.

Started by torchrun, the processes share every batch (``tssd.train.networks.distributed``).
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tssd.arrays import ByteArray
from tssd.atomic import write_bytes
from tssd.errors import ConfigError, TrainingError
from tssd.interrupts import Deferred, Interrupted, handled
from tssd.train.config import CONDUCT, TrainConfig
from tssd.train.data.data_sets import Dataset, LabelArray, Split
from tssd.train.data.events import TeacherFrames
from tssd.train.handover.devices import check_device
from tssd.train.handover.float_file import to_bytes
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.loop import folder as run_folder
from tssd.train.loop import record
from tssd.train.loop.augment import training_samples
from tssd.train.loop.average import Average, deployed_copy, estimate_norms
from tssd.train.loop.checkpoint import (
    CHECKPOINT,
    GRAPH,
    Position,
    graph_in,
    load_optimizer,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from tssd.train.loop.evaluate import accuracies
from tssd.train.loop.memory import keep_freed_pages
from tssd.train.loop.schedule import make_optimizer, rate
from tssd.train.loop.step import update
from tssd.train.loop.teacher import check_teacher, float_teacher
from tssd.train.networks import distributed
from tssd.train.networks.coding import to_current
from tssd.train.networks.models import WEAK
from tssd.train.networks.network import SpikingNet, Unrolled
from tssd.train.quantization.build import build
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.network import LEVELS_KEY, STEP, QuantizedNet

HEADS = f"net.stages.{WEAK}"  # tensors of weak classifiers in a checkpoint
# what another run may have or lack: heads, and the steps of few bits
OWN = (HEADS, f"net.{STEP}", f"net.{LEVELS_KEY}")
NOT_LAYERED = "0 with --model a:b, and where few bits train a network that was taken over"
Batch = tuple[ByteArray, LabelArray]
Progress = Callable[[int, int, dict[str, float]], None]  # epoch, batch, running means


def quiet(epoch: int, batch: int, means: dict[str, float]) -> None:
    """No progress."""


@dataclass(frozen=True)
class Trained:
    """The outcome: the network to deploy, position (with history) and accuracies in per cent."""

    net: Unrolled
    position: Position
    accuracy: dict[str, Any]


@dataclass(frozen=True)
class _Work:
    """What a run works on; only what these hold changes."""

    config: TrainConfig
    data: Dataset
    training: Split
    folder: Path
    net: Unrolled
    optimizer: torch.optim.Optimizer
    average: Average | None
    position: Position
    connected: dict[str, float]  # connections out of each population, for the synop penalty
    signals: Deferred
    in_float: SpikingNet | None  # the teacher of few bits

    def check(self) -> None:
        """Between batches: raise the signal that came, to one of the processes, to all of them."""
        number = distributed.largest(self.signals.number, next(self.net.parameters()).device)
        if number:
            raise Interrupted(number)

    @property
    def path(self) -> Path:
        return self.folder / CHECKPOINT

    def store(self, deployed: nn.Module | None = None) -> None:
        """Write the checkpoint, with the network to deploy where it is not the trained one."""
        if distributed.rank() == 0:
            chosen = deployed.state_dict() if deployed else self.average and self.average.values
            kept = (self.net, self.optimizer, self.config, self.data.classes, self.position)
            save_checkpoint(self.path, *kept, chosen or {})


def train(
    config: TrainConfig,
    data: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    start_from: Path | None = None,
    graph: FloatNetwork | None = None,
    taught_by: Path | None = None,
    progress: Progress = quiet,
) -> Trained:
    """Train as *config* says and write the run folder.

    *start_from* is the run folder of a network of the same architecture whose weights to begin
    with, for example one trained with the other reset. Weak classifiers may differ: they only
    serve the training. *graph* is a float network to train on with few bits, as it is. *taught_by*
    is the run folder of the float network that teaches few bits, where it is not *start_from*.

    Raises TrainingError when the loss is not finite; the last checkpoint before it stays.
    KeyboardInterrupt is passed on after the state has been saved.
    """
    keep_freed_pages()
    check_device(config.device)
    if config.tensorboard:
        record.check_tensorboard()
    signals = Deferred()
    with (
        distributed.group(config.device) as device,
        run_folder.owned(folder, resume) if distributed.rank() == 0 else nullcontext(),
        handled(signals),
    ):
        begin_with = (start_from, graph, taught_by)
        work = _prepare(config, data, folder, resume, begin_with, device, signals)
        begun_from = start_from.name if start_from else None
        done = _run(work, progress if distributed.rank() == 0 else quiet, begun_from)
    if signals.number:  # it came when nothing was left to stop here; what follows is not to begin
        raise Interrupted(signals.number, f"the run in {folder} is done")
    return done


def _run(work: _Work, progress: Progress, begun_from: str | None) -> Trained:
    """All epochs that are left; where the work is interrupted between batches, it is kept."""
    if work.position.history and distributed.rank() == 0:  # killed before it was written
        record.write_history(work.folder, work.position.history)
    try:
        while work.position.epoch < work.config.epochs:
            work.check()
            _epoch(work, progress)
            _close_epoch(work)
        work.check()
        return _finish(work, begun_from)
    except KeyboardInterrupt as stop:
        if work.signals.at_once:  # in the middle of an update: nothing that could be kept
            raise
        work.store()
        if isinstance(stop, Interrupted):
            done = f"{work.position.epoch} epochs and {work.position.batch} batches"
            stop.note = f"the state after {done} is saved in {work.folder}"
        raise


def _prepare(
    config: TrainConfig,
    data: Dataset,
    folder: Path,
    resume: bool,
    begin_with: tuple[Path | None, FloatNetwork | None, Path | None],
    device: str,
    signals: Deferred,
) -> _Work:
    training = data.train.first(config.train_limit)
    _check_batches(config, len(training))
    start_from, graph, taught_by = begin_with
    if taught_by is not None:
        check_teacher(folder, taught_by, config)
    if resume:
        graph = graph_in(folder, config)
    net = build(config, data.shape, len(data.classes), graph).to(device)
    if config.norm_batches and not net.layered:
        raise ConfigError(
            "training: norm_batches", found=str(config.norm_batches), allowed=NOT_LAYERED
        )
    optimizer = make_optimizer(net, config)
    tensors: dict[str, torch.Tensor] = {}
    early = run_folder.begun(folder) and not (folder / CHECKPOINT).is_file()
    if resume and not early:  # killed before its first checkpoint, a run begins again
        position, tensors = _resume(folder / CHECKPOINT, net, optimizer, config)
    else:
        _begin(net, config, training, start_from)
        position = Position()
    in_float = None
    if config.gamma:
        in_float = float_teacher(folder, taught_by or start_from, net, data.classes).to(device)
    average = Average(net, config.ema, tensors) if config.ema else None
    if distributed.rank() == 0:
        write_bytes(folder / run_folder.CONFIG, config.to_toml().encode())
        if graph is not None:
            write_bytes(folder / GRAPH, to_bytes(graph))
    connected = net.connections()
    if config.synop_weight and not connected:
        raise ConfigError(
            "training: synop_weight", found=str(config.synop_weight), allowed=NOT_LAYERED
        )
    kept = (net, optimizer, average, position, connected, signals, in_float)
    return _Work(config, data, training, folder, *kept)


def _check_batches(config: TrainConfig, samples: int) -> None:
    if samples < config.batch_size:
        raise ConfigError(
            "training: batch_size", found=str(config.batch_size), allowed=f"<= {samples}"
        )
    if config.batch_size % distributed.world():
        raise ConfigError(
            "training: batch_size",
            found=str(config.batch_size),
            allowed=f"a multiple of the {distributed.world()} processes that share each batch",
        )


def _begin(net: Unrolled, config: TrainConfig, training: Split, start_from: Path | None) -> None:
    """First weights: those of another run, or the initialisation scaled on a training batch; with
    few bits, the first steps from them."""
    images = to_current(training.images[:128]).to(next(net.parameters()).device)
    if isinstance(net, QuantizedGraph):
        net.begin(images)
        return
    if start_from is None:
        net.wake(images, config.student_steps)
    else:
        path = start_from / CHECKPOINT
        own = {k: v for k, v in net.state_dict(prefix="net.").items() if k.startswith(OWN)}
        given = read_checkpoint(path).tensors.items()
        wanted = {k: v for k, v in given if not k.startswith(OWN) or k in own}
        load_weights(net, own | wanted, str(path))
    if isinstance(net, QuantizedNet) and not net.begun:
        net.begin(images)


def _resume(
    path: Path, net: Unrolled, optimizer: torch.optim.Optimizer, config: TrainConfig
) -> tuple[Position, dict[str, torch.Tensor]]:
    checkpoint = read_checkpoint(path)
    then = checkpoint.config.to_table()
    changed = [k for k, v in config.to_table().items() if then[k] != v and k not in CONDUCT]
    if changed:
        raise ConfigError(
            f"--resume of {path.parent}",
            found=f"another value of {', '.join(changed)}",
            allowed="the configuration the run was started with (its config.toml)",
        )
    load_weights(net, checkpoint.tensors, str(path))
    load_optimizer(optimizer, checkpoint.tensors, str(path))
    return checkpoint.position, checkpoint.tensors


def _epoch(work: _Work, progress: Progress) -> None:
    """Train on from the position to the end of its epoch."""
    config, position = work.config, work.position
    work.net.train()
    batches = len(work.training) // config.batch_size
    started, saved = time.process_time(), time.monotonic()
    spent = position.sums.get("cpu_s", 0.0)
    remaining = epoch_batches(config, work.training, position.epoch, position.batch)
    for batch, (images, labels) in enumerate(remaining, position.batch):
        done = position.epoch + batch / batches
        for group in work.optimizer.param_groups:
            group["lr"] = config.lr * rate(config, done / config.epochs)
        place = (position.epoch, done, work.connected, work.in_float)
        values = update(work.net, work.optimizer, config, images, labels, *place)
        if not math.isfinite(values["loss"]):
            raise TrainingError(
                f"epoch {position.epoch + 1}, batch {batch + 1}",
                found=f"loss {values['loss']}",
                hint=f"a lower lr or clip > 0; {_kept(work.path)}",
            )
        if work.average:
            work.average.update(work.net)
        for key, value in values.items():
            position.sums[key] = position.sums.get(key, 0.0) + value
        position.sums["cpu_s"] = spent + time.process_time() - started
        position.batch = batch + 1
        if time.monotonic() - saved >= config.save_every_s:
            work.store()
            saved = time.monotonic()
        means = {k: v / position.batch for k, v in position.sums.items() if k != "cpu_s"}
        progress(position.epoch, position.batch, means)
        work.check()


def _kept(path: Path) -> str:
    return f"the last good state is {path}" if path.exists() else "nothing was saved yet"


def epoch_batches(config: TrainConfig, split: Split, epoch: int, first: int = 0) -> Iterator[Batch]:
    """Shuffled, augmented batches from *first* on; the last incomplete one is left out.

    Of several processes each gets its share of every batch and all of its labels.
    """
    order = np.random.default_rng((config.seed, epoch)).permutation(len(split))
    size = config.batch_size
    part = size // distributed.world()
    share = slice(distributed.rank() * part, (distributed.rank() + 1) * part)
    for batch in range(first, len(split) // size):
        chosen = order[batch * size : (batch + 1) * size]
        generator = np.random.default_rng((config.seed, epoch, batch))
        images = training_samples(split, chosen, generator, config, epoch)
        yield images[share], split.labels[chosen]


def _close_epoch(work: _Work) -> None:
    """Turn the epoch's sums into a history row with the validation accuracy, and save."""
    config, position = work.config, work.position
    row = {"epoch": float(position.epoch + 1)}
    row |= {k: v / position.batch for k, v in position.sums.items() if k != "cpu_s"}
    net = deployed_copy(work.net, work.average)
    found = accuracies(net, work.data.val, _readable(work.data.val, config), check=work.check)
    row["val_accuracy"] = found[config.student_steps - 1]
    row |= {f"val_at_{t + 1}": accuracy for t, accuracy in enumerate(found)}
    row["cpu_s"] = position.sums.get("cpu_s", 0.0)
    position.history.append(row)
    position.epoch, position.batch, position.sums = position.epoch + 1, 0, {}
    work.store()
    if distributed.rank() == 0:
        record.write_history(work.folder, position.history)
        if config.tensorboard:
            record.write_events(work.folder, position.history)


def _readable(split: Split, config: TrainConfig) -> int:
    """The steps that validation can read: those of the teacher, or as many frames as there are."""
    steps = max(config.steps(config.epochs))
    return min(steps, split.images.shape[1]) if split.images.ndim == 5 else steps


def _finish(work: _Work, begun_from: str | None) -> Trained:
    """The network to deploy and its accuracies; writes the manifest."""
    config, data = work.config, work.data
    net = deployed_copy(work.net, work.average)
    accuracy = _final_accuracy(net, config, data, work.check)
    if config.norm_batches:
        accuracy = {f"{k}_before_norm_batches": v for k, v in accuracy.items()}
        net = deployed_copy(net, None, always=True)
        batches = epoch_batches(config, work.training, config.epochs)
        estimate_norms(net, batches, config.norm_batches, config.student_steps)
        accuracy = _final_accuracy(net, config, data, work.check) | accuracy
        work.store(net)
    if distributed.rank() == 0:
        record.write_manifest(work.folder, config, data, accuracy, work.position, begun_from)
    distributed.wait()
    return Trained(net.eval(), work.position, accuracy)


def _final_accuracy(
    net: Unrolled, config: TrainConfig, data: Dataset, check: Callable[[], None]
) -> dict[str, Any]:
    steps = max(config.steps(config.epochs))
    resliced = config.teacher_frames is TeacherFrames.RESLICED
    framing = config.framing() if resliced else None
    test = accuracies(net, data.test, steps, framing, check)
    return {
        "test": test[config.student_steps - 1],
        "test_at_step": test,
        "val": accuracies(net, data.val, config.student_steps, check=check)[-1],
    }
