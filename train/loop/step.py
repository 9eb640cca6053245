"""One update of the weights: forward, loss, backward, optimizer."""

from collections.abc import Mapping

import torch

from tssd.arrays import ByteArray
from tssd.errors import ConfigError
from tssd.train.config import ReadoutLogit, TrainConfig, TrainingPrecision
from tssd.train.data.data_sets import LabelArray
from tssd.train.losses.distill import losses
from tssd.train.losses.regularise import penalties
from tssd.train.networks import distributed
from tssd.train.networks.coding import to_current
from tssd.train.networks.network import READOUT, SpikingNet, Unrolled, Unrolling


def update(
    net: Unrolled,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    images: ByteArray,
    labels: LabelArray,
    epoch: int,
    done: float,
    connected: Mapping[str, float],
    in_float: SpikingNet | None = None,
) -> dict[str, float]:
    """One update; returns the loss terms and the share of right answers in per cent.

    *images* are this process's share of the batch, *labels* those of the whole batch; *done* is
    the number of epochs behind. *connected* holds the connections out of each population;
    *in_float* is the float network that teaches few bits.
    """
    device = next(net.parameters()).device
    student, teacher = config.steps(epoch)
    apart = images.ndim == 5 and config.teacher_runs_apart
    run = Unrolling(
        len(images),
        student,
        teacher if apart else teacher - student,
        tail_gradient=not config.detach_teacher or config.task_readout is not ReadoutLogit.STUDENT,
        bf16=config.precision is TrainingPrecision.BF16,
        restart=apart,
    )
    outputs = (READOUT, *_heads(net, config))
    currents = to_current(images).to(device)
    shares, rates = net.run_with_rates(currents, run, outputs)
    logits = {name: distributed.gathered(share, 1) for name, share in shares.items()}
    target = torch.from_numpy(labels).to(device)
    ramp = min(1.0, done / (config.ramp * config.epochs)) if config.ramp else 1.0
    weak = [logits[name] for name in outputs[1:]] or None
    begin = student if apart else 0
    taught = None if in_float is None else _taught(in_float, currents, len(images), config)
    terms = losses(logits[READOUT], weak, target, student, config, ramp, begin, taught)
    means = {name: distributed.mean_over_processes(rate) for name, rate in rates.items()}
    extra = penalties(net, means, connected, config)
    total = terms.total + extra.total
    optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    distributed.sum_gradients(net.parameters())
    if config.clip:
        torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
    if torch.isfinite(total):
        optimizer.step()
    right = (logits[READOUT][:student].mean(0).argmax(-1) == target).float().mean()
    found = {"loss": total, "task": terms.task, "temporal": terms.temporal}
    found |= {"spatial": terms.spatial, "precision": terms.precision, "train_accuracy": 100 * right}
    found |= {"spike_rate": torch.stack(list(means.values())).mean(), "synops": extra.operations}
    return {name: value.item() for name, value in found.items()}


@torch.no_grad()
def _taught(
    net: SpikingNet, currents: torch.Tensor, batch: int, config: TrainConfig
) -> torch.Tensor:
    """The float teacher's logits (T_t, B, classes), of the whole batch."""
    run = Unrolling(batch, config.float_steps)
    return distributed.gathered(net.run(currents, run)[READOUT], 1)


def _heads(net: Unrolled, config: TrainConfig) -> list[str]:
    if not config.method.spatial:
        return []
    if not net.heads:
        raise ConfigError(
            "training: method",
            found=f"{config.method.value} and a network without weak classifiers",
            allowed="a module with a WeakHead or a second output",
            hint="--method tsd needs none",
        )
    return net.heads
