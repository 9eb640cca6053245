"""Disks of a case: small ones, and read-only ones (Linux, with the right to mount)."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOMY = "256m"


def can_mount() -> bool:
    """Whether this process may mount a file system in memory."""
    with tempfile.TemporaryDirectory() as folder:
        if not _ran("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder):
            return False
        return _ran("umount", folder)


@contextmanager
def disk(folder: Path, spare_bytes: int) -> Iterator[None]:
    """*folder* with what is in it on a file system of its own, with so much room until it is
    ``relieved``; none: it cannot be written to at all."""
    with tempfile.TemporaryDirectory() as aside:
        shutil.copytree(folder, aside, dirs_exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(folder))
        try:
            shutil.copytree(aside, folder, dirs_exist_ok=True)
            used = os.statvfs(folder)
            taken = (used.f_blocks - used.f_bfree) * used.f_frsize
            option = f"size={taken + spare_bytes}" if spare_bytes else "ro"
            _run("mount", "-o", f"remount,{option}", str(folder))
            yield
        finally:
            _run("umount", str(folder))


def relieved(folder: Path) -> None:
    """Room and the right to write from now on."""
    _run("mount", "-o", f"remount,rw,size={ROOMY}", str(folder))


def _ran(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
