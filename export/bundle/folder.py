"""The bundle: the folder that `tssd export` writes and every later command reads.

    network.nir      plain NIR and the exact integer model
    network.net      lava-dl netx, where the format can say the network (else manifest: why not)
    placement.json   which neuron sits on which core
    golden.npz       a few inputs with every population's answer
    manifest.json    configuration, seed, versions, SHA-256 of every file

Further files go by name (an ONNX graph, say). The folder is written under a temporary name and
renamed, so it appears whole or not at all; the same inputs give the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tssd.atomic import folder_written_whole
from tssd.calibration.int_network import IntNetwork, Runner
from tssd.contracts import Contract, require
from tssd.errors import FileFormatError
from tssd.export.bundle import golden as golden_file
from tssd.export.bundle.golden import Golden
from tssd.export.bundle.manifest import (
    MANIFEST,
    check_name,
    make_manifest,
    read_json,
    read_manifest,
    sha256,
    to_text,
)
from tssd.export.bundle.place import check_place
from tssd.export.netx.write import check_netx, write_netx
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.roundtrip import check_file
from tssd.export.nir.integers.write import write_nir

NIR, NETX, PLACEMENT, GOLDEN = "network.nir", "network.net", "placement.json", "golden.npz"
OWN_FILES = (NIR, NETX, PLACEMENT, GOLDEN, MANIFEST)


@dataclass(frozen=True, eq=False)
class Bundle:
    """What a bundle folder holds. ``placement`` and ``golden`` are None if it has none."""

    folder: Path
    network: IntNetwork
    placement: Mapping[str, Any] | None
    golden: Golden | None
    manifest: Mapping[str, Any]

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists."""
        if name not in self.manifest["files"]:
            raise FileFormatError(
                str(self.folder), found=f"no {name}", allowed=", ".join(self.manifest["files"])
            )
        return self.folder / name


def write_bundle(
    folder: Path,
    network: IntNetwork,
    *,
    placement: Mapping[str, Any] | None = None,
    golden: Golden | None = None,
    manifest_extra: Mapping[str, Any] | None = None,
    extra_files: Mapping[str, bytes] | None = None,
    nir_mode: NirMode = NirMode.COMPATIBLE,
    force: bool = False,
) -> Bundle:
    """Write *folder*; with *force* a bundle in its place is replaced whole, nothing else is."""
    check_place(folder, force)
    for name in extra_files or {}:
        check_name(name, "extra file")
        if name in OWN_FILES:
            raise FileFormatError("extra file", found=name, allowed=f"not {', '.join(OWN_FILES)}")
    refusals = [str(finding) for finding in check_netx(network)]
    with folder_written_whole(folder, lambda: check_place(folder, force)) as part:
        write_nir(network, part / NIR, nir_mode)
        require(check_file(network, part / NIR))
        if not refusals:
            write_netx(network, part / NETX)
        if placement is not None:
            (part / PLACEMENT).write_text(to_text(placement), encoding="utf-8")
        if golden is not None:
            (part / GOLDEN).write_bytes(golden_file.to_bytes(golden))
        for name, data in (extra_files or {}).items():
            (part / name).write_bytes(data)
        hashes = {path.name: sha256(path) for path in part.iterdir()}
        manifest = make_manifest(network, hashes, refusals, manifest_extra or {})
        (part / MANIFEST).write_text(to_text(manifest), encoding="utf-8")
    return Bundle(folder, network, placement, golden, manifest)


def read_bundle(folder: Path) -> Bundle:
    """Read and verify *folder*; FileFormatError names the file that is missing or damaged."""
    manifest = read_manifest(folder)
    for name, wanted in manifest["files"].items():
        _check_hash(folder / name, wanted)
    files = manifest["files"]
    if NIR not in files:
        raise FileFormatError(str(folder), found=f"a manifest without {NIR}", allowed=NIR)
    network = read_nir(folder / NIR)
    placement = read_json(folder / PLACEMENT) if PLACEMENT in files else None
    golden = None
    if GOLDEN in files:
        path = folder / GOLDEN
        golden = golden_file.from_bytes(path.read_bytes(), network, str(path))
    return Bundle(folder, network, placement, golden, manifest)


def _check_hash(path: Path, wanted: Any) -> None:
    if not path.is_file():
        raise FileFormatError(str(path), found="no such file", hint="export the network again")
    found = sha256(path)
    if found != wanted:
        raise FileFormatError(
            str(path),
            found=f"SHA-256 {found[:16]}...",
            allowed=f"{str(wanted)[:16]}... (manifest.json)",
            hint="the file was changed or damaged: export the network again",
        )


def check_golden(bundle: Bundle, engine: Runner) -> list[Contract]:
    """Rows of `tssd verify`: *engine* repeats the bundle's golden records exactly."""
    if bundle.golden is None:
        raise FileFormatError(
            str(bundle.folder), found=f"no {GOLDEN}", hint="export with golden samples"
        )
    return golden_file.check_golden(bundle.golden, bundle.network, engine)
