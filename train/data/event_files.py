"""Event recordings as their publishers store them, read with numpy alone.

n-mnist      5 bytes an event: x, y, polarity (top bit) and 23 bits of time in us, big-endian; the
             row 240, which its camera lacks, says that time went on by 2^13 us (as tonic reads it)
aedat 2      "#" header lines, then 8 bytes an event, big-endian: address, time in us (jAER)
aedat 3.1    "#" header lines, then packets: a 28-byte header and 8 bytes a polarity event (cAER)
shd          HDF5: times and channel numbers of each recording, labels

An AEDAT file says its version in its first line; times are 64 bits wide, beyond the 32 of an event.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tssd.arrays import IntArray
from tssd.errors import DataError
from tssd.guard import guarded
from tssd.train.data.events import Events

NMNIST_EVENT = 5  # bytes
NMNIST_OVERFLOW, NMNIST_OVERFLOW_US = 240, 1 << 13
LONGEST_S = 1e6  # of an SHD recording: eleven days; half floats end at 65,504 s anyway
DAMAGE = (OSError, LookupError, ValueError, TypeError, AttributeError, OverflowError)  # of h5py
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
    overflow = y == NMNIST_OVERFLOW
    time_us += np.cumsum(overflow) * NMNIST_OVERFLOW_US
    polarity = high >> 7
    channel = polarity if on_is_one else 1 - polarity
    kept = ~overflow
    return Events(x[kept], y[kept], channel[kept], time_us[kept])


def read_aedat2(path: Path, size: tuple[int, int] = (128, 128)) -> Events:
    """One AEDAT 2 recording of a DVS128: address bits 0 polarity, 1-7 x, 8-14 y.

    As in CIFAR10-DVS's original files and the scripts published with them: polarity bit 0 is ON,
    x counts from the right. Bit 15 marks what came in from outside (a special event): passed over.
    Times are 32 bits; a fall by more than half of that is their overflow, after 71 minutes.
    """
    raw = _after_header(path, "2.0")
    if len(raw) == 0 or len(raw) % 8:
        raise DataError(
            str(path),
            found=f"{len(raw)} bytes behind the header",
            allowed="a multiple of 8 (address and time)",
            hint=DAMAGED,
        )
    address, time_us = np.frombuffer(raw, ">u4").reshape(-1, 2).T.astype(np.int64)
    foreign = np.flatnonzero(address >> DVS128_BITS)
    if len(foreign):
        raise DataError(
            f"{path}, event {foreign[0]}",
            found=f"address {address[foreign[0]]:#x}",
            allowed=f"{DVS128_BITS} bits, as of a DVS128",
            hint="the file is of another camera, or damaged",
        )
    time_us[1:] += np.cumsum(np.diff(time_us) < -(1 << 31)) << 32
    address, time_us = (column[address < SPECIAL] for column in (address, time_us))
    return Events(
        size[1] - 1 - (address >> 1 & 0x7F), address >> 8 & 0x7F, 1 - (address & 1), time_us
    )


def _after_header(path: Path, version: str) -> memoryview:
    """The bytes behind the lines that begin with ``#``, the first of which says *version*."""
    raw, at = path.read_bytes(), 0
    if raw[:1] != b"#":
        raise DataError(str(path), found=f"bytes {raw[:4].hex()}", allowed="#, an AEDAT header")
    while raw[at : at + 1] == b"#":
        end = raw.find(b"\n", at)
        line = raw[at : end + 1 or len(raw)]
        if at == 0:
            _check_version(path, line, version)
        if line.startswith(b"#Source") and b"DVS128" not in line:
            said = line.decode(errors="replace").strip()
            raise DataError(str(path), found=said[:80], allowed="the camera DVS128")
        at += len(line)
        if line.strip() in HEADER_ENDS:
            break
    return memoryview(raw)[at:]


def _check_version(path: Path, line: bytes, version: str) -> None:
    found = line.decode(errors="replace").strip()
    if found != VERSION + version:
        raise DataError(
            str(path),
            found=f"the first line {found[:80]!r}",
            allowed=f"{VERSION}{version}",
            hint="the same bytes mean other events in another version: convert the file",
        )


