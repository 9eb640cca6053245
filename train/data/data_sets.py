"""Data sets by name, with fixed splits.

name            source                            train   val    test    validation split
digits          scikit-learn, 8 x 8, embedded      1,257    180     360  by one fixed shuffle
fashion-mnist   idx(.gz), arXiv 1708.07747        55,000  5,000  10,000  last of the train file
mnist           idx(.gz)                          55,000  5,000  10,000  last of the train file
cifar10         binary version, Krizhevsky 2009   45,000  5,000  10,000  last of the fifth batch
cifar100        binary version, Krizhevsky 2009   45,000  5,000  10,000  last of the train file
imagenet-folder class folders, 256 -> 224 pixels  98 %    2 %   val/    every fiftieth
cifar10-dvs     AEDAT 2, Li et al. 2017            8,000  1,000   1,000  last tenths of each class
dvs-gesture     AEDAT 3.1, Amir et al. 2017        1,059    117     288  last tenth
shd             HDF5, Cramer et al. 2020           7,341    815   2,264  last tenth
n-mnist-simulated, n-fashion-simulated             4,000    500   2,000  drawn from those splits
n-mnist         .bin, Orchard et al. 2015         54,000  6,000  10,000  last tenth by number

The test split is only read to report; choices are made on the validation split, calibration
samples come from the training split. Nothing is fetched unless it is asked for.
"""

import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tssd.arrays import ByteArray
from tssd.config import unknown_name
from tssd.errors import ConfigError, DataError
from tssd.train.data import event_data, image_data
from tssd.train.data.data_files import FASHION_DEBIAN, FASHION_SHA256, check_sha256, hint
from tssd.train.data.events import Framing
from tssd.train.data.splits import Dataset, LabelArray, Split

__all__ = [
    "EVENT_LOADERS",
    "FASHION_DEBIAN",
    "LOADERS",
    "ByteArray",
    "Dataset",
    "LabelArray",
    "Split",
    "check_sha256",
    "load",
]

FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"  # its readme's links
LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": image_data.digits,
    "fashion-mnist": image_data.fashion,
    "mnist": image_data.mnist,
    "cifar10": image_data.cifar10,
    "cifar100": image_data.cifar100,
    "imagenet-folder": image_data.imagenet_folder,
}
EMBEDDED = ("digits",)  # come with a package that is installed
EVENT_LOADERS: dict[str, Callable[[Path | None, Framing], Dataset]] = {
    "n-mnist": event_data.nmnist,
    "cifar10-dvs": event_data.cifar10_dvs,
    "dvs-gesture": event_data.dvs_gesture,
    "shd": event_data.shd,
    "n-mnist-simulated": partial(event_data.simulated, "mnist", "n-mnist-simulated"),
    "n-fashion-simulated": partial(event_data.simulated, "fashion-mnist", "n-fashion-simulated"),
}


def load(
    name: str,
    data_dir: Path | None = None,
    download: bool = False,
    framing: Framing | None = None,
) -> Dataset:
    """The data set *name*; recordings of events are cut into frames as *framing* says.

    Files are looked for in *data_dir*, else in the folder that ``TSSD_DATA`` names (or its
    subfolder called *name*), else, for Fashion-MNIST, where Debian's package puts them. With
    *download*, Fashion-MNIST is fetched into *data_dir* and checked against known hashes.
    Raises DataError if files are missing or damaged, ConfigError for an unknown name, and for
    files that a data set does not need.
    """
    known = [*LOADERS, *EVENT_LOADERS]
    if name not in known:
        raise unknown_name("data set", repr(name), name, known)
    if download:
        _download_fashion(name, data_dir)
    if name in EMBEDDED and data_dir is not None:
        raise ConfigError(
            f"--data {data_dir}",
            found=f"an option with nothing to act on: {name} needs no files",
            allowed=f"no --data with {name}",
            hint="--dataset own trains on samples of your own; --inputs simulates them",
        )
    if name in EVENT_LOADERS:
        return EVENT_LOADERS[name](data_dir, framing or Framing())
    return LOADERS[name](data_dir)


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
        raise DataError(url, found=f"no answer ({error})", hint=hint("fashion-mnist")) from None
    check_sha256(part, expected)
    part.replace(path)
