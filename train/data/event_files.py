"""Event recordings as their publishers store them, read with numpy alone.

n-mnist      5 bytes an event: x, y, polarity (top bit) and 23 bits of time in us, big-endian
aedat 2      "#" header lines, then 8 bytes an event, big-endian: address, time in us (jAER)
aedat 3.1    "#" header lines, then packets: a 28-byte header and 8 bytes a polarity event (cAER)
shd          HDF5: times and channel numbers of each recording, labels
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from tssd.errors import DataError
from tssd.train.data.events import Events

NMNIST_EVENT = 5  # bytes
DAMAGED = "the file is truncated or damaged: fetch it again"


def read_nmnist(path: Path, on_is_one: bool = False) -> Events:
    """One N-MNIST (or N-Caltech101) recording; channel 1 holds ON events.

    The data set's readme calls polarity 1 ON. Compared with a bright digit that moves over the
    camera's image it is OFF, so that is the default; *on_is_one* follows the readme.
    """
    raw = np.fromfile(path, np.uint8)
    if len(raw) == 0 or len(raw) % NMNIST_EVENT:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes",
            allowed=f"a multiple of {NMNIST_EVENT} (x, y, polarity and time)",
            hint=DAMAGED,
        )
    x, y, high, middle, low = raw.reshape(-1, NMNIST_EVENT).T.astype(np.int64)
    time_us = (high & 0x7F) << 16 | middle << 8 | low
    polarity = high >> 7
    return Events(x, y, polarity if on_is_one else 1 - polarity, time_us)


def read_aedat2(path: Path, size: tuple[int, int] = (128, 128)) -> Events:
    """One AEDAT 2 recording of a DVS128: address bits 0 polarity, 1-7 x, 8-14 y.

    As in CIFAR10-DVS's original files and the scripts published with them: polarity bit 0 is ON,
    x counts from the right.
    """
    raw = _after_comments(path)
    if len(raw) == 0 or len(raw) % 8:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes behind the header",
            allowed="a multiple of 8 (address and time)",
            hint=DAMAGED,
        )
    address, time_us = np.frombuffer(raw, ">u4").reshape(-1, 2).T.astype(np.int64)
    return Events(
        size[1] - 1 - (address >> 1 & 0x7F), address >> 8 & 0x7F, 1 - (address & 1), time_us
    )


def _after_comments(path: Path) -> bytes:
    """The bytes behind the lines that begin with ``#``."""
    raw, at = path.read_bytes(), 0
    if raw[:1] != b"#":
        raise DataError(str(path), found=f"bytes {raw[:4].hex()}", allowed="#, an AEDAT header")
    while raw[at : at + 1] == b"#":
        end = raw.find(b"\n", at)
        at = len(raw) if end < 0 else end + 1
        if raw[:at].endswith(b"#End Of ASCII Header\r\n"):
            break
    return raw[at:]


PACKET = np.dtype(
    [
        ("kind", "<u2"),
        ("source", "<u2"),
        ("event_bytes", "<u4"),
        ("time_at", "<u4"),
        ("overflow", "<u4"),
        ("capacity", "<u4"),
        ("number", "<u4"),
        ("valid", "<u4"),
    ]
)
POLARITY = 1  # the kind of packets that hold polarity events


def read_aedat31(path: Path) -> Events:
    """One AEDAT 3.1 recording: bit 1 of an event's word is polarity, 2-16 y, 17-31 x.

    Packets of other kinds (frames, inertial data) are passed over; events not marked valid too.
    """
    raw, at = _after_comments(path), 0
    words = []
    while at < len(raw):
        whole = at + PACKET.itemsize <= len(raw)
        head = np.frombuffer(raw, PACKET, 1, at)[0] if whole else None
        length = int(head["number"]) * int(head["event_bytes"]) if head is not None else 0
        if head is None or at + PACKET.itemsize + length > len(raw):
            raise DataError(
                str(path),
                found=f"{len(raw) - at} bytes in the last packet",
                allowed=f"{PACKET.itemsize + length}, as its header says",
                hint=DAMAGED,
            )
        if head["kind"] == POLARITY:
            body = np.frombuffer(raw, "<u4", length // 4, at + PACKET.itemsize).reshape(-1, 2)
            words.append(body.astype(np.int64) + [0, int(head["overflow"]) << 31])
        at += PACKET.itemsize + length
    data, time_us = np.concatenate([np.empty((0, 2), np.int64), *words]).T
    kept = data & 1 == 1
    data, time_us = data[kept], time_us[kept]
    return Events(data >> 17 & 0x7FFF, data >> 2 & 0x7FFF, data >> 1 & 1, time_us)


def read_shd(path: Path) -> tuple[list[Events], npt.NDArray[np.int64]]:
    """Recordings and labels of an SHD file (HDF5): times in s, 700 cochlea channels as x."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            spikes = file["spikes"]
            times, units = spikes["times"][:], spikes["units"][:]
            labels = np.asarray(file["labels"], np.int64)
    except (OSError, KeyError) as error:
        raise DataError(
            str(path), found=f"no whole SHD file ({error})", allowed="spikes, labels", hint=DAMAGED
        ) from None
    if not len(times) == len(units) == len(labels):
        raise DataError(
            str(path),
            found=f"{len(times)} times, {len(units)} units, {len(labels)} labels",
            allowed="as many of each",
        )
    return [_heard(t, u) for t, u in zip(times, units, strict=True)], labels


def _heard(times: npt.NDArray[np.float16], units: npt.NDArray[np.integer]) -> Events:
    zeros = np.zeros(len(units), np.int64)
    time_us = np.rint(times.astype(np.float64) * 1e6).astype(np.int64)
    return Events(units.astype(np.int64), zeros, zeros, time_us)
