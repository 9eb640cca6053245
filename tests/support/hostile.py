"""Valid files of every kind that is read, each with its readers and a way to damage it well.

``Target.write(n)`` always writes the same file: one damaged in its bytes, or in what its format
says (a token of a text, a member of an archive, an object of an HDF5 file), so that the damage
gets past the checksums and lengths in front of it.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from damage import exchange_files, read_and_step
from event_files import random_events, write_aedat2, write_aedat31, write_nmnist
from hostile_bytes import Damage, any_bytes, archive, hdf5, header, packed, text
from sample_report import bare_report, full_report
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import InputCoding, IntNetwork, Reset
from tssd.chain.user_samples import load_samples
from tssd.chain.weights import read_weights
from tssd.checks.measured import compare_log, read_log
from tssd.export.bundle import golden
from tssd.export.bundle.folder import read_bundle, write_bundle
from tssd.export.bundle.manifest import read_manifest
from tssd.export.netx.read import read_netx
from tssd.export.netx.to_integers import import_netx
from tssd.export.nir.integers.read import has_integer_model, read_nir
from tssd.export.onnx.read import read_onnx
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.costs.energy import price
from tssd.hw_targets.mapping.manual import read_placement
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.measured.table import read_runs
from tssd.hw_targets.sim.engine import run
from tssd.hw_targets.sim.record import read_record
from tssd.hw_targets.sim.run_file import load_run, save_run
from tssd.inspecting.inspection import inspect
from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.serial import from_json, to_json
from tssd.train.config import TrainConfig, configure
from tssd.train.data.event_files import read_aedat2, read_aedat31, read_nmnist, read_shd
from tssd.train.data.idx import read_idx
from tssd.train.handover import float_file
from tssd.train.loop.checkpoint import Position, read_checkpoint, save_checkpoint
from tssd.train.networks.models import build

NETWORK: IntNetwork = random_conv_network(0, Reset.HARD, time_steps=2)
CHIP = load_chip("loihi2")
OWN_CHIP = """name = "half"
title = "Loihi 2, half"
calibrated_on = ["what if"]
extends = "loihi2"

[sources]
short = "A citation"

[limits]
cores_per_chip = { value = 64, low = 32, high = 64, unit = "cores", kind = "assumed", source = "{short}" }