VERSION = "#!AER-DAT"
HEADER_ENDS = (b"#End Of ASCII Header", b"#!END-HEADER")  # jAER, cAER
DVS128_BITS = 16  # polarity, 7 of x, 7 of y, 1 of special events
SPECIAL = 1 << 15
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
POLARITY_LAYOUT = (8, 4)  # bytes of an event, and where its time stands


def read_aedat31(path: Path) -> Events:
    """One AEDAT 3.1 recording: bit 1 of an event's word is polarity, 2-16 y, 17-31 x.

    Packets of other kinds (special events, frames, inertial data) are passed over; events not
    marked valid too.
    """
    raw, at = _after_header(path, "3.1"), 0
    words = []
    while at < len(raw):
        head, length = _packet(path, raw, at)
        if head["kind"] == POLARITY:
            body = np.frombuffer(raw, "<u4", length // 4, at + PACKET.itemsize).reshape(-1, 2)
            words.append(body.astype(np.int64) + [0, int(head["overflow"]) << 31])
        at += PACKET.itemsize + length
    data, time_us = np.concatenate([np.empty((0, 2), np.int64), *words]).T
    kept = data & 1 == 1
    data, time_us = data[kept], time_us[kept]
    return Events(data >> 17 & 0x7FFF, data >> 2 & 0x7FFF, data >> 1 & 1, time_us)


def _packet(path: Path, raw: memoryview, at: int) -> tuple[Any, int]:
    """The header of the packet that begins at *at* and the length of what follows it."""
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
    layout = (int(head["event_bytes"]), int(head["time_at"]))
    if head["kind"] == POLARITY and layout != POLARITY_LAYOUT:
        raise DataError(
            f"{path}, packet at byte {at} behind the header",
            found=f"polarity events of {layout[0]} bytes with the time at {layout[1]}",
            allowed="{} bytes, {}".format(*POLARITY_LAYOUT),
            hint=DAMAGED,
        )
    return head, length


@guarded
def read_shd(path: Path) -> tuple[list[Events], IntArray]:
    """Recordings and labels of an SHD file (HDF5): times in s, 700 cochlea channels as x."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            tables = [_own_table(file, name) for name in ("spikes/times", "spikes/units", "labels")]
            kinds = [h5py.check_vlen_dtype(table.dtype) for table in tables[:2]]
            times, units, given = (table[:] for table in tables)
            labels = np.asarray(given, np.int64)
    except (*DAMAGE, RuntimeError) as error:
        raise DataError(
            str(path), found=f"no whole SHD file ({error})", allowed="spikes, labels", hint=DAMAGED
        ) from None
    if [getattr(kind, "kind", "") for kind in kinds] not in (["f", "u"], ["f", "i"]):
        raise DataError(
            str(path),
            found=f"times and units of types {kinds[0]} and {kinds[1]}",
            allowed="lists of floats and of whole numbers",
        )
    if labels.ndim != 1 or times.ndim != 1 or units.ndim != 1:
        raise DataError(
            str(path), found="tables of several dimensions", allowed="one entry per recording"
        )
    if not len(times) == len(units) == len(labels):
        raise DataError(
            str(path),
            found=f"{len(times)} times, {len(units)} units, {len(labels)} labels",
            allowed="as many of each",
        )
    heard = enumerate(zip(times, units, strict=True))
    return [_heard(f"{path}, recording {i}", t, u) for i, (t, u) in heard], labels


def _own_table(file: Any, name: str) -> Any:
    """A data set of this very file: links and storage elsewhere would read what nobody named."""
    import h5py

    table = file
    for part in name.split("/"):
        if not isinstance(table.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name}: no data in this file")
        table = table[part]
    if not isinstance(table, h5py.Dataset) or table.external or table.is_virtual:
        raise ValueError(f"{name}: no data in this file")
    return table


def _heard(name: str, times: npt.NDArray[np.floating], units: npt.NDArray[np.integer]) -> Events:
    if len(times) != len(units):
        raise DataError(
            name, found=f"{len(times)} times for {len(units)} units", allowed="as many of each"
        )
    seconds = times.astype(np.float64)
    good = (seconds >= 0) & (seconds < LONGEST_S)
    if not good.all():
        raise DataError(
            name, found=f"the time {seconds[~good][0]} s", allowed=f"0 to {LONGEST_S:g} s"
        )
    zeros = np.zeros(len(units), np.int64)
    return Events(units.astype(np.int64), zeros, zeros, np.rint(seconds * 1e6).astype(np.int64))
