"""Integers as one exchange file, .nir, .net or C99, without torch but for a platform's dialect."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tssd.atomic import folder_written_whole
from tssd.calibration.int_network import IntNetwork
from tssd.config import unknown_name
from tssd.errors import FileFormatError
from tssd.export.bundle.folder import read_bundle
from tssd.export.c.folder import write_c
from tssd.export.netx.write import write_netx
from tssd.export.nir.graphs.graph import Graph
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.write import write_nir

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
        from tssd.export.nir.graphs.dialects import write_for  # the graph is run in torch

        return write_for(_graph(network), out, form.platform)
    else:
        write_nir(network, out, form.mode, form.dt_seconds)
    return None


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
