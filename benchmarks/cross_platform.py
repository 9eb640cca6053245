"""Our NIR exports read by other platforms: identical, explained, or not read.

make bench-platforms, or python -m benchmarks.cross_platform norse sinabs ...

Each platform's current release gets an environment of its own (``~/.cache/tssd-platforms``), reads
the same files and runs them on the same input. A difference counts as explained when our own reader
under that platform's profile fires exactly as the platform did.
"""

import json
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from benchmarks.platform_likenesses import likenesses
from tssd.calibration.int_network import (
    InputCoding,
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise
from tssd.errors import NetworkError
from tssd.export.nir.from_float import from_float
from tssd.export.nir.graphs.dialects import write_for
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.write import write_graph
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.write import write_nir
from tssd.train.recording.convert import to_float
from tssd.train.recording.record import record

CACHE = Path("~/.cache/tssd-platforms").expanduser()
SHARED = "torch"  # one environment lends its torch to the others
RESULT = Path(__file__).parent / "results" / "exchange" / "cross_platform.json"
PAGE = Path(__file__).parents[1] / "docs" / "exchange.md"
BEGIN, END = "<!-- cross-platform: begin -->", "<!-- cross-platform: end -->"
STEPS, BATCH = 40, 4
INSTALL_SECONDS, RUN_SECONDS = 1800, 1800


@dataclass(frozen=True)
class Platform:
    """``packages`` pins what is installed; ``dt``: the step that this platform's import assumes."""

    packages: tuple[str, ...]
    dt: float
    torch: bool = True


NIR = ("nir==1.0.8", "nirtorch==2.6")
PLATFORMS = {
    SHARED: Platform(("torch==2.13.0", "numpy"), 1.0, torch=False),
    "norse": Platform(("norse==1.1.0", *NIR), 1e-3),
    "sinabs": Platform(("sinabs==3.1.3",), 1.0),
    "rockpool": Platform(("rockpool==3.1.0", *NIR), 1e-3),
    "spyx": Platform(("spyx==1.0.0", "nir==1.0.8"), 1.0, torch=False),
    "snntorch": Platform(("snntorch==1.0.0", *NIR), 1e-4),
}


# ---------------------------------------------------------------- the networks


def lif(name: str, shape: tuple[int, ...], reset: Reset, dv: int = 2048, du: int = 4096) -> Any:
    return Population(
        name,
        shape,
        PopulationKind.LIF,
        reset,
        du=constant(du, shape),
        dv=constant(dv, shape),
        vth=constant(75, shape),
        bias_mant=constant(0, shape),
    )


def weights(seed: int, *shape: int) -> IntArray:
    return np.random.default_rng(seed).integers(-45, 56, shape)


def network(*parts: Population | Projection) -> IntNetwork:
    """Populations and projections in any order; input of zeros and ones."""
    populations = tuple(p for p in parts if isinstance(p, Population))
    projections = tuple(p for p in parts if isinstance(p, Projection))
    return IntNetwork(populations, projections, STEPS, InputCoding.SPIKES, 1)


def dense(reset: Reset, dv: int = 2048, du: int = 4096) -> IntNetwork:
    return network(
        plain_population("input", (10,), PopulationKind.INPUT),
        lif("hidden", (12,), reset, dv, du),
        lif("last", (8,), reset, dv, du),
        Projection("input", "hidden", ProjectionKind.DENSE, weights(0, 12, 10)),
        Projection("hidden", "last", ProjectionKind.DENSE, weights(1, 8, 12)),
    )


def image(reset: Reset, pool: bool) -> IntNetwork:
    """2x8x8 -> conv 4 -> (sum pool) -> dense 6."""
    size = 4 if pool else 8
    parts: list[Any] = [
        plain_population("input", (2, 8, 8), PopulationKind.INPUT),
        lif("conv", (4, 8, 8), reset),
    ]
    source = "conv"
    if pool:
        parts.append(plain_population("pool", (4, 4, 4), PopulationKind.RELAY))
        ones = np.ones((4, 1, 2, 2), np.int64)
        pooled = Projection("conv", "pool", ProjectionKind.SUM_POOL, ones, stride=(2, 2), groups=4)
        parts.append(pooled)
        source = "pool"
    conv = Projection(
        "input", "conv", ProjectionKind.CONV2D, weights(2, 4, 2, 3, 3), padding=(1, 1)
    )
    last = Projection(source, "last", ProjectionKind.DENSE, weights(3, 6, 4 * size * size) // 4)
    return network(*parts, lif("last", (6,), reset), conv, last)


def skip(reset: Reset) -> IntNetwork:
    return network(
        plain_population("input", (10,), PopulationKind.INPUT),
        lif("a", (12,), reset),
        lif("b", (12,), reset),
        lif("last", (8,), reset),
        Projection("input", "a", ProjectionKind.DENSE, weights(4, 12, 10)),
        Projection("a", "b", ProjectionKind.DENSE, weights(5, 12, 12)),
        Projection("b", "last", ProjectionKind.DENSE, weights(6, 8, 12)),
        Projection("a", "last", ProjectionKind.DENSE, weights(7, 8, 12), delay=1),
    )


def readout(reset: Reset) -> IntNetwork:
    """A membrane as output: the sum over time."""
    last = Population(
        "last",
        (5,),
        PopulationKind.READOUT,
        Reset.NONE,
        du=constant(4096, (5,)),
        dv=constant(0, (5,)),
        vth=constant(0, (5,)),
        bias_mant=constant(0, (5,)),
    )
    return network(
        plain_population("input", (10,), PopulationKind.INPUT),
        lif("hidden", (12,), reset),
        last,
        Projection("input", "hidden", ProjectionKind.DENSE, weights(0, 12, 10)),
        Projection("hidden", "last", ProjectionKind.DENSE, weights(8, 5, 12)),
    )


HARD, SOFT = Reset.HARD, Reset.SOFT
NETWORKS = {
    "dense, hard reset": dense(HARD),
    "dense, soft reset": dense(SOFT),
    "dense, no leak, hard reset": dense(HARD, dv=0),
    "dense, no leak, soft reset": dense(SOFT, dv=0),
    "convolution, hard reset": image(HARD, pool=False),
    "sum pooling, hard reset": image(HARD, pool=True),
    "sum pooling, soft reset": image(SOFT, pool=True),
    "skip connection, hard reset": skip(HARD),
    "synaptic memory, hard reset": dense(HARD, du=2048),
    "synaptic memory, soft reset": dense(SOFT, du=2048),
    "membrane output, hard reset": readout(HARD),
}


LATE = "dense, snnTorch's default reset"


def late_graph(mode: NirMode, dt: float) -> Graph:
    """A snnTorch module as it comes: the subtraction a step late."""
    torch.manual_seed(0)
    layers = [nn.Linear(10, 12, bias=False), snn.Leaky(beta=0.5, init_hidden=True)]
    layers += [nn.Linear(12, 8, bias=False), snn.Leaky(beta=0.5, init_hidden=True)]
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            layer.weight.data = torch.tensor(weights(i, *layer.weight.shape) / 64.0).float()
    module = nn.Sequential(*layers).eval()
    samples = np.random.default_rng(0).random((2, 10), np.float32)
    recording = record(module, samples, time_steps=2, frames=False)
    return from_float(to_float(recording), dt, mode)


def inputs(name: str) -> IntArray:
    shape = (10,) if name == LATE else NETWORKS[name].source.shape
    rng = np.random.default_rng(9)
    return (rng.random((STEPS, BATCH, *shape)) < 0.3).astype(np.int64)


def resets_softly(name: str) -> bool:
    return name == LATE or any(p.reset is SOFT for p in NETWORKS[name].populations)


def cases(dt: float) -> list[dict[str, Any]]:
    """Every network in every mode that makes a difference."""
    return [
        {"name": f"{i}-{mode}", "network": name, "mode": mode, "dt": dt}
        for i, name in enumerate([*NETWORKS, LATE])
        for mode in ("compatible", "exact", "for")
        if mode != "exact" or resets_softly(name)
    ]


def write(case: dict[str, Any], platform: str, path: Path) -> str | None:
    """The case's file; the reason if we refuse to write it."""
    mode, dt = case["mode"], case["dt"]
    plain = NirMode.COMPATIBLE if mode == "for" else NirMode(mode)
    try:
        if case["network"] == LATE:
            write_graph(late_graph(plain, dt), path)
        else:
            write_nir(NETWORKS[case["network"]], path, plain, dt)
        if mode == "for":
            write_for(read_graph(path), path, platform)
    except NetworkError as error:
        path.unlink(missing_ok=True)
        return f"{error.found} (wanted: {error.allowed})"
    return None


# ---------------------------------------------------------------- one platform


def python_of(name: str, platform: Platform) -> tuple[Path | None, str]:
    """The platform's interpreter, installed now if need be; None and the reason if it cannot."""
    folder = CACHE / name
    ready = folder / ".installed"
    python = folder / "bin" / "python"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        if platform.torch:
            lender, reason = python_of(SHARED, PLATFORMS[SHARED])
            if lender is None:
                return None, reason
            for site in folder.glob("lib/python*/site-packages"):
                lent = CACHE / SHARED / site.relative_to(folder)
                (site / "shared.pth").write_text(f"{lent}\n")
        command = [str(python), "-m", "pip", "install", "--quiet", *platform.packages]
        try:
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS, capture_output=True)
        except subprocess.TimeoutExpired:
            return None, f"not installed within {INSTALL_SECONDS} s"
        except subprocess.CalledProcessError as error:
            return None, error.stderr.decode().strip().splitlines()[-1][:160]
        ready.touch()
    return python, ""


def outcomes(name: str) -> list[dict[str, Any]]:
    """One row per case: what the platform made of it."""
    python, reason = python_of(name, PLATFORMS[name])
    listed = cases(PLATFORMS[name].dt)
    if python is None:
        return [{**case, "result": "not installed", "why": reason} for case in listed]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        refused = {c["name"]: write(c, name, folder / f"{c['name']}.nir") for c in listed}
        written = [case for case in listed if refused[case["name"]] is None]
        for case in written:
            np.save(folder / f"{case['name']}.in.npy", inputs(case["network"]))
        (folder / "cases.json").write_text(json.dumps(written))
        script = Path(__file__).parent / "peers" / "nir_readers.py"
        done = subprocess.run(
            [str(python), str(script), name, str(folder)], timeout=RUN_SECONDS, capture_output=True
        )
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        told = json.loads((folder / f"{name}.json").read_text())
        return [
            {**case, "result": "refused", "why": refused[case["name"]]}
            if case not in written
            else judged(case, name, folder, told["reasons"][case["name"]])
            for case in listed
        ]


def judged(case: dict[str, Any], name: str, folder: Path, reason: str | None) -> dict[str, Any]:
    """Identical, explained by the platform's profile, different, or not read."""
    if reason is not None:
        return {**case, "result": "not read", "why": reason}
    wanted, frames = expected(case["network"]), inputs(case["network"]).astype(np.float64)
    found = np.load(folder / f"{case['name']}.{name}.npy")
    if np.array_equal(found.reshape(-1), wanted.reshape(-1)):
        return {**case, "result": "identical", "why": ""}
    share = f"an output of shape {found.shape[2:]}"
    if found.size == wanted.size:
        found = found.reshape(wanted.shape)
        share = f"{int((found != wanted).sum())} of {wanted.size} values differ"
        if np.array_equal(np.cumsum(found, axis=0), wanted):
            return {**case, "result": "explained", "why": "its sum over time is identical"}
    for why, likeness in likenesses(folder / f"{case['name']}.nir", name, case["dt"], frames):
        if np.array_equal(found.reshape(-1), likeness.reshape(-1)):
            return {**case, "result": "explained", "why": f"{why}; {share}"}
    return {**case, "result": "different", "why": share}


def expected(name: str) -> Any:
    """Spikes of the last population, or its membrane in weight units."""
    if name == LATE:
        return run(late_graph(NirMode.EXACT, 1e-4), inputs(name).astype(np.float64)).output
    activity = layerwise(NETWORKS[name], inputs(name))
    last = NETWORKS[name].readout
    if last.kind is PopulationKind.READOUT:
        return activity.states["v"][last.name] // 64
    return activity.spikes[last.name]


# ---------------------------------------------------------------- the table


def main(names: list[str]) -> None:
    """Run the named platforms (default: all); rows of the others stay as they were."""
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in names or [name for name in PLATFORMS if name != SHARED]:
        kept[name] = {"packages": PLATFORMS[name].packages, "rows": outcomes(name)}
        for row in kept[name]["rows"]:
            print(f"{name:9} {row['mode']:10} {row['network']:32} {row['result']}: {row['why']}")
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(kept, indent=1) + "\n")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(kept)}\n{END}{after}", encoding="utf-8")


def table(kept: dict[str, Any]) -> str:
    """Network and mode by platform, in Markdown."""
    names = [name for name in PLATFORMS if name in kept]
    heads = [
        next(p for p in kept[n]["packages"] if p.startswith(n)).replace("==", " ") for n in names
    ]
    lines = [f"| network | written | {' | '.join(heads)} |", "|" + "---|" * (len(names) + 2)]
    cells = {(r["network"], r["mode"], n): r["result"] for n in names for r in kept[n]["rows"]}
    for network, mode in dict.fromkeys((k[0], k[1]) for k in cells):
        found = [cells.get((network, mode, n), "") for n in names]
        word = "--for it" if mode == "for" else mode
        lines.append(f"| {network} | {word} | {' | '.join(found)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
