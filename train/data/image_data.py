"""Still images as uint8 arrays, read without torchvision."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np

from tssd.arrays import ByteArray
from tssd.errors import DataError
from tssd.train.data.data_files import FASHION_SHA256, folder, hint, inside, one_of, present
from tssd.train.data.idx import read_idx
from tssd.train.data.pictures import Pictures
from tssd.train.data.splits import Dataset, Split

FASHION_CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
DIGIT_CLASSES = tuple(str(digit) for digit in range(10))
VALIDATION = 5000
VALIDATION_EVERY = 50  # of the training images of a folder, one is for validation
PICTURES = {".jpeg", ".jpg", ".png", ".webp", ".bmp"}
CIFAR_PIXELS = 3 * 32 * 32


def digits(data_dir: Path | None) -> Dataset:
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    images = np.rint(np.asarray(data) * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = Split(images[order], np.asarray(target, np.int64)[order])
    return Dataset(
        "digits",
        _copy(shuffled.part(540, None)),
        _copy(shuffled.part(360, 540)),
        _copy(shuffled.part(0, 360)),
        DIGIT_CLASSES,
    )


def _copy(split: Split) -> Split:
    """Of its own memory, so that the whole can be freed."""
    return Split(np.ascontiguousarray(split.images), split.labels.copy())


def fashion(data_dir: Path | None) -> Dataset:
    return _idx_set(
        "fashion-mnist", folder("fashion-mnist", data_dir), FASHION_CLASSES, FASHION_SHA256
    )


def mnist(data_dir: Path | None) -> Dataset:
    return _idx_set("mnist", folder("mnist", data_dir), DIGIT_CLASSES, {})


def _idx_set(name: str, place: Path, classes: tuple[str, ...], known: Mapping[str, str]) -> Dataset:
    """Files as large as the published ones are held against their *known* hashes."""
    train, test = (_idx_split(place, prefix, known) for prefix in ("train", "t10k"))
    return _with_validation(name, train, test, classes)


def _idx_split(place: Path, prefix: str, known: Mapping[str, str]) -> Split:
    images_path = one_of(place, f"{prefix}-images", "idx3-ubyte")
    labels_path = one_of(place, f"{prefix}-labels", "idx1-ubyte")
    count = {"train": 60_000, "t10k": 10_000}[prefix]
    hashes = [known.get(f"{prefix}-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    images, labels = (
        read_idx(path, rank, (count, sha) if sha else None)
        for path, rank, sha in zip((images_path, labels_path), (3, 1), hashes, strict=True)
    )
    if len(labels) != len(images):
        raise DataError(
            str(labels_path), found=f"{len(labels)} labels", allowed=f"{len(images)}, as images"
        )
    return Split(images[:, None], labels.astype(np.int64))


def _with_validation(name: str, train: Split, test: Split, classes: tuple[str, ...]) -> Dataset:
    cut = max(len(train) - VALIDATION, len(train) // 2)
    top = max(int(train.labels.max()), int(test.labels.max()))
    if top >= len(classes):
        raise DataError(f"{name} labels", found=f"label {top}", allowed=f"0..{len(classes) - 1}")
    return Dataset(name, train.part(0, cut), train.part(cut, None), test, classes)


def cifar10(data_dir: Path | None) -> Dataset:
    place = inside(folder("cifar10", data_dir), "cifar-10-batches-bin")
    names = [f"data_batch_{i}.bin" for i in range(1, 6)]
    parts = [_cifar_file(present(place / name, "cifar10"), 1, 10) for name in names]
    train = Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
    test = _cifar_file(present(place / "test_batch.bin", "cifar10"), 1, 10)
    return _with_validation("cifar10", train, test, CIFAR10_CLASSES)


def cifar100(data_dir: Path | None) -> Dataset:
    """``train.bin`` and ``test.bin``; the fine labels, named in ``fine_label_names.txt``."""
    place = inside(folder("cifar100", data_dir), "cifar-100-binary")
    train, test = (
        _cifar_file(present(place / f"{part}.bin", "cifar100"), 2, 100)
        for part in ("train", "test")
    )
    names = place / "fine_label_names.txt"
    classes = names.read_text().split() if names.is_file() else map(str, range(100))
    return _with_validation("cifar100", train, test, tuple(classes))


def _cifar_file(path: Path, labels: int, classes: int) -> Split:
    """Rows of *labels* label bytes, of which the last counts, and 3 x 32 x 32 pixels."""
    raw, row = np.fromfile(path, np.uint8), labels + CIFAR_PIXELS
    if len(raw) == 0 or len(raw) % row:
        raise DataError(
            str(path), found=f"{len(raw)} bytes", allowed=f"a multiple of {row} (label, pixels)"
        )
    rows = raw.reshape(-1, row)
    found = rows[:, labels - 1].astype(np.int64)
    if found.max() >= classes:
        at = int(found.argmax())
        raise DataError(
            f"{path}, image {at}", found=f"label {found[at]}", allowed=f"0..{classes - 1}"
        )
    return Split(rows[:, labels:].reshape(-1, 3, 32, 32), found)


def imagenet_folder(data_dir: Path | None) -> Dataset:
    """``train/<class>/`` and ``val/<class>/`` of image files; sorted folder names are the labels.

    ``val`` is the test set; every fiftieth training image makes the validation set. Images are
    read when they are needed.
    """
    place = folder("imagenet-folder", data_dir)
    classes = tuple(sorted(path.name for path in (place / "train").glob("*") if path.is_dir()))
    if not classes:
        raise DataError(str(place), found="no folder train/<class>", hint=hint("imagenet-folder"))
    train, test = (_pictures(place / part, classes) for part in ("train", "val"))
    numbers = np.arange(len(train))
    held = numbers % VALIDATION_EVERY == VALIDATION_EVERY - 1
    kept, val = (_unread([train[i] for i in numbers[mask]]) for mask in (~held, held))
    return Dataset("imagenet-folder", kept, val, _unread(test), classes)


def _pictures(place: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """(file, label) of every image; another class than the training folder's is an error."""
    foreign = [p.name for p in place.glob("*") if p.is_dir() and p.name not in classes]
    if foreign:
        raise DataError(
            str(place), found=f"class {foreign[0]!r}", allowed=f"the {len(classes)} of train/"
        )
    pairs = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((place / name).glob("*"))
        if path.suffix.lower() in PICTURES
    ]
    if not pairs:
        raise DataError(str(place), found="no image", allowed=", ".join(sorted(PICTURES)))
    return pairs


def _unread(pairs: list[tuple[Path, int]]) -> Split:
    images = cast(ByteArray, Pictures([path for path, _ in pairs]))  # reads like an array
    return Split(images, np.array([label for _, label in pairs], np.int64))
