"""A snnTorch module as one exchange file: floats in a ``.nir``."""

from pathlib import Path

from tssd.chain.conversion import FileForm, check_new
from tssd.chain.module_export import proofs, with_samples
from tssd.chain.module_source import ModelSource
from tssd.chain.own_module import ModuleReading, take_over
from tssd.errors import ConfigError
from tssd.export.nir.from_float import from_float
from tssd.export.nir.graphs.dialects import write_for
from tssd.export.nir.graphs.write import write_graph

DRAWN = 16  # samples that are drawn where none are given


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
