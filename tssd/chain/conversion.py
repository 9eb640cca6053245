"""A network as one exchange file: integers or a snnTorch module to .nir, integers to .net."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tssd.atomic import folder_written_whole
from tssd.calibration.int_network import IntNetwork
from tssd.chain.module_export import proofs, with_samples
from tssd.chain.module_source import ModelSource
from tssd.chain.own_module import ModuleReading, take_over
from tssd.config import unknown_name
from tssd.errors import ConfigError, FileFormatError
from tssd.export.bundle.folder import read_bundle
from tssd.export.c.folder import write_c
from tssd.export.netx.write import write_netx
from tssd.export.nir.from_float import from_float
from tssd.export.nir.graphs.dialects import write_for
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.write import write_graph
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.write import write_nir

DRAWN = 16  # samples that are drawn where none are given
FORMATS = (".nir", ".net")


@dataclass(frozen=True)
class FileForm:
    """How a ``.nir`` is written: the mode, the length of a step, or the platform to read it."""

    mode: NirMode = NirMode.COMPATIBLE
    dt_seconds: float = 1e-4
    platform: str | None = None


def convert(source: Path, out: Path, form: FileForm) -> str | None:
    """The integers of a bundle or of a ``.nir`` of ours as *out*, by its suffix. Returns what a
    user of the file must know, if anything."""
    check_new(out)
    network = _integers(source)
    if out.suffix == ".net":
        write_netx(network, out)
    elif form.platform is not None:
        return write_for(_graph(network), out, form.platform)
    else:
        write_nir(network, out, form.mode, form.dt_seconds)
    return None


def convert_model(
    model: ModelSource, samples: str | None, reading: ModuleReading, out: Path, form: FileForm
) -> str | None:
    """The user's snnTorch module as a ``.nir`` of float weights, after it was found equal to it on
    *samples* (None: drawn at random); returns as ``convert`` does."""
    check_new(out)
    if out.suffix != ".nir":
        raise ConfigError("--out", found=out.name, allowed="a .nir file, for a float module")
    given, reading = with_samples(model, samples, reading, DRAWN)
    taken = take_over(model.load(), given.as_seen(), reading)
    told = "; ".join(f"{row.name}: {row.found}" for row in proofs(taken, given))
    graph = from_float(taken.network, form.dt_seconds, form.mode)
    if form.platform is not None:
        more = write_for(graph, out, form.platform)
        return told + (f"; {more}" if more else "")
    write_graph(graph, out)
    return told


def convert_to_c(source: Path, folder: Path) -> str:
    """The integers of a bundle or of a ``.nir`` of ours as C99 in the new *folder*; returns what
    they take."""
    check_free(folder)
    network = _integers(source)
    with folder_written_whole(folder, lambda: check_free(folder)) as part:
        sizes = write_c(network, part, source.resolve().stem)
    return f"{sizes.flash:,} bytes of constant tables, {sizes.ram:,} bytes of static arrays"


def convert_to_rtl(source: Path, folder: Path) -> str:
    """A bundle of the open core as what a host writes and must read, in the new *folder*, with the
    bundle's first golden sample; returns what it holds."""
    from tssd.hw_targets.rtl.engine import image_of_bundle  # it needs the extra "rtl"
    from tssd.hw_targets.rtl.image_file import write_image

    check_free(folder)
    bundle = read_bundle(source)
    if bundle.golden is None:
        raise FileFormatError(str(source), found="no golden inputs", hint="tssd export writes some")
    image, inputs = image_of_bundle(bundle), bundle.golden.inputs[:, :1]
    with folder_written_whole(folder, lambda: check_free(folder)) as part:
        return write_image(image, inputs, part)


def check_new(out: Path) -> None:
    """A known format, and nothing to overwrite."""
    if out.suffix not in FORMATS:
        raise unknown_name("--out", repr(out.name), out.suffix, FORMATS)
    check_free(out)


def check_free(out: Path) -> None:
    """Nothing is there that would be overwritten."""
    if out.exists():
        raise FileFormatError(str(out), found="an existing file", hint="another name, or remove it")


def _integers(source: Path) -> IntNetwork:
    return read_bundle(source).network if source.is_dir() else read_nir(source)


def _graph(network: IntNetwork) -> Graph:
    """The plain graph of *network*, by way of the file that says it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.nir"
        write_nir(network, path)
        return read_graph(path)
