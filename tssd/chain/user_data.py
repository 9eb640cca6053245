"""Samples as a user has them -> arrays: a file, arrays in memory, a Dataset of torch or tonic.

What an array holds decides what the user's module sees of it (``Given.as_seen``):

uint8     pixels: x / 255, as ToTensor does; if nothing but 0 and 1 occurs, spikes: x
bool      spikes: 0 or 1
float     x, as it is
"""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tssd.arrays import Array, ByteArray
from tssd.calibration.integer import IntArray
from tssd.errors import ConfigError, DataError, refusing
from tssd.export.reading.arrays import DAMAGE, read_array, read_arrays
from tssd.export.reading.stand_in import refuse_stand_in
from tssd.train.named import import_named

MAX_BYTES = 1 << 33  # of inputs and labels
KINDS = ".npz or .npy, arrays, a torch Dataset or a tonic data set"
FILES = "an .npy file, or an .npz file with 'inputs' (and 'labels')"
HINT = "a transform that gives arrays or tensors, as torchvision's ToTensor() or tonic's ToFrame()"
BYTE_MAX = 255
FloatSamples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Given:
    """``inputs`` (N, ...) of any type of number, ``labels`` (N,) where known; ``origin`` for
    messages. ``unit`` is what counts as 1: 255 of pixels."""

    inputs: Array
    labels: IntArray | None
    origin: str
    unit: int = 1

    def __len__(self) -> int:
        return len(self.inputs)

    def part(self, chosen: slice) -> "Given":
        """Those samples alone."""
        labels = None if self.labels is None else self.labels[chosen]
        return replace(self, inputs=self.inputs[chosen], labels=labels)

    def as_seen(self) -> FloatSamples:
        """What the user's module is given of them."""
        return self.inputs.astype(np.float32) / np.float32(self.unit)

    def as_bytes(self) -> ByteArray:
        """The same in 255ths, uint8; DataError where that would change a value."""
        if self.unit == BYTE_MAX:
            return self.inputs.astype(np.uint8)
        scaled = self.as_seen() * np.float32(BYTE_MAX)
        rounded: ByteArray = np.clip(np.rint(scaled), 0, BYTE_MAX).astype(np.uint8)
        off = rounded.astype(np.float32) / np.float32(BYTE_MAX) != self.as_seen()
        if off.any():
            at = tuple(int(i) for i in np.argwhere(off)[0])
            raise DataError(
                f"{self.origin} {list(at)}",
                found=f"{self.inputs[at]:.6g} ({self.inputs.dtype})",
                allowed="uint8, or multiples of 1 / 255 from 0 to 1",
            )
        return rounded


