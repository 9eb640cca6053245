"""Where the files of a data set are, and whether they are what they should be."""

import os
from hashlib import sha256
from pathlib import Path

from tssd.errors import DataError
from tssd.train.data.idx import read_bytes

FASHION_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # `dpkg -L dataset-fashion-mnist`
# SHA-256 of the unpacked files: Debian's package holds the same bytes packed differently.
FASHION_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
INSTALLED = {"fashion-mnist": FASHION_DEBIAN}
# Where the publishers offer the files; nothing is fetched without being asked for.
SOURCES = {
    "fashion-mnist": "apt install dataset-fashion-mnist; --data DIR --download; or TSSD_DATA=DIR",
    "mnist": "the idx files of http://yann.lecun.com/exdb/mnist",
    "cifar10": "the binary version of https://www.cs.toronto.edu/~kriz/cifar.html",
    "cifar100": "the binary version of https://www.cs.toronto.edu/~kriz/cifar.html",
    "imagenet-folder": "train/<class>/ and val/<class>/ folders of images (https://image-net.org)",
    "cifar10-dvs": "the .aedat files of https://figshare.com/articles/dataset/4724671, unpacked",
    "dvs-gesture": "DvsGesture.tar.gz of https://research.ibm.com/interactive/dvsgesture, unpacked",
    "shd": "shd_train.h5, shd_test.h5 of https://zenkelab.org/datasets, unpacked",
    "n-mnist": "Train.zip, Test.zip of https://www.garrickorchard.com/datasets/n-mnist, unpacked",
}


def folder(name: str, data_dir: Path | None) -> Path:
    """Where the files of *name* are: --data, TSSD_DATA, or where a package puts them."""
    places = [data_dir] if data_dir else []
    if not data_dir and os.environ.get("TSSD_DATA"):
        places.append(Path(os.environ["TSSD_DATA"]))
    if not places and name in INSTALLED:
        places.append(INSTALLED[name])
    for place in places:
        for found in (place / name, place):
            if found.is_dir() and any(found.iterdir()):
                return found
    looked = ", ".join(map(str, places)) or "nowhere: no folder was given"
    raise DataError(f"data set {name}", found=f"no files (looked in {looked})", hint=hint(name))


def inside(place: Path, name: str) -> Path:
    """The folder *name* in *place* where there is one, else *place*."""
    nested = place / name
    return nested if nested.is_dir() else place


def hint(name: str) -> str:
    """What to do when files of *name* are missing."""
    if name == "fashion-mnist":
        return SOURCES[name]
    return f"--data DIR (or TSSD_DATA=DIR) with {SOURCES[name]}"


def one_of(place: Path, stem: str, kind: str) -> Path:
    """The idx file under the names in use: dash or dot before the kind, packed or not."""
    names = [f"{stem}{dot}{kind}{end}" for end in (".gz", "") for dot in "-."]
    for name in names:
        if (place / name).is_file():
            return place / name
    raise DataError(str(place), found=f"no file {names[0]}", allowed=", ".join(names))


def present(path: Path, data_set: str) -> Path:
    """*path*, which must be a file."""
    if not path.is_file():
        raise DataError(str(path), found="no such file", hint=hint(data_set))
    return path


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
