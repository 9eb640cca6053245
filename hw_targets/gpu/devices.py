"""Which devices torch can use here; torch is imported only where a CUDA driver was found."""

import ctypes.util

from tssd.hw_targets.engine import Presence


def presence() -> Presence:
    """Ready wherever torch is, with the devices in words."""
    return Presence("ready", _devices())


def _devices() -> str:
    if ctypes.util.find_library("cuda") is None:
        return "on cpu (no CUDA driver)"
    import torch

    if not torch.cuda.is_available():
        return "on cpu (this torch has no CUDA)"
    return f"on cpu and {torch.cuda.get_device_name()}"