def gather(source: Any, labels: Any = None, most: int | None = None, seed: int = 0) -> Given:
    """The samples of *source*; of a data set at most *most*, drawn by *seed*.

    *source*: the path of a file, ``pkg.module:name`` of something importable, arrays, a data set.
    *labels* are given beside arrays only: a file and a data set bring their own.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.suffix not in (".npz", ".npy") and ":" in str(source):
            return gather(_imported(str(source)), labels, most, seed)
        inputs, own = _file(path)
        if own is not None and labels is not None:
            raise DataError("labels", found="labels beside a file with 'labels'", allowed="either")
        return _given(inputs, own if labels is None else labels, str(path))
    if _is_array(source):
        return _given(_array(source), labels, "samples")
    if hasattr(source, "batch_sampler"):
        raise DataError("samples", found="a DataLoader", allowed=KINDS, hint="its .dataset")
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        if labels is not None:
            raise DataError("labels", found="labels beside a data set", allowed="the set's own")
        return _of_data_set(source, most, seed)
    raise DataError("samples", found=type(source).__name__, allowed=KINDS)


def test_of(source: Path | str) -> Given | None:
    """``test_inputs`` and ``test_labels`` of a file that holds them."""
    path = Path(source)
    if not zipfile.is_zipfile(path):
        return None
    inputs, labels = _members(path, "test_inputs", "test_labels")
    return None if inputs is None else _given(inputs, labels, f"{path}: test_inputs")


def _imported(name: str) -> Any:
    try:
        found = getattr(*import_named(name))
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            "--samples", found=f"{name!r} ({error})", allowed=f"{KINDS}, as pkg.module:name"
        ) from None
    is_function = callable(found) and not hasattr(found, "__getitem__")
    return found() if is_function else found


def _file(path: Path) -> tuple[Array, Array | None]:
    """Inputs and labels (or None)."""
    refuse_stand_in(path, FILES, DataError)
    with refusing(DAMAGE, DataError, str(path), "no array", allowed=FILES):
        if not zipfile.is_zipfile(path):
            return read_array(path, MAX_BYTES), None
    inputs, labels = _members(path, "inputs", "labels")
    if inputs is None:
        raise DataError(str(path), found="no 'inputs'", allowed=FILES)
    return inputs, labels


def _members(path: Path, *names: str) -> tuple[Array | None, Array | None]:
    """Two arrays of an ``.npz``, None where it has none of the name."""
    with refusing(DAMAGE, DataError, str(path), "no array", allowed=FILES):
        arrays = read_arrays(path, names, MAX_BYTES)
    return arrays.get(names[0]), arrays.get(names[1])


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def _array(value: Any) -> Array:
    found: Array = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    return found


def _given(inputs: Array, labels: Any, origin: str) -> Given:
    """Numbers, at least one sample, a whole number per sample as its label."""
    if inputs.dtype.kind not in "buif" or inputs.dtype.itemsize > 8:
        raise DataError(origin, found=f"{inputs.dtype}", allowed="uint8, bool or float32")
    if inputs.ndim < 2 or not inputs.size:
        raise DataError(
            origin,
            found=f"shape {inputs.shape}",
            allowed="(N, *one sample), one sample or more",
            hint="one sample alone: x[None]" if inputs.ndim == 1 else None,
        )
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(inputs))[0])
        raise DataError(f"{origin} {list(at)}", found=str(inputs[at]), allowed="finite numbers")
    unit = BYTE_MAX if inputs.dtype == np.uint8 and inputs.max() > 1 else 1
    if labels is None:
        return Given(inputs, None, origin, unit)
    classes = _array(labels) if _is_array(labels) else np.asarray(labels)
    if classes.dtype.kind not in "iu" or classes.shape != (len(inputs),):
        raise DataError(
            f"{origin}: labels",
            found=f"{classes.dtype} of shape {classes.shape}",
            allowed=f"{len(inputs)} whole numbers, one per sample",
        )
    if classes.min() < 0:
        raise DataError(f"{origin}: labels", found=f"label {classes.min()}", allowed=">= 0")
    return Given(inputs, classes.astype(np.int64), origin, unit)


# ---------------------------------------------------------------- data sets


def _of_data_set(source: Any, most: int | None, seed: int) -> Given:
    """Items (sample, target) or samples alone, drawn without repetition, in their order."""
    origin = f"data set {type(source).__name__}"
    numbers = np.arange(len(source))
    if most is not None and most < len(numbers):
        numbers = np.sort(np.random.default_rng(seed).choice(len(numbers), most, replace=False))
    if not len(numbers):
        raise DataError(origin, found="no samples", allowed="one sample or more")
    items = [source[int(number)] for number in numbers]
    pairs = [item if isinstance(item, tuple | list) else (item,) for item in items]
    inputs = [_sample(pair[0], f"{origin}[{n}]") for pair, n in zip(pairs, numbers, strict=True)]
    shapes = {x.shape for x in inputs}
    if len(shapes) > 1:
        odd = next(i for i, x in enumerate(inputs) if x.shape != inputs[0].shape)
        raise DataError(
            origin,
            found=f"shape {inputs[odd].shape} of sample {numbers[odd]} beside "
            f"{inputs[0].shape} of sample {numbers[0]}",
            allowed="one shape for all",
            hint="recordings: ToFrame(n_time_bins=T), which gives each the same number of frames",
        )
    return _given(np.stack(inputs), _targets(pairs), origin)


def _sample(value: Any, where: str) -> Array:
    if not _is_array(value) or not value.ndim:
        raise DataError(where, found=type(value).__name__, allowed="an array", hint=HINT)
    array = _array(value)
    if array.dtype.names:
        raise DataError(where, found="a record of events", allowed="frames", hint=HINT)
    return array


def _targets(pairs: list[Any]) -> IntArray | None:
    """Class numbers; None where targets are something else, as in regression."""
    targets = [np.asarray(pair[1]) for pair in pairs if len(pair) > 1]
    whole = all(t.ndim == 0 and t.dtype.kind in "iu" for t in targets)
    if len(targets) < len(pairs) or not whole:
        return None
    return np.array([int(t) for t in targets], np.int64)
