"""Ways to damage a file: in its bytes, or behind its checksums and lengths."""

import io
import json
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from damage import mutated, spoil

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]

TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|\b(?:true|false|null)\b|[\[\]{},:=]|[\w-]+')
STRANGE = (
    *(b"null", b"true", b"-1", b"0", b"1.5", b"1e308", b"1e999", b"NaN", b"inf", b"-0", b"9" * 25),
    *(b"9223372036854775807", b"9223372036854775808", b"4294967296", b"1000000000", b"1e-320"),
    *(b'""', b'"x"', b'"' + b"x" * 300 + b'"', b'"\\u0000"', b'"\\ud800"', b'"../../etc/passwd"'),
    *(b'"\x1b[2J"', "\N{SNOWMAN}".encode(), b"\xff", b"[]", b"{}", b"[[]]", b'{"a": 1}', b"["),
    *(b"[" * 3000, b'{"a":' * 2000, b"", b",", b"\n", b"\x00", b"%", b"#", b"sys:exit", b"{x}"),
)


def any_bytes(data: bytes, rng: Rng) -> bytes:
    """Bytes, words and blocks, wherever they are."""
    return mutated(data, rng)


def text(data: bytes, rng: Rng) -> bytes:
    """Tokens of a text replaced, swapped, doubled or left out; a line; or bytes."""
    kind = int(rng.integers(10))
    if kind == 0:
        return mutated(data, rng)
    if kind == 1:
        lines = data.split(b"\n")
        at, other = (int(n) for n in rng.integers(0, len(lines), 2))
        lines[at : at + int(rng.integers(0, 2))] = [lines[other]] * int(rng.integers(0, 3))
        return b"\n".join(lines)
    for _ in range(int(rng.integers(1, 4))):
        place, source = _token(data, rng), _token(data, rng)
        if place and source:
            new = STRANGE[int(rng.integers(len(STRANGE)))] if kind < 8 else source.group()
            data = data[: place.start()] + new + data[place.end() :]
    return data


def _token(data: bytes, rng: Rng) -> re.Match[bytes] | None:
    """A token behind a place of *data*; where a text begins there, its end is taken for one."""
    return TOKEN.search(data, int(rng.integers(len(data) + 1)))


def packed(data: bytes, rng: Rng) -> bytes:
    """gzip: what it unpacks to, or its own bytes."""
    if rng.random() < 0.3:
        return mutated(data, rng)
    inner = mutated(zlib.decompress(data, 31), rng)
    deflate = zlib.compressobj(1, wbits=31)
    return deflate.compress(inner) + deflate.flush()


def archive(data: bytes, rng: Rng) -> bytes:
    """zip: one member damaged, with a checksum that fits, left out or doubled; or its own bytes."""
    if rng.random() < 0.2:
        return mutated(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [(item.filename, file.read(item)) for item in file.infolist()]
    at = int(rng.integers(len(members)))
    name, content = members[at]
    kind = int(rng.integers(12))
    if kind == 0:
        members.pop(at)
    elif kind == 1:
        members[at] = (members[int(rng.integers(len(members)))][0], content)
    else:
        members[at] = (
            name,
            header(content, rng) if name.endswith(".npy") else mutated(content, rng),
        )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in dict(members).items():
            file.writestr(name, content)
    return out.getvalue()


def header(data: bytes, rng: Rng) -> bytes:
    """``.npy`` and ``.safetensors``: a token of the header, with a length that fits; or bytes."""
    if rng.random() < 0.3:
        return mutated(data, rng)
    if data.startswith(b"\x93NUMPY"):
        return _npy(data, rng)
    (length,) = struct.unpack("<Q", data[:8])
    table = data[8 : 8 + length]
    about = json.loads(table).get("__metadata__", {})
    if about and rng.random() < 0.6:  # a text inside the header
        whole = json.loads(table)
        key = list(about)[int(rng.integers(len(about)))]
        changed = text(about[key].encode(), rng).decode("utf-8", "replace")
        whole["__metadata__"] = {**about, key: changed}
        new = json.dumps(whole).encode()
    else:
        new = text(table, rng)
    return struct.pack("<Q", len(new)) + new + data[8 + length :]


def _npy(data: bytes, rng: Rng) -> bytes:
    length = struct.unpack("<H", data[8:10])[0]
    head, body = data[10 : 10 + length], data[10 + length :]
    if rng.random() < 0.4:
        return data[: 10 + length] + mutated(body, rng)
    new = text(head.rstrip(), rng)[:60_000].replace(b"\n", b" ") + b"\n"
    return data[:8] + struct.pack("<H", len(new)) + new + body


def hdf5(data: bytes, rng: Rng) -> bytes:
    """One object of a sound file replaced by something that should not be there; or bytes."""
    if rng.random() < 0.5:
        return mutated(data, rng)
    with tempfile.NamedTemporaryFile(suffix=".h5", dir=SCRATCH) as file:
        path = Path(file.name)
        path.write_bytes(data)
        spoil(path, rng)
        return path.read_bytes()


SCRATCH = "/dev/shm" if Path("/dev/shm").is_dir() else None
