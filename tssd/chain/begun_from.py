"""The float network that few bits begin from, where its stages are not trained by themselves: a
residual network, a user's module (of a run, or as its author wrote it), few bits that go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from tssd.chain.module_export import proofs
from tssd.chain.module_source import ModelSource
from tssd.chain.own_data import OWN, own
from tssd.chain.own_module import ModuleReading, Taken, check_no_encoder, take_over
from tssd.chain.user_data import gather
from tssd.chain.user_samples import fitting
from tssd.chain.users_module import take_over_trained
from tssd.contracts import require
from tssd.errors import ConfigError
from tssd.train.config import Method, TrainConfig
from tssd.train.data.data_sets import Dataset
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.mapped_input import with_input_map
from tssd.train.loop.checkpoint import Checkpoint
from tssd.train.networks.network import SpikingNet
from tssd.train.networks.strip import strip
from tssd.train.networks.user_module import UserNet
from tssd.train.quantization.build import Net, stage_by_stage
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.graph.whole import trained_floats

COMPARED = 256  # samples on which a module is compared with its network, beside those read


def graph_of_run(net: Net, checkpoint: Checkpoint, data: Dataset) -> FloatNetwork | None:
    """What a run left, as a float network, unless its stages are trained by themselves."""
    steps = checkpoint.config.student_steps
    match net:
        case UserNet():
            taken = take_over_trained(net, data.train.images[:COMPARED], steps)
            require([taken.agreement.contract()])
            return taken.network
        case QuantizedGraph():
            return trained_floats(net)
        case SpikingNet():
            return None if stage_by_stage(net) else strip(net, data.train.images[:8], steps)
        case _:
            assert_never(net)


def check_method(config: TrainConfig) -> None:
    """Weak classifiers stay behind when a network is taken over; a module cannot teach."""
    if config.gamma and ":" in config.model:
        raise ConfigError(
            f"--set gamma={config.gamma:g}",
            found="a module of your own, which is taken over and does not run beside its network",
            allowed="0; with a built-in network more",
        )
    if config.method.spatial:
        raise ConfigError(
            f"--method {config.method.value}",
            found="a network that was taken over without its weak classifiers",
            allowed=", ".join(m.value for m in Method if not m.spatial),
            hint="--method ce",
        )


@dataclass(frozen=True, eq=False)
class BegunModule:
    """A user's module taken over: its network on levels, and its samples in three splits."""

    taken: Taken
    network: FloatNetwork
    data: Dataset

    def settings(self, model: str) -> Mapping[str, Any]:
        """What a run of it says of itself."""
        steps = self.network.time_steps
        return {
            "dataset": OWN,
            "model": model,
            "method": Method.CE,
            "student_steps": steps,
            "teacher_steps": steps + 1,
        }


def begin_module(model: ModelSource, samples: Path | str, reading: ModuleReading) -> BegunModule:
    """The module that *model* names, proved equal to its network on *samples*, which are then split
    as ``tssd train --data`` splits them."""
    given = gather(samples)
    if given.labels is None:
        raise ConfigError(
            "--samples",
            found=f"{given.origin} without labels",
            allowed="'labels' beside 'inputs', to train on",
        )
    module, shown = model.load(), given.part(slice(COMPARED))
    taken = take_over(module, shown.as_seen(), reading)
    proofs(taken, shown)
    check_no_encoder(
        taken.recording,
        "give the frames that it makes as --samples, and a module without the encoder",
    )
    entry = fitting(given, taken.network.populations[0].shape).entry
    return BegunModule(taken, with_input_map(taken.network, entry), own(samples, entry))
