"""A user's module that was trained here: read from what it does, as any module of a user is.

Its first output is the network's, whatever else it returns: weak classifiers are left behind. The
class is the mean over the steps, as in training.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tssd.chain.own_module import (
    ACCURACY,
    ModuleReading,
    Taken,
    check_no_encoder,
    module_accuracy,
    taken_from,
)
from tssd.contracts import Contract, not_run
from tssd.train.data.splits import Split
from tssd.train.handover.float_activity import PIXEL_MAX, ImageArray
from tssd.train.loop.evaluate import accuracies
from tssd.train.loop.record import read_manifest
from tssd.train.networks.user_module import UserNet
from tssd.train.recording.record import record
from tssd.train.recording.recording import Readout


def take_over_trained(net: UserNet, images: ImageArray, time_steps: int) -> Taken:
    """The network of *net*'s module, compared with it on *images*."""
    frames = images.ndim == len(net.input_shape) + 2
    shown = images[:, :time_steps] if frames else images
    values = shown.astype(np.float32) / np.float32(PIXEL_MAX)
    module = net.module.eval()
    recording = record(module, values, time_steps=time_steps, frames=frames)
    check_no_encoder(
        recording, "tssd export --model, which deploys behind what the module makes of its samples"
    )
    first = recording.outputs[0]
    mean = Readout.MEMBRANE_SUM if first.what == "membrane" else None
    reading = replace(ModuleReading(), output=first.name, readout=mean)
    return taken_from(module, values, reading, recording)


def trained_accuracy(net: UserNet, run: Path, val: Split, time_steps: int) -> Contract:
    """The module's own accuracy beside the one that its training recorded."""
    manifest = read_manifest(run)
    if manifest is None or manifest.accuracy.val is None:
        return not_run(ACCURACY, "the training run did not come to its end")
    reached = accuracies(net, val, time_steps)[-1]
    return module_accuracy(reached, manifest.accuracy.val, len(val))
