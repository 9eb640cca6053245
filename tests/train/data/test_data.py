"""Data sets: fixed splits, formats read back, damaged files named."""

import gzip
import io
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tssd.errors import ConfigError, DataError
from tssd.train.data import idx
from tssd.train.data.data_sets import FASHION_DEBIAN, check_sha256, load
from tssd.train.data.idx import read_idx
from tssd.train.data.image_data import CIFAR_PIXELS
from tssd.train.data.pictures import read_picture
from tssd.train.loop.augment import augment


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 20), ("t10k", 6)):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 5, 4)))
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", np.arange(count) % 10)
    return tmp_path


def test_digits_are_real_and_split_once() -> None:
    data = load("digits")
    assert data.shape == (1, 8, 8)
    assert [len(s) for s in (data.train, data.val, data.test)] == [1257, 180, 360]
    images = [s.images.reshape(len(s), -1) for s in (data.train, data.val, data.test)]
    assert max(i.max() for i in images) == 255
    again = load("digits")
    assert np.array_equal(again.test.images, data.test.images)


@pytest.mark.parametrize("place", ["x.npz", "."])
def test_files_for_a_data_set_that_needs_none_are_refused(place: str, tmp_path: Path) -> None:
    """Whoever names samples of their own would else be answered about the digits."""
    with pytest.raises(ConfigError, match="with nothing to act on: digits needs no files"):
        load("digits", tmp_path / place)


def test_idx_files_are_read_back(folder: Path) -> None:
    data = load("mnist", folder)
    assert data.train.images.shape == (10, 1, 5, 4)
    assert list(data.val.labels) == list(range(10))
    assert list(data.test.labels) == list(range(6))


def test_cifar10_binary_is_read_back(tmp_path: Path) -> None:
    rows = np.arange(4 * (1 + CIFAR_PIXELS), dtype=np.int64).reshape(4, -1).astype(np.uint8)
    rows[:, 0] = [3, 1, 4, 1]
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        rows.tofile(tmp_path / name)
    data = load("cifar10", tmp_path)
    assert data.shape == (3, 32, 32)
    assert list(data.test.labels) == [3, 1, 4, 1]
    assert np.array_equal(data.test.images[2].ravel(), rows[2, 1:])


def test_environment_names_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSSD_DATA", str(folder))
    assert len(load("fashion-mnist").test) == 6


def test_missing_files_say_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no files \(looked in .*apt install"):
        load("fashion-mnist", tmp_path / "nothing")


def test_a_truncated_file_is_named(folder: Path) -> None:
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="t10k-images.*bytes that are no whole gzip"):
        load("mnist", folder)


def test_a_short_array_names_both_sizes(folder: Path) -> None:
    path = folder / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-2]))
    with pytest.raises(DataError, match="found 12 bytes; allowed: 14, as its header says"):
        load("mnist", folder)


def test_foreign_bytes_are_no_idx(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"hello, world"))
    with pytest.raises(DataError, match="magic 68656c6c"):
        load("mnist", folder)


def test_checksum_names_found_and_expected(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    with pytest.raises(DataError, match=r"SHA-256 ba7816bf.*3 bytes.*allowed: 00ff"):
        check_sha256(path, "00ff")


def test_unknown_data_set_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fashion-mnist'"):
        load("fashon-mnist")


@pytest.mark.skipif(not FASHION_DEBIAN.is_dir(), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian() -> None:
    data = load("fashion-mnist")
    assert (len(data.train), len(data.val), len(data.test)) == (55000, 5000, 10000)
    assert data.shape == (1, 28, 28)


def test_augmentation_moves_and_mirrors_whole_images() -> None:
    image = np.zeros((400, 1, 6, 6), np.uint8)
    image[:, 0, 2, 1] = 9
    moved = augment(image, np.random.default_rng(0), flip=True, shift=1)
    places = {tuple(np.argwhere(m[0] == 9)[0]) for m in moved}
    assert places == {(r, c) for r in (1, 2, 3) for c in (0, 1, 2, 3, 4, 5)}
    assert (moved.sum((1, 2, 3)) == 9).all()


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    rows = np.arange(4 * (2 + CIFAR_PIXELS), dtype=np.int64).reshape(4, -1).astype(np.uint8)
    rows[:, 1] = [99, 0, 42, 7]
    for name in ("train.bin", "test.bin"):
        rows.tofile(tmp_path / name)
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"c{i}" for i in range(100)) + "\n")
    data = load("cifar100", tmp_path)
    assert list(data.test.labels) == [99, 0, 42, 7]
    assert np.array_equal(data.test.images[2].ravel(), rows[2, 2:])
    assert data.classes[42] == "c42"


