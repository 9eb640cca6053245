"""``manifest.json``: what a bundle holds, by which versions it was made, and every file's hash."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from tssd import __version__, typed
from tssd.calibration.int_network import IntNetwork
from tssd.contracts import Status
from tssd.errors import FileFormatError, NetworkError

SCHEMA = "tssd-bundle/1"
MANIFEST = "manifest.json"
AGAIN = "export the network again"
PACKAGES = ("numpy", "h5py", "nir", "onnx", "torch", "snntorch")


def make_manifest(
    network: IntNetwork,
    hashes: Mapping[str, str],
    netx_refusals: Iterable[str],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole table; no clock time, so that the same inputs give the same bytes."""
    reasons = list(netx_refusals)
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "files": dict(sorted(hashes.items())),
        "netx": {"written": not reasons, "reasons": reasons},
        "network": _summary(network),
        "versions": versions(),
    }
    clash = sorted(set(table) & set(extra))
    if clash:
        raise NetworkError(
            "manifest", found=f"extra key {clash[0]!r}", allowed=f"not {', '.join(table)}"
        )
    return table | dict(extra)


def _summary(network: IntNetwork) -> dict[str, Any]:
    return {
        "populations": [p.name for p in network.populations],
        "neurons": sum(p.neurons for p in network.populations if p.has_state),
        "parameters": sum(j.weight.size for j in network.projections),
        "time_steps": network.time_steps,
        "input_coding": str(network.input_coding),
        "resets": sorted({str(p.reset) for p in network.populations}),
    }


def versions() -> dict[str, str]:
    """Of tssd, Python and the packages that shape the files; absent ones are left out."""
    found = {"tssd": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def to_text(table: Mapping[str, Any]) -> str:
    """JSON with sorted keys."""
    try:
        return json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise NetworkError("manifest", found=str(error), allowed="plain JSON values") from None


class NetxPart(msgspec.Struct):
    """Whether there is a ``network.net``, and why not."""

    written: bool
    reasons: list[str]


class SourcePart(msgspec.Struct):
    """What the bundle was made of: the data set and options of a training, as far as it says so."""

    dataset: str | None = None
    train: dict[str, Any] | None = None


class ContractPart(msgspec.Struct, forbid_unknown_fields=True):
    """A ``tssd.contracts.Contract``."""

    name: str
    status: Status
    found: str | float | int | None
    allowed: str | float | int | None
    where: str | None


class ManifestPart(msgspec.Struct):
    """What readers of a bundle rely on; more keys are welcome."""

    schema: Literal["tssd-bundle/1"]
    files: dict[str, str]
    netx: NetxPart
    versions: dict[str, str]
    target: str = "loihi2"
    source: SourcePart = msgspec.field(default_factory=SourcePart)
    contracts: list[ContractPart] = []
    notes: list[str] = []


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of *folder*, with its types and file names checked."""
    path = folder / MANIFEST
    table = read_json(path)
    for name in typed.from_table(ManifestPart, table, str(path), hint=AGAIN).files:
        check_name(name, str(path))
    return table


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; FileFormatError if it is missing or something else."""
    if not path.exists():
        raise FileFormatError(
            str(path), found="no such file", hint="is this the folder that `tssd export` wrote?"
        )
    return typed.from_json(dict[str, Any], path.read_bytes(), str(path), hint=AGAIN)


def check_name(name: str, where: str) -> None:
    """A file name without any path."""
    if not name or name != Path(name).name or name.startswith(".") or "\\" in name:
        raise FileFormatError(where, found=f"file name {name!r}", allowed="a plain file name")


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
