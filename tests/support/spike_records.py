"""Spike records as a user's own simulator would write them (docs/simulator.md)."""

from pathlib import Path
from typing import Any

import numpy as np

from tssd.hw_targets.sim.record import SCHEMA, SpikeRecord


def write_record(path: Path, record: SpikeRecord) -> None:
    """Write *record* as ``.npz``."""
    arrays: dict[str, Any] = {f"spikes/{name}": e for name, e in record.spikes.items()}
    arrays |= {f"active/{name}": flags for name, flags in record.active.items()}
    np.savez_compressed(path, schema=SCHEMA, steps=record.steps, **arrays)
