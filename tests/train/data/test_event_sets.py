"""Every event data set, read from small files in its publisher's format."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import random_events, write_aedat2, write_aedat31

from tssd.errors import DataError, FileFormatError
from tssd.train.data.data_sets import load
from tssd.train.data.event_data import GESTURES
from tssd.train.data.event_files import read_aedat2, read_aedat31, read_shd
from tssd.train.data.events import Events, Framing
from tssd.train.data.image_data import CIFAR10_CLASSES

DVS128 = (2, 128, 128)
NAMES = ("x", "y", "channel", "time_us")


def drawn(seed: int = 0, count: int = 250) -> Events:
    return random_events(np.random.default_rng(seed), count, DVS128)


def test_aedat2_is_read_back(tmp_path: Path) -> None:
    write_aedat2(tmp_path / "a.aedat", drawn())
    found = read_aedat2(tmp_path / "a.aedat")
    for name in NAMES:
        assert np.array_equal(getattr(found, name), getattr(drawn(), name)), name


def test_aedat31_is_read_back_without_other_packets_and_invalid_events(tmp_path: Path) -> None:
    write_aedat31(tmp_path / "a.aedat", drawn())
    found = read_aedat31(tmp_path / "a.aedat")
    for name in NAMES:
        assert np.array_equal(getattr(found, name), getattr(drawn(), name)), name


def test_a_truncated_aedat2_is_named(tmp_path: Path) -> None:
    write_aedat2(tmp_path / "a.aedat", drawn())
    (tmp_path / "a.aedat").write_bytes((tmp_path / "a.aedat").read_bytes()[:-3])
    with pytest.raises(DataError, match=r"a\.aedat: found 1997 bytes behind the header"):
        read_aedat2(tmp_path / "a.aedat")


def test_other_bytes_are_no_aedat(tmp_path: Path) -> None:
    (tmp_path / "a.aedat").write_bytes(bytes(80))
    with pytest.raises(DataError, match=r"a\.aedat: found bytes 00000000; allowed: #, an AEDAT"):
        read_aedat2(tmp_path / "a.aedat")


def test_another_version_is_refused_not_read_as_made_up_events(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat31(path, drawn())
    with pytest.raises(DataError, match=r"first line '#!AER-DAT3.1'; allowed: #!AER-DAT2.0"):
        read_aedat2(path)
    write_aedat2(path, drawn())
    with pytest.raises(DataError, match=r"first line '#!AER-DAT2.0'; allowed: #!AER-DAT3.1"):
        read_aedat31(path)
    path.write_bytes(b"# no version\r\n" + bytes(16))
    with pytest.raises(DataError, match=r"first line '# no version'"):
        read_aedat2(path)


def aedat2(path: Path, *events: tuple[int, int]) -> Path:
    path.write_bytes(b"#!AER-DAT2.0\r\n" + np.array(events, ">u4").tobytes())
    return path


def test_special_events_of_aedat2_are_passed_over(tmp_path: Path) -> None:
    path = aedat2(tmp_path / "a.aedat", (5 << 8, 1), (1 << 15, 2), (6 << 8, 3))
    found = read_aedat2(path)
    assert (found.y.tolist(), found.time_us.tolist()) == ([5, 6], [1, 3])


def test_an_address_of_another_camera_is_named(tmp_path: Path) -> None:
    path = aedat2(tmp_path / "a.aedat", (5 << 8, 1), (5 << 22 | 1 << 12, 2))
    with pytest.raises(DataError, match=r"event 1: found address 0x1401000; allowed: 16 bits"):
        read_aedat2(path)


def test_time_goes_on_beyond_32_bits(tmp_path: Path) -> None:
    """A clock of 32 bits begins again after 71 minutes; a small step back is only disorder."""
    times = (100, 1 << 31, (1 << 32) - 5, 3, 2, 70)
    path = aedat2(tmp_path / "a.aedat", *((0, t) for t in times))
    wanted = [100, 1 << 31, (1 << 32) - 5, *((1 << 32) + t for t in (3, 2, 70))]
    assert read_aedat2(path).time_us.tolist() == wanted
    packets = tmp_path / "b.aedat"
    write_aedat31(packets, drawn(count=5))
    raw = packets.read_bytes()
    at = raw.rindex(b"\x01\x00\x00\x00\x08\x00\x00\x00\x04")  # the last packet of events
    packets.write_bytes(raw[: at + 12] + (3).to_bytes(4, "little") + raw[at + 16 :])
    assert (read_aedat31(packets).time_us == drawn(count=5).time_us + (3 << 31)).all()


def test_another_camera_s_source_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat31(path, drawn())
    davis = path.read_bytes().replace(b"#Format: RAW", b"#Source 1: DAVIS240C")
    path.write_bytes(davis)
    with pytest.raises(DataError, match="found #Source 1: DAVIS240C; allowed: the camera DVS128"):
        read_aedat31(path)
    path.write_bytes(davis.replace(b"DAVIS240C", b"DVS128"))
    assert len(read_aedat31(path).x) == 250


def test_events_of_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat31(path, drawn())
    raw = path.read_bytes()
    at = raw.rindex(b"\x01\x00\x00\x00\x08\x00\x00\x00\x04")
    path.write_bytes(raw[: at + 4] + (4).to_bytes(4, "little") + raw[at + 8 :])
    with pytest.raises(DataError, match="polarity events of 4 bytes with the time at 4; allowed"):
        read_aedat31(path)


def test_a_truncated_aedat31_names_the_packet(tmp_path: Path) -> None:
    path = tmp_path / "a.aedat"
    write_aedat31(path, drawn())
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"bytes in the last packet; allowed: \d+, as its header"):
        read_aedat31(path)


def test_cifar10_dvs_is_split_class_by_class(tmp_path: Path) -> None:
    for label, name in enumerate(CIFAR10_CLASSES):
        for number in range(10):
            write_aedat2(tmp_path / name / f"cifar10_{name}_{number}.aedat", drawn(label, 20))
    data = load("cifar10-dvs", tmp_path, framing=Framing(4, gain=255))
    assert data.train.images.shape == (80, 4, *DVS128)
    assert [len(s) for s in (data.train, data.val, data.test)] == [80, 10, 10]
    assert data.test.labels.tolist() == list(range(10))


def write_gestures(folder: Path) -> None:
    for user in ("user01_fluorescent", "user02_led"):
        write_aedat31(folder / f"{user}.aedat", drawn(count=600))
        rows = [f"{label},{start},{start + 60_000}" for label, start in ((1, 0), (11, 90_000))]
        table = "\n".join(["class,startTime_usec,endTime_usec", *rows]) + "\n"
        (folder / f"{user}_labels.csv").write_text(table)
    (folder / "trials_to_train.txt").write_text("user01_fluorescent.aedat\n")
    (folder / "trials_to_test.txt").write_text("user02_led.aedat\n")


def test_gestures_are_cut_by_their_labels(tmp_path: Path) -> None:
    write_gestures(tmp_path)
    data = load("dvs-gesture", tmp_path, framing=Framing(3))
    assert data.test.labels.tolist() == [0, len(GESTURES) - 1]
    recordings = data.test.recordings
    assert recordings is not None
    whole = drawn(count=600).time_us
    assert recordings.counts.tolist() == [
        int(((whole >= start) & (whole < start + 60_000)).sum()) for start in (0, 90_000)
    ]


def test_an_unknown_gesture_names_its_line(tmp_path: Path) -> None:
    write_gestures(tmp_path)
    (tmp_path / "user02_led_labels.csv").write_text("class,start,end\n12,0,5\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 2: found class 12; allowed: 1\.\.11"):
        load("dvs-gesture", tmp_path)


def write_shd(path: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    with h5py.File(path, "w") as file:
        group = file.create_group("spikes")
        kinds = (("times", np.float16), ("units", np.uint16))
        arrays = [group.create_dataset(n, (count,), h5py.vlen_dtype(k)) for n, k in kinds]
        for i in range(count):
            arrays[0][i] = np.sort(rng.uniform(0, 0.5, 40)).astype(np.float16)
            arrays[1][i] = rng.integers(0, 700, 40).astype(np.uint16)
        file["labels"] = np.arange(count) % 20


def test_shd_is_read_as_an_image_of_one_row(tmp_path: Path) -> None:
    write_shd(tmp_path / "shd_train.h5", 40)
    write_shd(tmp_path / "shd_test.h5", 7)
    data = load("shd", tmp_path, framing=Framing(5, gain=1))
    assert data.shape == (1, 1, 700)
    assert [len(s) for s in (data.train, data.val, data.test)] == [36, 4, 7]
    assert data.test.images.sum((1, 2, 3, 4)).tolist() == [40] * 7
    assert data.classes[11] == "german 1"


def test_a_damaged_shd_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "shd_train.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match=r"shd_train\.h5: found no whole SHD file"):
        read_shd(tmp_path / "shd_train.h5")


@pytest.mark.parametrize("name", ["n-mnist", "cifar10-dvs", "dvs-gesture", "shd", "cifar100"])
def test_missing_files_say_where_they_come_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"(?s)no files \(looked in .*https://"):
        load(name, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nan", "recording 0: found the time nan s; allowed: 0 to"),
        ("negative", "recording 0: found the time -1.0 s"),
        ("uneven", "recording 0: found 3 times for 2 units"),
        ("kinds", "times and units of types"),
        ("flat", "times and units of types None"),
        ("none", "no whole SHD file"),
    ],
)
def test_damaged_shd_is_one_message(change: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "shd.h5"
    write_shd(path, 2)
    with h5py.File(path, "r+") as file:
        group = file["spikes"]
        match change:
            case "nan" | "negative":
                group["times"][0] = [np.nan if change == "nan" else -1.0]
                group["units"][0] = [1]
            case "uneven":
                group["times"][0], group["units"][0] = [0, 0, 0], [1, 1]
            case "kinds":
                del group["times"]
                group.create_dataset("times", (2,), h5py.vlen_dtype(np.uint16))
            case "flat":
                del group["times"]
                group["times"] = np.zeros(2)
            case _:
                del group["times"]
                group.create_group("times")
    with pytest.raises(DataError, match=message):
        read_shd(path)


@pytest.mark.parametrize("where", ["linked", "stored", "virtual"])
def test_shd_from_another_file_is_refused(where: str, tmp_path: Path) -> None:
    """The file names another one, which the reader would open."""
    path, other = tmp_path / "shd.h5", tmp_path / "secret.h5"
    write_shd(path, 2)
    write_shd(other, 2)
    with h5py.File(path, "r+") as file:
        match where:
            case "linked":
                del file["spikes"]
                file["spikes"] = h5py.ExternalLink(str(other), "spikes")
            case "stored":
                del file["labels"]
                file.create_dataset("labels", (2,), "i8", external=[(str(other), 0, 16)])
            case _:
                del file["labels"]
                layout = h5py.VirtualLayout((2,), "i8")
                layout[:] = h5py.VirtualSource(str(other), "labels", (2,))
                file.create_virtual_dataset("labels", layout)
    with pytest.raises(DataError, match=r"(spikes/times|labels): no data in this file"):
        read_shd(path)


def test_shd_is_tried_under_limits_first(tmp_path: Path) -> None:
    """A few hundred bytes that stand for 16 TB: asked for where memory is limited, refused here."""
    path = tmp_path / "shd.h5"
    write_shd(path, 2)
    with h5py.File(path, "r+") as file:
        del file["labels"]
        file.create_dataset("labels", (1 << 41,), "i8", chunks=(1 << 20,))
    with pytest.raises(FileFormatError, match="its reader asked for more memory than a file of"):
        read_shd(path)
