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
from typing import Annotated, Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tssd import __version__, typed
from tssd.atomic import write_bytes
from tssd.errors import FileFormatError, refusing
from tssd.train.config import TrainConfig, recorded
from tssd.train.handover.float_file import read as read_network
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.named import check_named
from tssd.train.networks.network import Unrolled
from tssd.train.quantization.build import Net, build

CHECKPOINT = "checkpoint.safetensors"
GRAPH = "graph.safetensors"  # beside it: the float network that few bits began from, by itself
Sides = Annotated[list[Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]], msgspec.Meta(max_length=4)]
FORMAT = "tssd-checkpoint-1"
DAMAGED = "the file is damaged: use an earlier checkpoint or train again"
DEPLOYED = "deployed."


@dataclass
class Position:
    """Where a run stands: *epoch* epochs are done, and *batch* batches of the next one."""

    epoch: typed.Count = 0
    batch: typed.Count = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


HEADER: dict[str, Any] = {  # key -> what its JSON is
    "config": dict[str, Any],
    "input_shape": Sides,
    "classes": Annotated[list[str], msgspec.Meta(min_length=1, max_length=100_000)],
    "position": Position,
}


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
    net: Unrolled,
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
    missing = [key for key in HEADER if key not in header]
    if missing:
        raise FileFormatError(str(path), found=f"a header without {missing[0]}", allowed=FORMAT)
    table, shape, classes, position = (
        typed.from_json(kind, header[key], f"{path}: {key}") for key, kind in HEADER.items()
    )
    config = recorded(table, str(path))
    return Checkpoint(config, tuple(shape), tuple(classes), position, tensors)


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


def graph_in(folder: Path, config: TrainConfig) -> FloatNetwork | None:
    """The float network that a run of few bits began from, where its folder holds one."""
    path = folder / GRAPH
    return read_network(path) if config.bits and path.is_file() else None


def load_net(run_folder: Path, module: str | None = None) -> tuple[Net, Checkpoint]:
    """The network to deploy of a run folder (in evaluation mode) and its checkpoint.

    A run of a user's own module is built by that module's code, which runs only if *module* names
    it: a file from elsewhere must not say what is imported.
    """
    return load_net_of(run_folder / CHECKPOINT, module)


def load_net_of(path: Path, module: str | None = None) -> tuple[Net, Checkpoint]:
    """The same of the checkpoint in *path*. What began from a float network needs no code."""
    checkpoint = read_checkpoint(path)
    graph = graph_in(path.parent, checkpoint.config)
    if graph is None:
        check_named(checkpoint.config.model, module, str(path))
    net = build(checkpoint.config, checkpoint.input_shape, len(checkpoint.classes), graph)
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


def load_optimizer(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], where: str = CHECKPOINT
) -> None:
    """Put ``optimizer.*`` of *tensors* back; learning rates come from the schedule."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2) if name.count(".") > 1 else ("", "", name)
            if not index.isdecimal() or not torch.isfinite(value).all():
                raise FileFormatError(
                    f"{where}: tensor {name!r}", found="no state of an optimizer", hint=DAMAGED
                )
            state.setdefault(int(index), {})[key] = value
    with refusing((ValueError, KeyError, IndexError), FileFormatError, where, "another optimizer"):
        _check_state(optimizer, state, where)
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _check_state(
    optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Any]], where: str
) -> None:
    """Every tensor of the state has one number, or as many as its parameter."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, entry in state.items():
        for key, value in entry.items():
            if value.numel() != 1 and value.shape != parameters[index].shape:
                raise FileFormatError(
                    f"{where}: tensor 'optimizer.{index}.{key}'",
                    found=f"shape {tuple(value.shape)}",
                    allowed=f"shape {tuple(parameters[index].shape)}",
                    hint=DAMAGED,
                )
