"""Damaged and hostile files of every kind that we read, made from a seed; and what reads them.

``Attack.write(n)`` always writes the same file. A quarter of the NIR files are sound HDF5 with
wrong content (types, ranks, sizes, links); all others are valid files with bytes changed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from float_nets import small_vgg
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import IntNetwork, Reset
from tssd.chain.user_samples import load_samples
from tssd.errors import TssdError
from tssd.export.bundle import golden
from tssd.export.bundle.folder import read_bundle, write_bundle
from tssd.export.netx.read import read_netx
from tssd.export.netx.write import write_netx
from tssd.export.nir.graphs.profiles import Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.integers.read import has_integer_model, read_nir
from tssd.export.nir.integers.write import write_nir
from tssd.export.onnx.float_graph import step_bytes as float_step_bytes
from tssd.export.onnx.graph import step_bytes
from tssd.export.onnx.read import read_onnx
from tssd.inspecting.inspection import inspect
from tssd.train.handover import float_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "nir"
PUBLISHED = ("lif_norse", "two_lif_neurons", "braille_noDelay_bias_zero")
SEED = 0  # of a network with one hidden population
UNSAID = Answers(profile="norse", dt_seconds=1e-4)  # what a published graph does not say
LARGEST_STEP = 1 << 16  # values of one input frame that a damaged graph may be run with
WORDS = (0, 1, 7, 255, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)


@dataclass(frozen=True)
class Original:
    """A valid file: its name, its content, and what it is read by."""

    name: str
    data: bytes


class Attack:
    """All cases of one seed, in *folder*."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.network = random_conv_network(SEED, Reset.HARD, time_steps=2)
        self.originals = exchange_files(folder, self.network)
        self.bundle = folder / "bundle"

    def write(self, case: int) -> Path:
        """The file of *case*, written."""
        rng = np.random.default_rng([self.seed, case])
        original = self.originals[case % len(self.originals)]
        target = self.folder / f"case{Path(original.name).suffix}"
        if original.name.endswith(".nir") and rng.random() < 0.25:
            target.write_bytes(original.data)
            spoil(target, rng)
            return target
        data = mutated(original.data, rng)
        if target.suffix == ".json":
            target = self.bundle / original.name
        target.write_bytes(data)
        return target

    def consume(self, path: Path, *, whole: bool) -> list[str]:
        """Let everything read *path*: the refusals. *whole*: what inspect makes of it too."""
        refusals = []
        for reader in (*self._readers(path), *((inspect,) if whole else ())):
            try:
                reader(path)
            except TssdError as error:
                if not error.found:
                    raise
                refusals.append(error.found)
        return refusals

    def _readers(self, path: Path) -> tuple[Callable[[Path], object], ...]:
        shape = self.network.source.shape
        return {
            ".nir": (has_integer_model, read_nir, read_and_step),
            ".net": (read_netx,),
            ".onnx": (read_onnx,),
            ".safetensors": (float_file.read,),
            ".npz": (self._golden, lambda path: load_samples(path, shape)),
            ".npy": (lambda path: load_samples(path, shape),),
            ".json": (lambda path: read_bundle(path.parent),),
        }[path.suffix]

    def _golden(self, path: Path) -> None:
        golden.from_bytes(path.read_bytes(), self.network, str(path))


def exchange_files(folder: Path, network: IntNetwork) -> list[Original]:
    """Small valid files of every kind; the manifest lies in a bundle."""
    write_nir(network, folder / "a.nir")
    write_netx(network, folder / "a.net")
    images = random_inputs(network, 0)[0].astype(np.uint8)
    np.save(folder / "a.npy", images)
    np.savez_compressed(folder / "a.npz", inputs=images, labels=np.arange(len(images)))
    found = [Original(n, (folder / n).read_bytes()) for n in ("a.nir", "a.net", "a.npy", "a.npz")]
    found += [Original(f"{n}.nir", (GOLDEN / f"{n}.nir").read_bytes()) for n in PUBLISHED]
    floats = small_vgg(0, side=6)
    found.append(Original("a.safetensors", float_file.to_bytes(floats)))
    found.append(Original("a.onnx", step_bytes(network)))
    found.append(Original("float.onnx", float_step_bytes(floats)))
    answers = golden.make_golden(network, random_inputs(network, 1, batch=2))
    found.append(Original("golden.npz", golden.to_bytes(answers)))
    write_bundle(folder / "bundle", network, golden=answers)
    manifest = (folder / "bundle" / "manifest.json").read_bytes()
    return [*found, Original("manifest.json", manifest)]


