"""The training loop: one run from its configuration to its run folder.

Run folder: ``checkpoint.safetensors``, ``config.toml``, ``history.csv`` (one row per epoch) and,
when done, ``manifest.json``. All randomness comes from (seed, epoch, batch): a run resumed from
any checkpoint, also one saved in the middle of an epoch, continues bit for bit (on the same
machine with the same number of threads).
"""

import csv
import io
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tssd import __version__
from tssd.atomic import write_bytes
from tssd.errors import ConfigError, TrainingError
from tssd.train.augment import training_samples
from tssd.train.checkpoint import (
    CHECKPOINT,
    Position,
    load_optimizer,
    load_weights,
    read_checkpoint,
    save_checkpoint,
)
from tssd.train.config import Optimizer, Precision, Readout, Schedule, TrainConfig
from tssd.train.data import ByteArray, Dataset, LabelArray, Split
from tssd.train.distill import losses
from tssd.train.evaluate import accuracies, to_current
from tssd.train.events import TeacherFrames
from tssd.train.models import WEAK, build
from tssd.train.network import READOUT, Run, SpikingNet, scale_to_unit_current

Batch = tuple[ByteArray, LabelArray]
Progress = Callable[[int, int, dict[str, float]], None]  # epoch, batch, running means


def quiet(epoch: int, batch: int, means: dict[str, float]) -> None:
    """No progress."""


@dataclass(frozen=True)
class Trained:
    """The outcome: network, position (with history) and accuracies in per cent."""

    net: SpikingNet
    position: Position
    accuracy: dict[str, Any]


def train(
    config: TrainConfig,
    data: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    start_from: Path | None = None,
    progress: Progress = quiet,
) -> Trained:
    """Train as *config* says and write the run folder.

    *start_from* is the run folder of a network of the same architecture whose weights to begin
    with, for example one trained with the other reset.

    Raises TrainingError when the loss is not finite; the checkpoint of the last whole epoch stays.
    KeyboardInterrupt is passed on after the state has been saved.
    """
    training = data.train.first(config.train_limit)
    if len(training) < config.batch_size:
        raise ConfigError(
            "training: batch_size", found=str(config.batch_size), allowed=f"<= {len(training)}"
        )
    net = build(config, data.shape, len(data.classes))
    optimizer = make_optimizer(net, config)
    path = folder / CHECKPOINT
    if resume:
        position = _resume(path, net, optimizer, config)
    else:
        _begin(net, config, training, start_from)
        position = Position()
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "config.toml", config.to_toml().encode())

    def store() -> None:
        save_checkpoint(path, net, optimizer, config, data.classes, position)

    try:
        while position.epoch < config.epochs:
            _epoch(net, optimizer, config, training, position, path, progress)
            _close_epoch(net, config, data.val, position)
            store()
            write_bytes(folder / "history.csv", _csv(position.history).encode())
    except KeyboardInterrupt:
        store()
        raise
    accuracy = _final_accuracy(net, config, data)
    begun = start_from.name if start_from else None
    _write_manifest(folder, config, data, accuracy, position, begun)
    return Trained(net.eval(), position, accuracy)


def _begin(net: SpikingNet, config: TrainConfig, training: Split, start_from: Path | None) -> None:
    """First weights: those of another run, or the initialisation scaled on a training batch."""
    if start_from is None:
        scale_to_unit_current(net, to_current(training.images[:128]), config.student_steps)
        return
    path = start_from / CHECKPOINT
    load_weights(net, read_checkpoint(path).tensors, str(path))


def _resume(
    path: Path, net: SpikingNet, optimizer: torch.optim.Optimizer, config: TrainConfig
) -> Position:
    checkpoint = read_checkpoint(path)
    changed = [k for k, v in config.to_table().items() if checkpoint.config.to_table()[k] != v]
    if changed:
        raise ConfigError(
            f"--resume of {path.parent}",
            found=f"another value of {', '.join(changed)}",
            allowed="the configuration the run was started with (its config.toml)",
        )
    load_weights(net, checkpoint.tensors, str(path))
    load_optimizer(optimizer, checkpoint.tensors)
    return checkpoint.position


def _epoch(
    net: SpikingNet,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    training: Split,
    position: Position,
    path: Path,
    progress: Progress,
) -> None:
    """Train on from *position* to the end of its epoch."""
    net.train()
    batches = len(training) // config.batch_size
    started = time.process_time()
    spent = position.sums.get("cpu_s", 0.0)
    for batch, (images, labels) in enumerate(epoch_batches(config, training, position.epoch)):
        if batch < position.batch:
            continue
        done = position.epoch + batch / batches
        for group in optimizer.param_groups:
            group["lr"] = config.lr * rate(config, done / config.epochs)
        values = _step(net, optimizer, config, images, labels, position.epoch, done)
        if not math.isfinite(values["loss"]):
            raise TrainingError(
                f"epoch {position.epoch + 1}, batch {batch + 1}",
                found=f"loss {values['loss']}",
                hint=f"a lower lr or clip > 0; the last good state is {path}",
            )
        for key, value in values.items():
            position.sums[key] = position.sums.get(key, 0.0) + value
        position.sums["cpu_s"] = spent + time.process_time() - started
        position.batch = batch + 1
        means = {k: v / position.batch for k, v in position.sums.items() if k != "cpu_s"}
        progress(position.epoch, position.batch, means)


