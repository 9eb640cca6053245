"""The float network that teaches few bits: a copy of its run in their folder.

It is the run that they began from, or another that knows more. The copy is made when the training
begins, so that a run that is resumed has its teacher whatever became of the other run.
"""

from pathlib import Path

from tssd.atomic import write_bytes
from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.loop.checkpoint import CHECKPOINT, load_net_of, read_checkpoint
from tssd.train.loop.folder import TEACHER
from tssd.train.networks import distributed
from tssd.train.networks.network import SpikingNet, Unrolled


def float_teacher(
    folder: Path, run: Path | None, student: Unrolled, classes: tuple[str, ...]
) -> SpikingNet:
    """The teacher in *folder*, which *run* gives to a training that begins."""
    path = folder / TEACHER
    if not path.is_file():
        if run is None:
            raise ConfigError(
                "training: gamma",
                found="no float network to learn from",
                allowed="a run that begins with one, or is given one",
                hint="tssd calibrate RUN --bits ... --set gamma=1, or tssd train --teacher RUN",
            )
        source = run / CHECKPOINT
        _check(source, student, classes)
        if distributed.rank() == 0:
            write_bytes(path, source.read_bytes())
        distributed.wait()
    net, _ = load_net_of(path)
    assert isinstance(net, SpikingNet)
    return net.requires_grad_(requires_grad=False)


def check_teacher(folder: Path, run: Path, config: TrainConfig) -> None:
    """ConfigError where *run* was named as teacher of the training in *folder*, and cannot be."""
    if not config.gamma:
        raise ConfigError(
            f"--teacher {run}", found="gamma = 0: nothing is learned from it", hint="--set gamma=1"
        )
    kept, given = folder / TEACHER, run / CHECKPOINT
    if kept.is_file() and given.is_file() and kept.read_bytes() != given.read_bytes():
        raise ConfigError(
            f"--teacher {run}",
            found="another network than the one that teaches the run in --out",
            allowed="the same, or no --teacher with --resume",
        )


def _check(source: Path, student: Unrolled, classes: tuple[str, ...]) -> None:
    """ConfigError unless the run is in float and answers the same questions."""
    given = read_checkpoint(source)
    found = f"a run of {given.config.bits} bits" if given.config.bits else ""
    if (given.input_shape, given.classes) != (student.input_shape, classes):
        found = f"a network for inputs {given.input_shape} and {len(given.classes)} classes"
    if found:
        raise ConfigError(
            f"training: gamma: {source.parent}",
            found=found,
            allowed=f"a float network for inputs {student.input_shape}, {len(classes)} classes",
        )
