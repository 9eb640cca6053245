"""Checkpoints: safetensors (no pickle) with everything a run needs to go on, written atomically.

A checkpoint holds the weights (``net.*``), those to deploy where they are others (``deployed.*``:
averaged over the updates), the optimizer's state (``optimizer.*``) and, as JSON in
the header, the position (epoch, batch), the sums of the epoch so far and the history. All
randomness of training is drawn from (seed, epoch, batch), so no generator state is needed for a
resumed run to continue bit for bit.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tssd import __version__
from tssd.atomic import write_bytes
from tssd.errors import UNREADABLE, FileFormatError, refusing
from tssd.train.config import TrainConfig, recorded
from tssd.train.networks.models import build
from tssd.train.networks.network import SpikingNet
from tssd.train.networks.user_module import check_named

CHECKPOINT = "checkpoint.safetensors"
HEADER = ("config", "input_shape", "classes", "position")
FORMAT = "tssd-checkpoint-1"
DEPLOYED = "deployed."


@dataclass
class Position:
    """Where a run stands: *epoch* epochs are done, and *batch* batches of the next one."""

    epoch: int = 0
    batch: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds."""

    config: TrainConfig
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    position: Position
    tensors: dict[str, Tensor]


def save_checkpoint(
    path: Path,
    net: SpikingNet,
    optimizer: torch.optim.Optimizer | None,
    config: TrainConfig,
    classes: tuple[str, ...],
    position: Position,
    deployed: Mapping[str, Tensor],
) -> None:
    tensors = {f"net.{key}": value for key, value in net.state_dict().items()}
    tensors |= {DEPLOYED + key: value for key, value in deployed.items()}
    if optimizer is not None:
        tensors |= _optimizer_tensors(optimizer)
    header = {
        "format": FORMAT,
        "version": __version__,
        "config": json.dumps(config.to_table()),
        "input_shape": json.dumps(net.input_shape),
        "classes": json.dumps(classes),
        "position": json.dumps(asdict(position)),
    }
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_bytes(path, save(plain, metadata=header))


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in *path*; raises FileFormatError if it is missing, damaged or foreign."""
    if not path.is_file():
        raise FileFormatError(str(path), found="no such file", hint="check the run folder")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileFormatError(
            str(path),
            found=f"{path.stat().st_size} bytes that are no whole safetensors file ({error})",
            hint="the file is truncated or damaged: use an earlier checkpoint or train again",
        ) from None
    if header.get("format") != FORMAT:
        raise FileFormatError(
            str(path), found=f"format {header.get('format')!r}", allowed=repr(FORMAT)
        )
    damage = (*UNREADABLE, KeyError, TypeError)
    with refusing(damage, FileFormatError, str(path), "a damaged header"):
        table, shape, classes, position = (json.loads(header[key]) for key in HEADER)
        begun = Position(**position)
    return Checkpoint(recorded(table, str(path)), tuple(shape), tuple(classes), begun, tensors)


def load_weights(
    net: nn.Module, tensors: dict[str, Tensor], where: str, prefix: str = "net."
) -> None:
    """Put ``net.*`` of *tensors* into *net*; names, shapes and finiteness are checked first."""
    found = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    expected = net.state_dict()
    for key in sorted(expected.keys() | found.keys()):
        wanted, got = expected.get(key), found.get(key)
        if wanted is None or got is None or wanted.shape != got.shape:
            raise FileFormatError(
                f"{where}: tensor {key!r}",
                found="none" if got is None else f"shape {tuple(got.shape)}",
                allowed="none" if wanted is None else f"shape {tuple(wanted.shape)}",
                hint="the checkpoint is of another architecture: check model and dataset",
            )
        if got.is_floating_point() and not torch.isfinite(got).all():
            raise FileFormatError(f"{where}: tensor {key!r}", found="NaN or infinity")
    net.load_state_dict(found)


def load_net(run_folder: Path, module: str | None = None) -> tuple[SpikingNet, Checkpoint]:
    """The network to deploy of a run folder (in evaluation mode) and its checkpoint.

    A run of a user's own module is built by that module's code, which runs only if *module* names
    it: a file from elsewhere must not say what is imported.
    """
    path = run_folder / CHECKPOINT
    checkpoint = read_checkpoint(path)
    check_named(checkpoint.config.model, module, str(path))
    net = build(checkpoint.config, checkpoint.input_shape, len(checkpoint.classes))
    averaged = any(name.startswith(DEPLOYED) for name in checkpoint.tensors)
    load_weights(net, checkpoint.tensors, str(path), DEPLOYED if averaged else "net.")
    return net.eval(), checkpoint


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": torch.as_tensor(value)
        for index, entry in state.items()
        for key, value in entry.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put ``optimizer.*`` of *tensors* back; learning rates come from the schedule."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