def test_a_label_out_of_range_names_the_image(tmp_path: Path) -> None:
    rows = np.zeros((3, 2 + CIFAR_PIXELS), np.uint8)
    rows[1, 1] = 100
    for name in ("train.bin", "test.bin"):
        rows.tofile(tmp_path / name)
    with pytest.raises(DataError, match=r"train\.bin, image 1: found label 100; allowed: 0\.\.99"):
        load("cifar100", tmp_path)


def write_pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 26), ("val", 2)):
        for name in ("n01", "n02"):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (300, 280, 3), np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i:02d}.png")


def test_a_folder_of_images_is_read_when_asked(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    data = load("imagenet-folder", tmp_path)
    assert (data.shape, data.classes) == ((3, 224, 224), ("n01", "n02"))
    assert [len(s) for s in (data.train, data.val, data.test)] == [51, 1, 4]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    (tmp_path / "train" / "n02" / "25.png").write_bytes(b"no image")
    first = data.train.part(0, 2).images[np.array([1])]  # the damaged one was not read
    assert first.shape == (1, 3, 224, 224)
    with pytest.raises(DataError, match=r"25\.png: found 8 bytes that are no image"):
        data.train.images[50:51]


def test_pictures_are_resized_and_cut_from_the_middle(tmp_path: Path) -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 90:110] = (255, 0, 10)  # the middle fifth of the cut
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", 100, 80)
    assert found.shape == (3, 80, 80)
    assert (found[0, :, 30:50] == 255).all()
    assert (found[:, :, 50:] == 0).all()
    doubled = read_picture(tmp_path / "a.png", 200, 160)
    assert (doubled[2, :, 62:98] == 10).all()


def test_a_picture_that_lies_is_one_message(tmp_path: Path) -> None:
    """A header of 10^10 pixels; a broken chunk; a format that no picture of the set has."""
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    good = path.read_bytes()
    size, kind = good.index(b"IHDR") + 4, good.index(b"IDAT")
    head = good[size - 4 : size] + (100_000).to_bytes(4) * 2 + good[size + 8 : size + 13]
    huge = good[: size - 4] + head + zlib.crc32(head).to_bytes(4) + good[size + 17 :]
    tiff = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tiff, "TIFF")
    for damaged in (huge, good[:kind] + b"\0\0\0\0" + good[kind + 4 :], tiff.getvalue()):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.png: found \d+ bytes that are no image \("):
            read_picture(path, 100, 80)


def test_a_damaged_file_of_the_published_size_names_both_hashes(tmp_path: Path) -> None:
    write_idx(tmp_path / "a.gz", np.arange(60) % 10)
    good = sha256(gzip.decompress((tmp_path / "a.gz").read_bytes())).hexdigest()
    assert len(read_idx(tmp_path / "a.gz", 1, (60, good))) == 60
    write_idx(tmp_path / "a.gz", np.arange(60) % 9)
    with pytest.raises(DataError, match=rf"a\.gz: found SHA-256 \w+ \(68 bytes\); allowed: {good}"):
        read_idx(tmp_path / "a.gz", 1, (60, good))
    assert len(read_idx(tmp_path / "a.gz", 1, (61, good))) == 60  # a part of the set


def test_sizes_are_not_believed_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2^32 x 2^32 x 2^32 is 0 in 64 bits."""
    path = tmp_path / "a"
    path.write_bytes(bytes((0, 0, 8, 3)) + b"\x80\x00\x00\x00" * 3)
    with pytest.raises(DataError, match=f"found 16 bytes; allowed: {16 + (1 << 93)}"):
        read_idx(path, 3)
    monkeypatch.setattr(idx, "MOST_UNPACKED", 1 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(DataError, match="unpack to more than 1 MiB"):
        read_idx(tmp_path / "a.gz", 3)
