"""Image data sets as uint8 arrays, with fixed splits, read without torchvision.

name            source                            train   val    test    validation split
digits          scikit-learn, 8 x 8, embedded      1,257    180     360  by one fixed shuffle
fashion-mnist   idx(.gz), arXiv 1708.07747        55,000  5,000  10,000  last of the train file
mnist           idx(.gz)                          55,000  5,000  10,000  last of the train file
cifar10         binary version, Krizhevsky 2009   45,000  5,000  10,000  last of the fifth batch

The test split is only read to report; choices are made on the validation split, calibration
samples come from the training split.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tssd.config import unknown_name
from tssd.errors import DataError
from tssd.train.idx import read_bytes, read_idx

ByteArray = npt.NDArray[np.uint8]
LabelArray = npt.NDArray[np.int64]

FASHION_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # `dpkg -L dataset-fashion-mnist`
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"  # its readme's links
# SHA-256 of the unpacked files: Debian's package holds the same bytes packed differently.
FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
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
CIFAR_ROW = 1 + 3 * 32 * 32


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, C, H, W) of 0..255 and their labels (N,)."""

    images: ByteArray
    labels: LabelArray

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> "Split":
        """The first *count* samples; all of them if *count* is 0."""
        return Split(self.images[:count], self.labels[:count]) if count else self


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three disjoint splits; ``classes`` are the names in the order of the labels."""

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.train.images.shape[1:]


def load(name: str, data_dir: Path | None = None, download: bool = False) -> Dataset:
    """The data set *name*.

    Files are looked for in *data_dir*, else in the folder that ``TSSD_DATA`` names (or its
    subfolder called *name*), else, for Fashion-MNIST, where Debian's package puts them. With
    *download*, Fashion-MNIST is fetched into *data_dir* and checked against known hashes.
    Raises DataError if files are missing or damaged, ConfigError for an unknown name.
    """
    if name not in LOADERS:
        raise unknown_name("data set", repr(name), name, LOADERS)
    if download:
        _download_fashion(name, data_dir)
    return LOADERS[name](data_dir)


def _digits(data_dir: Path | None) -> Dataset:
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    images = np.rint(np.asarray(data) * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = Split(images[order], np.asarray(target, np.int64)[order])
    return Dataset(
        "digits",
        _part(shuffled, 540, None),
        _part(shuffled, 360, 540),
        _part(shuffled, 0, 360),
        DIGIT_CLASSES,
    )


def _part(split: Split, start: int, stop: int | None) -> Split:
    return Split(
        np.ascontiguousarray(split.images[start:stop]),
        np.ascontiguousarray(split.labels[start:stop]),
    )


def _fashion(data_dir: Path | None) -> Dataset:
    return _idx_set("fashion-mnist", _folder("fashion-mnist", data_dir), FASHION_CLASSES)


def _mnist(data_dir: Path | None) -> Dataset:
    return _idx_set("mnist", _folder("mnist", data_dir), DIGIT_CLASSES)


def _idx_set(name: str, folder: Path, classes: tuple[str, ...]) -> Dataset:
    train, test = (_idx_split(folder, prefix) for prefix in ("train", "t10k"))
    return _with_validation(name, train, test, classes)


def _idx_split(folder: Path, prefix: str) -> Split:
    images = read_idx(_one_of(folder, f"{prefix}-images", "idx3-ubyte"), 3)
    labels_path = _one_of(folder, f"{prefix}-labels", "idx1-ubyte")
    labels = read_idx(labels_path, 1)
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
    return Dataset(name, _part(train, 0, cut), _part(train, cut, None), test, classes)


def _cifar10(data_dir: Path | None) -> Dataset:
    folder = _folder("cifar10", data_dir)
    nested = folder / "cifar-10-batches-bin"
    folder = nested if nested.is_dir() else folder
    names = [f"data_batch_{i}.bin" for i in range(1, 6)]
    parts = [_cifar_file(_present(folder / name)) for name in names]
    train = Split(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )
    test = _cifar_file(_present(folder / "test_batch.bin"))
    return _with_validation("cifar10", train, test, CIFAR10_CLASSES)


def _cifar_file(path: Path) -> Split:
    raw = np.fromfile(path, np.uint8)
    if len(raw) == 0 or len(raw) % CIFAR_ROW:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes",
            allowed=f"a multiple of {CIFAR_ROW} (label, pixels)",
        )
    rows = raw.reshape(-1, CIFAR_ROW)
    return Split(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64))


def _folder(name: str, data_dir: Path | None) -> Path:
    """Where the files of *name* are: --data, TSSD_DATA, or Debian's package."""
    places = [data_dir] if data_dir else []
    if not data_dir and os.environ.get("TSSD_DATA"):
        places.append(Path(os.environ["TSSD_DATA"]))
    if not places and name == "fashion-mnist":
        places.append(FASHION_DEBIAN)
    for place in places:
        for folder in (place / name, place):
            if folder.is_dir() and any(folder.iterdir()):
                return folder
    looked = ", ".join(map(str, places)) or "nowhere: no folder was given"
    raise DataError(f"data set {name}", found=f"no files (looked in {looked})", hint=_hint(name))


def _hint(name: str) -> str:
    if name == "fashion-mnist":
        return "apt install dataset-fashion-mnist, or --data DIR --download, or TSSD_DATA=DIR"
    return f"--data DIR with the published {name} files, or TSSD_DATA=DIR"


def _one_of(folder: Path, stem: str, kind: str) -> Path:
    """The idx file under the names in use: dash or dot before the kind, packed or not."""
    names = [f"{stem}{dot}{kind}{end}" for end in (".gz", "") for dot in "-."]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(str(folder), found=f"no file {names[0]}", allowed=", ".join(names))


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DataError(str(path), found="no such file", hint=_hint("cifar10"))
    return path


def _download_fashion(name: str, data_dir: Path | None) -> None:
    if name != "fashion-mnist" or data_dir is None:
        raise DataError(
            f"--download of {name}", found="no source", allowed="fashion-mnist with --data DIR"
        )
    folder = data_dir / "fashion-mnist"
    folder.mkdir(parents=True, exist_ok=True)
    for file, expected in FASHION_SHA256.items():
        path = folder / f"{file}.gz"
        if not path.exists():
            _fetch(FASHION_URL + path.name, path, expected)
        check_sha256(path, expected)


def _fetch(url: str, path: Path, expected: str) -> None:
    part = path.with_name("part-" + path.name)
    try:
        urllib.request.urlretrieve(url, part)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(url, found=f"no answer ({error})", hint=_hint("fashion-mnist")) from None
    check_sha256(part, expected)
    part.replace(path)


def check_sha256(path: Path, expected: str) -> None:
    """Raise DataError unless the SHA-256 of the (unpacked) file is *expected*."""
    found = sha256(read_bytes(path)).hexdigest()
    if found != expected:
        raise DataError(
            str(path),
            found=f"SHA-256 {found} ({path.stat().st_size} bytes)",
            allowed=expected,
            hint="remove the file and fetch it again",
        )


LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": _digits,
    "fashion-mnist": _fashion,
    "mnist": _mnist,
    "cifar10": _cifar10,
}