def _step(
    net: SpikingNet,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    images: ByteArray,
    labels: LabelArray,
    epoch: int,
    done: float,
) -> dict[str, float]:
    """One update; returns the loss terms and the share of right answers in per cent."""
    student, teacher = config.steps(epoch)
    apart = images.ndim == 5 and config.teacher_runs_apart
    run = Run(
        len(labels),
        student,
        teacher if apart else teacher - student,
        tail_gradient=not config.detach_teacher or config.task_readout is not Readout.STUDENT,
        bf16=config.precision is Precision.BF16,
        restart=apart,
    )
    outputs = (READOUT, WEAK) if config.method.spatial else (READOUT,)
    logits = net.run(to_current(images), run, outputs)
    target = torch.from_numpy(labels)
    ramp = min(1.0, done / (config.ramp * config.epochs)) if config.ramp else 1.0
    begin = student if apart else 0
    terms = losses(logits[READOUT], logits.get(WEAK), target, student, config, ramp, begin)
    optimizer.zero_grad(set_to_none=True)
    terms.total.backward()  # type: ignore[no-untyped-call]
    if config.clip:
        torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
    if torch.isfinite(terms.total):
        optimizer.step()
    right = (logits[READOUT][:student].mean(0).argmax(-1) == target).float().mean()
    return {
        "loss": terms.total.item(),
        "task": terms.task.item(),
        "temporal": terms.temporal.item(),
        "spatial": terms.spatial.item(),
        "train_accuracy": 100 * right.item(),
    }


def epoch_batches(config: TrainConfig, split: Split, epoch: int) -> Iterator[Batch]:
    """Shuffled, augmented batches; the last incomplete one is left out."""
    order = np.random.default_rng((config.seed, epoch)).permutation(len(split))
    size = config.batch_size
    for batch in range(len(split) // size):
        chosen = order[batch * size : (batch + 1) * size]
        generator = np.random.default_rng((config.seed, epoch, batch))
        yield training_samples(split, chosen, generator, config, epoch), split.labels[chosen]


def make_optimizer(net: SpikingNet, config: TrainConfig) -> torch.optim.Optimizer:
    parameters = list(net.parameters())
    if config.optimizer is Optimizer.SGD:
        return torch.optim.SGD(
            parameters, config.lr, momentum=0.9, weight_decay=config.weight_decay
        )
    kind = torch.optim.AdamW if config.optimizer is Optimizer.ADAMW else torch.optim.Adam
    return kind(parameters, config.lr, weight_decay=config.weight_decay)


def rate(config: TrainConfig, done: float) -> float:
    """The learning rate's factor when the share *done* of the run has passed.

    one-cycle: linear from 0.1 to 1 over the first 15 %, then a half cosine to 0; cosine: a half
    cosine from 1 to 0; step: a factor 0.1 after each third.
    """
    if config.schedule is Schedule.CONSTANT:
        return 1.0
    if config.schedule is Schedule.STEP:
        return float(0.1 ** int(3 * done))
    rise = 0.15 if config.schedule is Schedule.ONE_CYCLE else 0.0
    if done < rise:
        return 0.1 + 0.9 * done / rise
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / (1 - rise)))


def _close_epoch(net: SpikingNet, config: TrainConfig, val: Split, position: Position) -> None:
    """Turn the epoch's sums into a history row with the validation accuracy at T_s."""
    row = {"epoch": float(position.epoch + 1)}
    row |= {k: v / position.batch for k, v in position.sums.items() if k != "cpu_s"}
    row["val_accuracy"] = accuracies(net, val, config.student_steps)[-1]
    row["cpu_s"] = position.sums.get("cpu_s", 0.0)
    position.history.append(row)
    position.epoch, position.batch, position.sums = position.epoch + 1, 0, {}


def _csv(history: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in history)
    return text.getvalue()


def _final_accuracy(net: SpikingNet, config: TrainConfig, data: Dataset) -> dict[str, Any]:
    steps = max(config.steps(config.epochs))
    resliced = config.teacher_frames is TeacherFrames.RESLICED
    test = accuracies(net, data.test, steps, config.framing() if resliced else None)
    return {
        "test": test[config.student_steps - 1],
        "test_at_step": test,
        "val": accuracies(net, data.val, config.student_steps)[-1],
    }


def _write_manifest(
    folder: Path,
    config: TrainConfig,
    data: Dataset,
    accuracy: dict[str, Any],
    position: Position,
    start_from: str | None,
) -> None:
    manifest = {
        "config": config.to_table(),
        "start_from": start_from,
        "data": {
            "name": data.name,
            "train": len(data.train.first(config.train_limit)),
            "val": len(data.val),
            "test": len(data.test),
        },
        "accuracy": accuracy,
        "cpu_s": sum(row["cpu_s"] for row in position.history),
        "versions": {
            "tssd": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    write_bytes(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
