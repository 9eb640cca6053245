"""Every command that reads .npz or .npy: a damaged file is one clear message and exit code 2."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from netx_files import small_image_network, write_net
from spike_records import write_record
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.chain.user_samples import load_integers, load_samples
from tssd.cli import main
from tssd.errors import DataError, FileFormatError
from tssd.export.bundle.folder import read_bundle, write_bundle
from tssd.export.bundle.golden import make_golden
from tssd.export.reading.arrays import read_arrays
from tssd.hw_targets.sim.record import read_record
from tssd.hw_targets.sim.run_file import load_run, save_run
from tssd.simulating.simulation import Request, simulate_bundle

Arrays = Mapping[str, npt.NDArray[Any]]
COMMANDS = ("simulate --spikes", "simulate --inputs", "simulate --price", "diff", "import")


class House:
    """A bundle, a lava-dl file, and for every command the arrays that it reads."""

    def __init__(self, folder: Path) -> None:
        network = random_conv_network(5, Reset.SOFT, time_steps=6)
        self.folder, self.bundle = folder, folder / "bundle"
        inputs = random_inputs(network, 1, 3)
        write_bundle(self.bundle, network, golden=make_golden(network, inputs))
        self.net = write_net(folder / "a.net", small_image_network(np.random.default_rng(4)))
        run = simulate_bundle(Request(self.bundle, mode="bound"))
        write_record(folder / "spikes.npz", run.record)
        save_run(folder / "run.npz", run)
        spikes = read_arrays(folder / "spikes.npz")
        self.arrays: dict[str, Arrays] = {
            "simulate --spikes": spikes,
            "simulate --inputs": {"inputs": inputs},
            "simulate --price": read_arrays(folder / "run.npz"),
            "diff": spikes,
            "import": {"inputs": np.arange(36, dtype=np.uint8).reshape(1, 1, 6, 6)},
        }

    def words(self, command: str, path: Path) -> list[str]:
        """The command line that reads *path*."""
        words: dict[str, list[str | Path]] = {
            "simulate --spikes": ["simulate", self.bundle, "--spikes", path, "--json"],
            "simulate --inputs": ["simulate", self.bundle, "--inputs", path, "--json"],
            "simulate --price": ["simulate", path, "--price", "loihi2", "--json"],
            "diff": ["diff", path, path],
            "import": [
                *("import", self.net, "--out", path.parent / "out", "--inputs", path),
                *("--time-steps", "4", "--input", "graded", "--json"),
            ],
        }
        return [str(word) for word in words[command]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("arrays"))


def stored(arrays: Arrays) -> bytes:
    named: dict[str, Any] = {**arrays}
    file = io.BytesIO()
    np.savez_compressed(file, **named)
    return file.getvalue()


def truncated(arrays: Arrays) -> bytes:
    data = stored(arrays)
    return data[: len(data) // 2]


def corrupted(arrays: Arrays) -> bytes:
    """Every member's compressed bytes overwritten, the directory whole."""
    data = bytearray(stored(arrays))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for item in archive.infolist():
            start = item.header_offset + 30 + len(item.filename) + 20  # numpy's extra field
            data[start : start + 8] = b"\xff" * 8
    return bytes(data)


def objects(arrays: Arrays) -> bytes:
    named: dict[str, Any] = {name: values.astype(object) for name, values in arrays.items()}
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **named)
    return file.getvalue()


def huge(arrays: Arrays) -> bytes:
    """Headers that promise an exabyte."""
    return archived(dict.fromkeys(arrays, header("<i8", (1 << 57,))))


def wrong_magic(arrays: Arrays) -> bytes:
    return archived({name: b"\x93NUMPY\x09\x00" + bytes(90) for name in arrays})


def no_descr(arrays: Arrays) -> bytes:
    """Headers with an empty tuple for a type, over which numpy raises an IndexError."""
    return archived(dict.fromkeys(arrays, header((), (1,))))


def no_arrays(_: Arrays) -> bytes:
    return archived({})


def text(_: Arrays) -> bytes:
    return b"no arrays at all"


def nothing(_: Arrays) -> bytes:
    return b""


def mistyped(arrays: Arrays) -> bytes:
    return stored(
        {k: np.full((2, 2), "x" if v.dtype.kind == "U" else 0.5) for k, v in arrays.items()}
    )


def misshapen(arrays: Arrays) -> bytes:
    return stored({k: v if v.dtype.kind == "U" else v[..., None][:0] for k, v in arrays.items()})


def header(descr: object, shape: tuple[int, ...]) -> bytes:
    """An .npy header without the array."""
    said = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said


