"""How many threads to use: kernels hold no interpreter lock, so one per processor."""

import os


def available_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
