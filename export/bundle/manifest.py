"""``manifest.json``: what a bundle holds, by which versions it was made, and every file's hash."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from tssd import __version__
from tssd.calibration.int_network import IntNetwork
from tssd.errors import UNREADABLE, FileFormatError, NetworkError, refusing

SCHEMA = "tssd-bundle/1"
MANIFEST = "manifest.json"
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


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of *folder*, with its schema and file names checked."""
    table = read_json(folder / MANIFEST)
    files = table.get("files")
    if table.get("schema") != SCHEMA or not isinstance(files, dict):
        raise FileFormatError(
            str(folder / MANIFEST), found=f"schema {table.get('schema')!r}", allowed=SCHEMA
        )
    for name in files:
        check_name(name, str(folder / MANIFEST))
    return table


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; FileFormatError if it is missing or something else."""
    if not path.exists():
        raise FileFormatError(
            str(path), found="no such file", hint="is this the folder that `tssd export` wrote?"
        )
    with refusing(
        UNREADABLE, FileFormatError, str(path), "no JSON", hint="export the network again"
    ):
        table = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict):
        raise FileFormatError(str(path), found=type(table).__name__, allowed="a JSON object")
    return table


def check_name(name: str, where: str) -> None:
    """A file name without any path."""
    if not name or name != Path(name).name or name.startswith(".") or "\\" in name:
        raise FileFormatError(where, found=f"file name {name!r}", allowed="a plain file name")


def sha256(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
