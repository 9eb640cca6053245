"""What is left after a fault: nothing half that looks whole, nothing that blocks the next run.

Files are compared by their bytes, but for the seconds that a training took (and what matplotlib
draws of its own accord in an ``.svg``).
"""

import csv
import hashlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.faulting.faults import KILLS, Fault
from benchmarks.faulting.jobs import Job
from benchmarks.faulting.nursery import HUNG, Ended

Tree = dict[str, str]
Kind = Literal["half", "blocked", "differs", "message", "outlived", "hung", "in silence"]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
PART = re.compile(r"\.[0-9a-f]{8}\.part")
TIMES = ("cpu_s", "wall_s")
CODES = {"interrupt": 130, "terminate": 143, "kill": 137, "kill as pid 1": 137}


@dataclass(frozen=True)
class Finding:
    """Something that must not be; *kind* is what the figures count."""

    kind: Kind
    text: str


def tree(folder: Path) -> Tree:
    """Every file and folder below *folder* by its path, with a digest of what it holds."""
    return {
        PART.sub(".part", str(path.relative_to(folder))): digest(path)
        for path in sorted(folder.rglob("*"))
    }


def state(now: Tree) -> Tree:
    """*now* as the next run sees it: what is in a dead writer's folder is removed unread, but for
    what it had moved aside."""
    return {
        name: is_now
        for name, is_now in now.items()
        if ".part/" not in name or name.endswith(".old")
    }


def digest(path: Path) -> str:
    """Of a file's bytes without times; of a folder ``folder``."""
    if path.is_dir():
        return "folder"
    raw = path.read_bytes()
    try:
        raw = _timeless(path.name, raw)
    except (ValueError, KeyError, IndexError):
        raw = b"torn" + raw
    return hashlib.sha256(raw).hexdigest()[:16]


def _timeless(name: str, raw: bytes) -> bytes:
    match name.rpartition(".")[2]:
        case "safetensors" if name.startswith("checkpoint"):
            size = int.from_bytes(raw[:8], "little")
            header = json.loads(raw[8 : 8 + size])
            position = _without_times(json.loads(header["__metadata__"].pop("position")))
            return json.dumps([header, position], sort_keys=True).encode() + raw[8 + size :]
        case "csv" if name == "history.csv":
            rows = list(csv.DictReader(io.StringIO(raw.decode())))
            return json.dumps(_without_times(rows)).encode()
        case "json" if name == "manifest.json":
            return json.dumps(_without_times(json.loads(raw))).encode()
        case "svg":
            if not raw.rstrip().endswith(b"</svg>"):
                raise ValueError("torn")
            return b"a picture"
        case _:
            return raw


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in TIMES}
    return [_without_times(v) for v in value] if isinstance(value, list) else value


def of_state(job: Job, folder: Path, before: Tree, golden: Tree) -> list[Finding]:
    """What in *folder* is half and looks whole; *before*, *golden*: as it was, as it shall be."""
    now = tree(folder)
    other = [
        f"{name} is neither old nor new"
        for name, is_now in now.items()
        if ".part" not in name
        and is_now not in (before.get(name), golden.get(name))
        and not _on_the_way(folder / name)
    ]
    if job.whole is not None and job.whole in now:
        missing = [n for n in golden if n.startswith(job.whole) and n not in now]
        other += [f"{job.whole} is there without {name}" for name in missing]
    other += [f"{name} is gone" for name in before if name not in now]
    return [Finding("half", text) for text in other]


def _on_the_way(path: Path) -> bool:
    """Whether a file that grows during the work is whole: a checkpoint, rows so far."""
    if path.name == "checkpoint.safetensors":
        from tssd.errors import TssdError
        from tssd.train.loop.checkpoint import read_checkpoint

        try:
            read_checkpoint(path)
        except TssdError:
            return False
        return True
    return path.suffix == ".csv" and path.read_bytes().endswith(b"\n")


def of_end(fault: Fault, ended: Ended) -> list[Finding]:
    """What is wrong with how the command ended: its code, what it said, what it left running."""
    if ended.said.endswith(HUNG):
        return [Finding("hung", ended.said[-300:])]
    found = []
    usual = CODES.get(fault.kind, 2)
    if ended.code not in (0, usual):
        found.append(Finding("message", f"exit code {ended.code} instead of {usual}"))
    if "Traceback" in ended.said:
        last = ended.said.strip().splitlines()[-1]
        found.append(Finding("message", f"a traceback: {last[:200]}"))
    told = [line for line in ended.said.splitlines() if re.match("error:|interrupted:", line)]
    if ended.code and fault.kind not in KILLS and len(told) != 1:
        text = f"{len(told)} messages instead of one: {ended.said[-300:]!r}"
        found.append(Finding("message", text))
    if ended.lingered:
        found.append(Finding("outlived", f"{ended.lingered} processes"))
    return found


def of_success(ended: Ended, folder: Path, golden: Tree) -> list[Finding]:
    """A command that ends well in spite of a fault has done its work."""
    different = _different(tree(folder), golden) if ended.code == 0 else []
    return [Finding("in silence", f"exit code 0, but {_list(different)}")] if different else []


def of_next(ended: Ended, folder: Path, golden: Tree) -> list[Finding]:
    """What is wrong after the next run, which nothing disturbed."""
    if ended.code != 0:
        return [Finding("blocked", f"the next run ends with {ended.code}: {ended.said[-300:]!r}")]
    different = _different(tree(folder), golden)
    return [Finding("differs", f"after the next run {_list(different)}")] if different else []


def _different(now: Tree, golden: Tree) -> list[str]:
    return sorted(name for name in now.keys() | golden.keys() if now.get(name) != golden.get(name))


def _list(names: list[str]) -> str:
    return f"{', '.join(names)[:300]} differ"
