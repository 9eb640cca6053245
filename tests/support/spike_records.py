"""Spike records as a user's own simulator would write them (docs/simulator.md)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tssd.hw_targets.sim.record import SCHEMA, SpikeRecord


def write_record(path: Path, record: SpikeRecord, **more: NDArray[np.int64]) -> None:
    """Write *record* as ``.npz``; its payloads are the first population's, the input's."""
    arrays: dict[str, Any] = {f"spikes/{name}": e for name, e in record.spikes.items()}
    arrays |= {f"active/{name}": flags for name, flags in record.active.items()}
    if record.payload is not None:
        arrays[f"payload/{next(iter(record.spikes))}"] = record.payload
    arrays |= more
    np.savez_compressed(path, schema=SCHEMA, steps=record.steps, **arrays)
