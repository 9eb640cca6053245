"""Keep freed memory for the next batch.

Every layer of a training step allocates tensors of tens of megabytes. glibc maps and unmaps blocks
of that size, and each new mapping costs a page fault per 4 KiB: a tenth and more of a step's CPU
time. Told to serve them from the heap and to keep what is freed, it hands the same pages out again.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h of glibc


def keep_freed_pages() -> bool:
    """For the rest of the process; False (and no effect) where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False
    largest = 2**31 - 1
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, largest))