def archived(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


UNREADABLE = (truncated, corrupted, objects, huge, wrong_magic, no_descr, text, nothing)
WRONG = (no_arrays, mistyped, misshapen)  # sound files, which `diff` compares
CASES = [
    (command, damage)
    for command in COMMANDS
    for damage in (*UNREADABLE, *(() if command == "diff" else WRONG))
]


@pytest.mark.parametrize(("command", "damage"), CASES)
def test_damage_is_one_message(
    house: House,
    command: str,
    damage: Callable[[Arrays], bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "damaged.npz"
    path.write_bytes(damage(house.arrays[command]))
    with pytest.raises(SystemExit) as stopped:
        main(house.words(command, path))
    said = capsys.readouterr().err
    assert stopped.value.code == 2, said
    assert said.startswith("error: ")
    assert "found" in said
    assert len(said.splitlines()) <= 2


@pytest.mark.parametrize("steps", [-1, 0, 1 << 40])
def test_a_record_of_no_or_endless_steps_is_refused(
    house: House, steps: int, tmp_path: Path
) -> None:
    path = tmp_path / "r.npz"
    path.write_bytes(stored({**house.arrays["simulate --spikes"], "steps": np.array(steps)}))
    with pytest.raises(FileFormatError, match=f"found {steps} steps; allowed: 1 .. 16,777,216"):
        read_record(path, read_bundle(house.bundle).network)


def test_a_spike_comes_once(house: House, tmp_path: Path) -> None:
    arrays = dict(house.arrays["simulate --spikes"])
    name = next(n for n, a in arrays.items() if n.startswith("spikes/") and len(a))
    arrays[name] = np.concatenate([arrays[name], arrays[name][:1]])
    (tmp_path / "r.npz").write_bytes(stored(arrays))
    with pytest.raises(FileFormatError, match=rf"{name}: found step \d+, neuron \d+ 2 times"):
        read_record(tmp_path / "r.npz", read_bundle(house.bundle).network)


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("counter/spike", -1, "counter/spike: a count of -1"),
        ("slice_core", 10**6, "slices on cores"),
        ("step_ns", np.nan, "step_ns: not one time per step"),
    ],
)
def test_a_saved_run_holds_no_nonsense(
    array: str, value: float, message: str, house: House, tmp_path: Path
) -> None:
    arrays = dict(house.arrays["simulate --price"])
    assert array in arrays, sorted(arrays)
    arrays[array] = arrays[array].copy()
    arrays[array][0] = value
    (tmp_path / "r.npz").write_bytes(stored(arrays))
    with pytest.raises(FileFormatError, match=message):
        load_run(tmp_path / "r.npz")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("samples", 0, "samples: found 0; allowed: a whole number >= 1"),
        ("us_per_inference", -1.0, "us_per_inference: found -1"),
        ("mode", "guess", "mode: found 'guess'; allowed: cycle, bound"),
        ("cores", 1 << 70, "cores: found"),
        ("more", 1, "found unknown more"),
    ],
)
def test_a_saved_run_s_head_is_typed(
    key: str, value: object, message: str, house: House, tmp_path: Path
) -> None:
    arrays = dict(house.arrays["simulate --price"])
    head = json.loads(str(arrays["head"])) | {key: value}
    (tmp_path / "r.npz").write_bytes(stored({**arrays, "head": np.array(json.dumps(head))}))
    with pytest.raises(FileFormatError, match=message):
        load_run(tmp_path / "r.npz")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_whole_is_read(house: House, command: str, tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    path.write_bytes(stored(house.arrays[command]))
    with pytest.raises(SystemExit) as stopped:
        main(house.words(command, path))
    assert stopped.value.code == 0


@pytest.mark.parametrize("damage", [*UNREADABLE, *WRONG])
def test_calibration_samples_are_refused(damage: Callable[[Arrays], bytes], tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(damage({"inputs": np.zeros((2, 1, 6, 6), np.uint8), "labels": np.arange(2)}))
    with pytest.raises(DataError, match="found"):
        load_samples(path, (1, 6, 6))


@pytest.mark.parametrize("shape", [(), (0, 1, 6, 6), (2, 1, 5, 6)])
def test_samples_of_no_use_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))

    def integers(path: Path, shape: tuple[int, ...]) -> object:
        return load_integers(path, shape, 4)

    for load in (load_samples, integers):
        with pytest.raises(DataError, match=r"found shape .*one sample or more"):
            load(tmp_path / "x.npy", (1, 6, 6))


@pytest.mark.parametrize("data", [b"", b"no", header("<i8", (1 << 57,)), header("|O", (1,))])
def test_a_single_array_is_refused_likewise(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"no array \(|an empty file"):
        load_samples(path, (1, 6, 6))
