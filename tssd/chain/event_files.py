"""A bundle's golden inputs, and what every population sends on them, as NIR's event data."""

from pathlib import Path

from tssd.calibration.simulate import reference
from tssd.errors import ConfigError, DataError
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.event_data import write_event_data

SUFFIXES = (".h5", ".hdf5")


def convert_to_events(source: Path, out: Path, dt_seconds: float) -> str:
    """Write *out*, which is new; returns what is in it."""
    if out.suffix not in SUFFIXES:
        raise ConfigError("--events", found=out.name, allowed=f"a {' or '.join(SUFFIXES)} file")
    if out.exists():
        raise ConfigError("--events", found=f"{out}, which exists", allowed="a new file")
    bundle = read_bundle(source)
    if bundle.golden is None:
        raise DataError(str(source), found="no golden inputs", hint="export again")
    sent = reference(bundle.network, bundle.golden.inputs).spikes
    write_event_data(out, sent, dt_seconds)
    return f"{bundle.golden.inputs.shape[1]} golden samples of {len(sent)} populations"