def read_and_step(path: Path) -> None:
    """Read a graph and, if it is small, run one step of it."""
    graph = read_graph(path)
    shape = graph.nodes[graph.input].params["shape"]
    if all(n > 0 for n in shape) and np.prod(shape, dtype=object) <= LARGEST_STEP:
        run(graph, np.zeros((1, 1, *shape)), UNSAID)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncated, bits flipped, bytes or words set to extremes, a block moved, or bytes put in."""
    raw = bytearray(data)
    kind = int(rng.integers(5))
    if kind == 0:
        return bytes(raw[: int(rng.integers(len(raw)))])
    if kind == 1:
        start, end, size = (int(n) for n in rng.integers(0, len(raw), 3))
        size %= 64
        raw[start : start + size] = raw[end : end + size]
    elif kind == 2:
        for place in rng.integers(0, max(len(raw) // 8, 1), int(rng.integers(1, 5))):
            word = WORDS[int(rng.integers(len(WORDS)))]
            raw[8 * place : 8 * place + 8] = word.to_bytes(8, "little")
    elif kind == 3:
        place = int(rng.integers(len(raw)))
        raw[place:place] = rng.bytes(int(rng.integers(1, 40)))
    else:
        for place in rng.integers(0, len(raw), int(rng.integers(1, 9))):
            raw[place] = (0, 255, raw[place] ^ (1 << int(rng.integers(8))))[int(rng.integers(3))]
    return bytes(raw)


def spoil(path: Path, rng: np.random.Generator) -> None:
    """Replace one object of a sound HDF5 file by something that should not be there."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name = names[int(rng.integers(len(names)))]
        del file[name]
        if rng.random() < 0.9:
            STRANGE[int(rng.integers(len(STRANGE)))](file, name, rng)


def _array(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    kinds = ["f2", "f4", "f8", "i1", "i8", "u8", "?", "S4", "c8"]
    shape = tuple(int(n) for n in rng.integers(0, 4, int(rng.integers(0, 6))))
    values = rng.choice([0.0, 1.0, -1.0, 1e30, np.inf, -np.inf, np.nan, 0.5], shape)
    with np.errstate(all="ignore"):
        file[name] = np.asarray(values).astype(kinds[int(rng.integers(len(kinds)))])


def _huge(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    size = 10 ** int(rng.integers(3, 15))
    file.create_dataset(name, (size,), "f8", fillvalue=1.0, chunks=(min(size, 1 << 20),))


def _text(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    texts = ["", "NIRGraph", "LIF", "Conv2d", "x" * 3000, "same", "\N{SNOWMAN}", "../../x"]
    file[name] = texts[int(rng.integers(len(texts)))]


def _edges(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    ends = ["input", "output", "0", "nowhere", ""]
    table = rng.choice(ends, (int(rng.integers(0, 9)), int(rng.integers(1, 4))))
    file.create_dataset(name, data=table.astype(object), dtype=h5py.string_dtype())


def _group(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    file.create_group(name)["type"] = "NIRGraph" if rng.random() < 0.5 else "LIF"


def _soft_link(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    file[name] = h5py.SoftLink("/" if rng.random() < 0.5 else f"/{name}")


def _other_file(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    file[name] = h5py.ExternalLink("/etc/hostname", "/")


def _hard_loop(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    file[name] = file["node"] if "node" in file else file["/"]


def _outside(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    file.create_dataset(name, (8,), "f8", external=[("/etc/hostname", 0, 64)])


def _virtual(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("." if rng.random() < 0.5 else "/etc/hostname", name, (4,))
    file.create_virtual_dataset(name, layout)


def _compound(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    file[name] = np.zeros(3, [("a", "i4"), ("b", "f8")])


STRANGE: tuple[Callable[[h5py.File, str, np.random.Generator], None], ...] = (
    *(_array, _array, _array, _huge, _text, _edges, _group),
    *(_soft_link, _other_file, _hard_loop, _outside, _virtual, _compound),
)


def looping_heap() -> bytes:
    """A sound file but for one byte: free space of size 0 in the heap of its texts, over which
    libhdf5 2.0 loops for ever."""
    raw = bytearray((GOLDEN / "lif_norse.nir").read_bytes())
    heap = raw.index(b"GCOL")
    raw[heap + 16 + 3 * 24 + 8] = 255  # the length of the fourth text: the next is read from zeros
    return bytes(raw)
