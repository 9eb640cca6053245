"""The samples that a bundle is run on: which they are, and how to tell them from others."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tssd.calibration.encode import Inputs, as_inputs
from tssd.calibration.integer import IntArray
from tssd.chain.entering import encoder_of, entry_of, sample_shape
from tssd.chain.own_data import data_of
from tssd.chain.user_samples import load_samples as load_user_samples
from tssd.errors import DataError, counted
from tssd.export.bundle.folder import Bundle
from tssd.train.config import TrainConfig, configure
from tssd.train.handover.float_activity import ImageArray

AT_ONCE = 64  # samples coded together where each is looked at alone


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs, coded part by part; images and labels where known; ``shown``: which they are, in
    words."""

    inputs: Inputs
    images: ImageArray | None
    labels: IntArray | None
    shown: str
    notes: tuple[str, ...] = ()


def bundle_samples(bundle: Bundle, count: int, data: Path | None) -> Samples:
    """The first test samples of the bundle's data set, or of the user's file; its golden inputs
    without either."""
    name = bundle.manifest.get("source", {}).get("dataset")
    if name is not None:
        found = data_of(trained_as(bundle.manifest["source"]), data)
        part = found.test.first(count)
        shown = f"first {len(part):,} of {len(found.test):,} test samples of {name}"
        return samples_of(bundle, part.images[:], part.labels, shown)
    if data is not None:
        own = load_user_samples(data, sample_shape(bundle), entry_of(bundle))
        _check_enters(bundle, data, own.images)
        labels = None if own.labels is None else own.labels[:count]
        amount = min(count, len(own.images))
        shown = f"first {amount:,} of {counted(len(own.images), 'sample')} of your {data.name}"
        return replace(samples_of(bundle, own.images[:count], labels, shown), notes=own.notes)
    return golden_samples(bundle, count)


def _check_enters(bundle: Bundle, path: Path, images: ImageArray) -> None:
    """What a user's module makes of its samples enters the chip, not the samples; frames for each
    step are no still image."""
    source = bundle.manifest.get("source", {})
    frames = images.ndim == len(sample_shape(bundle)) + 2
    encoder, wanted = source.get("encoder"), bool(source.get("frames"))
    if (encoder and not (wanted and frames)) or (wanted and not frames):
        raise DataError(
            str(path),
            found="frames" if frames else "still samples",
            allowed=f"what enters: the frames (N, T, ...) that {encoder} makes of samples"
            if encoder
            else "frames (N, T, ...), as those of the export",
            hint="without --data the bundle's own golden inputs are verified",
        )


def golden_samples(bundle: Bundle, count: int | None = None) -> Samples:
    """The golden inputs, which stand in where a bundle names no data set."""
    if bundle.golden is None:
        raise DataError(
            str(bundle.folder), found="neither a data set nor golden inputs", hint="export again"
        )
    inputs = bundle.golden.inputs[:, :count]
    origin = bundle.manifest.get("golden_inputs")
    shown = counted(inputs.shape[1], "golden sample") + (f" ({origin})" if origin else "")
    return Samples(as_inputs(inputs), None, None, shown)


def samples_hash(inputs: IntArray | Inputs) -> str:
    """SHA-256 of inputs (T, B, *shape), each sample's frames once if they are all the same."""
    given = as_inputs(inputs)
    steps, _, *shape = given.part(0, min(1, given.samples)).shape
    whole = hashlib.sha256(f"{steps} {given.samples} {shape}".encode())
    for _, part in given.batches(AT_ONCE):
        for b in range(part.shape[1]):
            frames = part[:, b]
            still = part.strides[0] == 0 or bool((frames == frames[:1]).all())
            kept = np.ascontiguousarray(frames[:1] if still else frames, dtype="<i8")
            whole.update(b"still" if still else b"moving")
            whole.update(kept.tobytes())
    return whole.hexdigest()


def samples_of(bundle: Bundle, images: ImageArray, labels: IntArray | None, shown: str) -> Samples:
    """*images* as they enter the bundle."""
    encode = encoder_of(bundle)
    inputs = Inputs(len(images), lambda first, last: encode(images[first:last]))
    return Samples(inputs, images, labels, shown)


def trained_as(source: Mapping[str, Any]) -> TrainConfig:
    """How the network was trained, which says how it sees recordings of events."""
    table = source.get("train", {})
    return configure(table.get("dataset", source["dataset"]), None, table)
