"""A chip known by its numbers: two chips of one name may differ, two of one number may not."""

import hashlib
from collections.abc import Collection

from tssd.hw_targets.chip.spec import SECTIONS, ChipSpec


def fingerprint(chip: ChipSpec, sections: Collection[str] = tuple(SECTIONS)) -> str:
    """SHA-256 of every number of *sections* with its range, whatever the chip is called."""
    lines = [
        f"{name} {q.value!r} {q.low!r} {q.high!r} {q.unit}"
        for name, q in chip.quantities()
        if name.partition(".")[0] in sections
    ]
    lines.append(f"barrier_follows {chip.barrier_follows}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