[energy_pj]
spike = { value = 1.0, unit = "nJ", kind = "derived", source = "what if" }
"""  # noqa: E501
Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Target:
    """One kind of file. ``heavy``: what only one case in so many is read by. ``kept``: a C library
    below its reader may loop, crash or take memory; a process with limits stands before it."""

    name: str
    originals: tuple[tuple[str, bytes], ...]  # name of the file, content
    readers: tuple[Reader, ...]
    damage: Damage
    heavy: tuple[Reader, ...] = ()
    every: int = 50
    kept: bool = False

    def write(self, case: int, seed: int, folder: Path) -> Path:
        """The damaged file of *case*."""
        rng = np.random.default_rng([seed, case])
        name, data = self.originals[case % len(self.originals)]
        path = folder / name
        path.write_bytes(self.damage(data, rng))
        return path

    def readers_of(self, case: int) -> tuple[Reader, ...]:
        return self.readers + (self.heavy if case % self.every == 0 else ())


def targets(folder: Path) -> list[Target]:
    """Every kind, its valid files made in *folder*; paths that bundles need are there, too."""
    return [*_texts(folder), *_arrays(folder), *_recordings(folder), *_networks(folder)]


def _texts(folder: Path) -> list[Target]:
    bundle = folder / "bundle"
    placed = place(NETWORK, CHIP)
    given = golden.make_golden(NETWORK, random_inputs(NETWORK, 1, batch=2))
    write_bundle(bundle, NETWORK, golden=given, placement=json.loads(placed.to_json()))
    names = [p.name for p in NETWORK.populations]
    log = "\n".join(
        ["# a chip", "layer,spikes,error", *(f"{n},{7 * i}," for i, n in enumerate(names))]
        + ["samples,64,", "latency_us,3360,5%", "energy_uj_per_inference,68.35,3.4"]
    )
    known = {name: 7 * i for i, name in enumerate(names)}
    chips = (("chip.toml", OWN_CHIP.encode()), ("whole.toml", _packaged_chip()))
    runs = "\n".join(_packaged_runs().splitlines()[:8])
    return [
        Target("manifest", (_file(bundle / "manifest.json", "bundle/"),),
               (_in_folder(read_manifest),), text, (_in_folder(read_bundle), _in_folder(inspect)),
               40),
        Target("placement", (_file(bundle / "placement.json"),),
               (lambda path: read_placement(path, NETWORK, CHIP),), text),
        Target("measured log", (("log.csv", log.encode()),),
               (lambda path: compare_log(read_log(path), known, 64, {"latency_us": 1e3}),), text),
        Target("measured runs", (("runs.csv", runs.encode()),), (read_runs,), text),
        Target("chip file", chips, (load_chip,), text),
        Target("training file", (("train.toml", TrainConfig().to_toml().encode()),),
               (partial(configure, None),), text),
        Target("report", _reports(), (lambda path: from_json(path.read_bytes()),), text,
               (_pages,), 200),
    ]  # fmt: skip


def _arrays(folder: Path) -> list[Target]:
    images = random_inputs(NETWORK, 0)[0].astype(np.uint8)
    np.save(folder / "a.npy", images)
    np.save(folder / "f.npy", images.astype(np.float32) / 3)
    np.savez(folder / "a.npz", inputs=images, labels=np.arange(len(images)))
    idx = bytes((0, 0, 8, 3)) + np.array([5, 4, 4], ">u4").tobytes() + bytes(range(80))
    record: dict[str, Any] = {f"spikes/{p.name}": np.array([[0, 0]]) for p in NETWORK.populations}
    np.savez(folder / "spikes.npz", schema="tssd-spikes/1", steps=9, **record)
    given = golden.make_golden(NETWORK, random_inputs(NETWORK, 1, batch=2))
    (folder / "golden.npz").write_bytes(golden.to_bytes(given))
    placed = place(NETWORK, CHIP)
    save_run(folder / "run.npz", run(NETWORK, random_inputs(NETWORK, 1, 1), placed, CHIP, "bound"))
    samples = (lambda path: load_samples(path, NETWORK.source.shape),)
    return [
        Target("idx", (("a-idx3-ubyte", idx),), (lambda path: read_idx(path, 3),), any_bytes),
        Target("idx, packed", (("a-idx3-ubyte.gz", gzip.compress(idx)),),
               (lambda path: read_idx(path, 3),), packed),
        Target("npy samples", (_file(folder / "a.npy"), _file(folder / "f.npy")), samples, header),
        Target("npz samples", (_file(folder / "a.npz"),), samples, archive),
        Target("saved run", (_file(folder / "run.npz"),),
               (lambda path: price(load_run(path).counters, CHIP),), archive),
        Target("spike record", (_file(folder / "spikes.npz"),),
               (lambda path: read_record(path, NETWORK),), archive),
        Target("golden", (_file(folder / "golden.npz"),),
               (lambda path: golden.from_bytes(path.read_bytes(), NETWORK, str(path)),), archive),
    ]  # fmt: skip


def _recordings(folder: Path) -> list[Target]:
    rng = np.random.default_rng(0)
    events = random_events(rng, 40, (2, 3, 34))
    write_nmnist(folder / "n.bin", events)
    write_aedat2(folder / "two.aedat", events)
    write_aedat31(folder / "three.aedat", events, 16)
    with h5py.File(folder / "shd.h5", "w") as file:
        spikes = file.create_group("spikes")
        for name, kind in (("times", "f4"), ("units", "u2")):
            data = spikes.create_dataset(name, (3,), h5py.vlen_dtype(kind))
            for i in range(3):
                data[i] = np.arange(4 * i, dtype=kind)
        file["labels"] = np.arange(3)
    return [
        Target("n-mnist", (_file(folder / "n.bin"),), (read_nmnist,), any_bytes),
        Target("aedat 2", (_file(folder / "two.aedat"),), (read_aedat2,), any_bytes),
        Target("aedat 3.1", (_file(folder / "three.aedat"),), (read_aedat31,), any_bytes),
        Target("shd", (_file(folder / "shd.h5"),), (read_shd,), hdf5, kept=True),
    ]


def _networks(folder: Path) -> list[Target]:
    (folder / "exchange").mkdir()
    found = {o.name: o.data for o in exchange_files(folder / "exchange", NETWORK)}
    own = folder / "exchange" / "bundle" / "network.nir"
    config = TrainConfig(dataset="digits")
    net = build(config, (1, 8, 8), 10)
    optimizer = torch.optim.Adam(net.parameters())
    save_checkpoint(
        folder / "checkpoint.safetensors", net, optimizer, config, tuple("0123456789"),
        Position(1, 2, {"loss": 0.5}, [{"epoch": 1.0, "loss": 0.5}]), {},
    )  # fmt: skip
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict()}, folder / "w.pt")
    graphs = tuple((n, d) for n, d in found.items() if n.endswith(".nir") and n != "a.nir")
    onnx = tuple((n, d) for n, d in found.items() if n.endswith(".onnx"))
    return [
        Target("checkpoint", (_file(folder / "checkpoint.safetensors"),),
               (read_checkpoint, inspect), header),
        Target("float network", (("a.safetensors", found["a.safetensors"]),),
               (float_file.read, read_weights), header, (inspect,), 5),
        Target("weights of torch", (_file(folder / "w.pt"),), (read_weights,), archive, kept=True),
        Target("netx", (("a.net", found["a.net"]),), (_imported,), hdf5, (inspect,), 20, kept=True),
        Target("nir, integers", (_file(own),), (has_integer_model, read_nir), hdf5, (inspect,), 20,
               kept=True),
        Target("nir, graphs", graphs, (read_and_step,), hdf5, (inspect,), 20, kept=True),
        Target("onnx", onnx, (read_onnx,), any_bytes, (inspect,), 20, kept=True),
    ]  # fmt: skip


def _imported(path: Path) -> None:
    import_netx(read_netx(path), 4, InputCoding.SPIKES)


def _pages(path: Path) -> None:
    report = from_json(path.read_bytes())
    render_html(report)
    render_markdown(report)


def _in_folder(reader: Reader) -> Reader:
    return lambda path: reader(path.parent)


def _reports() -> tuple[tuple[str, bytes], ...]:
    made = [json.loads(to_json(report)) for report in (full_report(), bare_report())]
    for table in made:  # the drawing of every step and place costs much and tells little
        table["timeline"], table["mesh"] = table["timeline"][:3], table["mesh"][:4]
    return tuple((f"{i}.json", json.dumps(t, indent=1).encode()) for i, t in enumerate(made))


def _file(path: Path, below: str = "") -> tuple[str, bytes]:
    return below + path.name, path.read_bytes()


def _packaged_chip() -> bytes:
    from tssd.hw_targets.chip.chips import find_chip

    return find_chip("loihi1-davies2018").read_bytes()


def _packaged_runs() -> str:
    from importlib import resources

    return (resources.files("tssd.hw_targets.measured") / "runs.csv").read_text(encoding="utf-8")
