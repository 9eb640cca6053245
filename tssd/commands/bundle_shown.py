"""What every command that writes a bundle prints."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tssd import terminal
from tssd.commands import ending
from tssd.contracts import OWN_MODULE
from tssd.errors import counted

if TYPE_CHECKING:  # --help reads this module; h5py can wait
    from tssd.export.bundle.folder import Bundle

ACCURACY = "FloatNetwork -> IntNetwork: accuracy"  # the contract that holds the integers' accuracy


def _kept(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What the weights into each layer keep of their bits, one figure for each source."""
    told: dict[str, list[str]] = {}
    for row in manifest.get("weights", ()):
        told.setdefault(row["layer"], []).append(f"{row['kept_bits']:.1f} of {row['field_bits']}")
    return {layer: f"keeps {', '.join(bits)} bits" for layer, bits in told.items()}


def show(
    out: Path, bundle: "Bundle", as_json: bool, quiet: bool = False, verbose: bool = False
) -> None:
    """The populations, what their weights keep, what was written, and what could not be; then what
    it comes to. *quiet*: that alone; *verbose*: every reason for what was not written."""
    rows: list[dict[str, Any]] = [
        {"name": p.name, "kind": str(p.kind), "shape": list(p.shape), "reset": str(p.reset)}
        for p in bundle.network.populations
    ]
    if as_json:
        click.echo(json.dumps({"out": str(out), "populations": rows, **bundle.manifest}))
        return
    if not quiet:
        _show_network(rows, bundle.manifest, verbose)
    for row in bundle.manifest.get("contracts", ()):
        if row["name"] == ACCURACY and row["found"] is not None:
            terminal.say(f"accuracy of the integers: {row['found']}, of {row['where']}")
    for line in ending.of_bundle(out, bundle):
        terminal.say(line)
    terminal.say(f"wrote {out}: {', '.join(sorted(bundle.manifest['files']))}")
    if quiet and bundle.manifest.get("notes"):
        terminal.say(f"{counted(len(bundle.manifest['notes']), 'note')} in {out / 'manifest.json'}")
    terminal.say_next("tssd", "verify", out, "--against", "gpu,onnx,sim")


def _show_network(rows: list[dict[str, Any]], manifest: Mapping[str, Any], verbose: bool) -> None:
    """Layers, read-out, what was compared and noted, and why a netx file could not be written."""
    keeps = _kept(manifest)
    for row in rows:
        size = "x".join(map(str, row["shape"]))
        bits = f"  {keeps[row['name']]}" if row["name"] in keeps else ""
        terminal.say(f"{row['name']:<12} {row['kind']:<8} {size:<9}{bits}".rstrip())
    source = manifest.get("source", {})
    if "read_out" in source:
        terminal.say(f"{source['time_steps']} time steps; read-out: {source['read_out']}")
    for contract in manifest.get("contracts", ()):
        if contract["name"].startswith(OWN_MODULE):
            terminal.say(f"{contract['name']}: {contract['found']}")
    for note in manifest.get("notes", ()):
        terminal.say(f"note: {note}")
    reasons = manifest["netx"]["reasons"]
    if reasons:
        more = f" (and {len(reasons) - 1} more: -v)" if len(reasons) > 1 and not verbose else ""
        terminal.say(f"no network.net: {reasons[0].splitlines()[0]}{more}")
    for reason in reasons[1:] if verbose else ():
        terminal.say(f"no network.net: {reason}")
