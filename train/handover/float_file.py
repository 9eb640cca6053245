"""``float.safetensors``: the stripped float network that a bundle carries beside the integers."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import save

from tssd.errors import FileFormatError
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_serial import from_arrays, to_arrays

FLOAT_FILE = "float.safetensors"


def to_bytes(network: FloatNetwork) -> bytes:
    """The file's bytes; the same network gives the same bytes."""
    header, arrays = to_arrays(network)
    return save(arrays, metadata={"header": header})


def read(path: Path) -> FloatNetwork:
    """The float network in *path*; FileFormatError if it is missing or damaged."""
    from safetensors import safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            header = (file.metadata() or {})["header"]
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError) as error:
        raise FileFormatError(
            str(path), found=f"no readable float network ({error})", hint="export again"
        ) from None
    return from_arrays(header, arrays, str(path))
