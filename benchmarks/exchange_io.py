"""Write and read a network of ten million weights as ``network.nir``: time and size.

Run from the root: ``python -m benchmarks.exchange_io``.
"""

import tempfile
from pathlib import Path

import nir
import numpy as np

from benchmarks.harness import Row, at_most, best_of, report, write
from tssd.calibration.int_network import (
    IntNetwork,
    Population,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.export.nir.integers.graph import to_nir
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.roundtrip import first_difference
from tssd.export.nir.integers.write import write_nir

COMMAND = "python -m benchmarks.exchange_io"


def large_network() -> IntNetwork:
    """Two convolutions and three dense layers with 10.1 million 8-bit weights."""
    rng = np.random.default_rng(0)
    shapes = [(3, 32, 32), (64, 32, 32), (128, 8, 8), (1100,), (800,), (10,)]
    names = ["input", "conv1", "conv2", "fc1", "fc2", "readout"]
    populations = [plain_population("input", shapes[0], PopulationKind.INPUT)]
    projections: list[Projection] = []
    for i in range(1, len(names)):
        populations.append(_population(rng, names[i], shapes[i], last=i == len(names) - 1))
        projections.append(_projection(rng, populations[-2], populations[-1]))
    return IntNetwork(tuple(populations), tuple(projections), 4)


def _population(
    rng: np.random.Generator, name: str, shape: tuple[int, ...], last: bool
) -> Population:
    size = (shape[0],) + (1,) * (len(shape) - 1)
    return Population(
        name,
        shape,
        PopulationKind.READOUT if last else PopulationKind.LIF,
        Reset.NONE if last else Reset.SOFT,
        du=constant(4096, shape),
        dv=constant(0 if last else 2048, shape),
        vth=rng.integers(100, 4000, size),
        bias_mant=rng.integers(-400, 400, size),
    )


def _projection(rng: np.random.Generator, source: Population, target: Population) -> Projection:
    if len(target.shape) == 1:
        weight = rng.integers(-127, 128, (target.neurons, source.neurons))
        return Projection(source.name, target.name, ProjectionKind.DENSE, weight)
    stride = source.shape[1] // target.shape[1]
    kernel = (3, 3) if stride == 1 else (stride, stride)
    weight = rng.integers(-127, 128, (target.shape[0], source.shape[0], *kernel))
    padding = (1, 1) if stride == 1 else (0, 0)
    return Projection(
        source.name,
        target.name,
        ProjectionKind.CONV2D,
        weight,
        stride=(stride, stride),
        padding=padding,
    )


def rows() -> list[Row]:
    """Time of write plus read, file size against the raw integers, and nir.write for comparison."""
    network = large_network()
    raw = sum(j.weight.size for j in network.projections)
    how = f"{COMMAND}; {raw} weights of 8 bits; CPU seconds, best of 3 after a warm-up"
    twice = f"{how}; the read counts twice, for it is done first in the process under limits"
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder) / "network.nir", Path(folder) / "plain.nir"
        write_s = best_of(lambda: write_nir(network, ours), 3)
        read_s = best_of(lambda: read_nir(ours), 3)
        graph = to_nir(network)
        nir_write_s = best_of(lambda: nir.write(plain, graph), 1)
        nir_read_s = best_of(lambda: nir.read(ours), 1)
        same = first_difference(network, read_nir(ours)) is None
        sizes = ours.stat().st_size, plain.stat().st_size
    return [
        at_most("NIR write + read, 10 million weights", write_s + 2 * read_s, 2.0, "s", twice),
        report("NIR write (plain NIR and integer model)", write_s, "s", how),
        report("NIR read (integer model, SHA-256 checked)", read_s, "s", how),
        report("nir.read of the same file (plain part)", nir_read_s, "s", how),
        at_most("file size / raw integer size", sizes[0] / raw, 1.05, "", how),
        report("nir.write of the plain part, for comparison", nir_write_s, "s", how),
        report("its file size / raw integer size", sizes[1] / raw, "", how),
        Row("round trip identical", str(same), "", "True", same, how),
    ]


if __name__ == "__main__":
    write("exchange_io", COMMAND, rows())
