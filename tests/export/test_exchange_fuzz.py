"""Damaged and hostile exchange files: a refusal that says why, never a crash or a hang."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from strategies import random_conv_network

from tssd.calibration.int_network import Reset
from tssd.errors import TssdError
from tssd.export.netx import write_netx
from tssd.export.netx_read import read_netx
from tssd.export.nir_read import has_integer_model, read_nir
from tssd.export.nir_write import write_nir
from tssd.export.nirio.read import read_graph
from tssd.export.nirio.run import run
from tssd.export.onnx_graph import step_bytes
from tssd.inspection import inspect

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "nir"
LARGEST_STEP = 1 << 16  # values of one input frame that a mutated graph may be run with


def originals(folder: Path) -> list[tuple[str, bytes]]:
    """(suffix, content) of small valid files of every kind."""
    network = random_conv_network(4, Reset.HARD, time_steps=2)
    write_nir(network, folder / "a.nir")
    write_netx(network, folder / "a.net")
    found = [(p.suffix, p.read_bytes()) for p in (folder / "a.nir", folder / "a.net")]
    published = ("lif_norse", "two_lif_neurons", "braille_noDelay_bias_zero")
    found += [(".nir", (GOLDEN / f"{name}.nir").read_bytes()) for name in published]
    header = b'{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}'
    tensors = len(header).to_bytes(8, "little") + header + bytes(24)
    return [*found, (".onnx", step_bytes(network)), (".safetensors", tensors)]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncated, bits flipped, bytes set to extremes, or a block moved."""
    raw = bytearray(data)
    kind = int(rng.integers(4))
    if kind == 0:
        return bytes(raw[: int(rng.integers(len(raw)))])
    if kind == 3:
        start, end, size = (int(n) for n in rng.integers(0, len(raw), 3))
        size %= 64
        raw[start : start + size] = raw[end : end + size]
        return bytes(raw)
    for place in rng.integers(0, len(raw), int(rng.integers(1, 9))):
        raw[place] = (0, 255, raw[place] ^ (1 << int(rng.integers(8))))[int(rng.integers(3))]
    return bytes(raw)


READERS: dict[str, tuple[Callable[[Path], object], ...]] = {}


def consume(path: Path, *, whole: bool = True) -> None:
    """Everything that opens a file of this kind; *whole*: also what inspect makes of it."""
    for reader in (*READERS[path.suffix], *((inspect,) if whole else ())):
        try:
            reader(path)
        except TssdError as error:
            if not error.found:
                raise


def read_and_step(path: Path) -> None:
    graph = read_graph(path)
    shape = graph.nodes[graph.input].params["shape"]
    if all(n > 0 for n in shape) and np.prod(shape, dtype=object) <= LARGEST_STEP:
        run(graph, np.zeros((1, 1, *shape)))


READERS |= {
    ".nir": (has_integer_model, read_nir, read_and_step),
    ".net": (read_netx,),
    ".onnx": (inspect,),
    ".safetensors": (inspect,),
}


def attack(cases: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = originals(folder)
        for case in range(cases):
            suffix, data = sources[case % len(sources)]
            target = folder / f"case{suffix}"
            target.write_bytes(mutated(data, rng))
            consume(target, whole=case % 50 < len(sources))
    return cases


def test_mutated_files_are_read_or_refused() -> None:
    assert attack(140, 0) == 140


@pytest.mark.campaign
def test_campaign_of_a_hundred_thousand_mutated_files() -> None:
    assert attack(100_000, 1) == 100_000
