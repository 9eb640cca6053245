"""Damaged and hostile files for every reader, in forks with limits of CPU time and memory.

python -m benchmarks.reader_fuzz [--cases N] [--seed S] [--minutes M] [--only TEXT] [--write]

A fork reads file after file (``tests/support/hostile.py``) in memory's file system. An exception
that is no refusal is an error, reported with its case, which makes the same file again; a case that
takes more than SECONDS of CPU time or MEMORY more than the fork began with ends the fork, and is a
fault too, unless a process with limits stands before its reader (NIR and other HDF5, ONNX, weights
of torch): then that one is what would end, and the campaign waits no longer than KEPT_SECONDS. What
became of the cases before stands in memory that outlives the fork. *cases* are shared among the
kinds by the time that a case takes; with --each, every kind has so many. A campaign goes on where
an earlier one of its seed stopped (build/readers-SEED.json). --write replaces those kinds in the
results that it read.
"""

import argparse
import json
import math
import mmap
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import hostile  # noqa: E402
from hostile import Target  # noqa: E402
from hostile_bytes import SCRATCH  # noqa: E402

from benchmarks import harness  # noqa: E402
from tssd import guard  # noqa: E402
from tssd.atomic import write_bytes  # noqa: E402
from tssd.errors import TssdError  # noqa: E402

COMMAND = "make campaign-fuzz"
SECONDS = 5.0  # of CPU time for one case
KEPT_SECONDS = 1.0  # the same where a process with limits would end
MEMORY = 1 << 30  # of a fork, above what it began with
CHUNK = 2000  # cases of a fork
LONGEST_WORDS = 20_000  # of a message
SEEN_BYTES = 1 << 18  # an outcome as JSON: a few counts, and a line for every place of a fault
LONGEST, LARGEST = "longest case", "largest growth of a reader"
FAULTS = ("error", "hang", "crash", "memory")


@dataclass
class Outcome:
    """What came of one kind's cases, made from ``seed``. ``faults``: a few of each, with their
    cases."""

    cases: int = 0
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    longest_s: float = 0.0
    cpu_s: float = 0.0
    largest_mib: float = 0.0

    def add(self, other: "Outcome") -> None:
        self.cases += other.cases
        self.counts.update(other.counts)
        self.faults = {**other.faults, **self.faults}
        self.cpu_s += other.cpu_s
        self.longest_s = max(self.longest_s, other.longest_s)
        self.largest_mib = max(self.largest_mib, other.largest_mib)

    @property
    def weight(self) -> float:
        """The CPU time so far, heavier for a kind whose cases are slow."""
        return self.cpu_s * math.sqrt(self.cpu_s / max(self.cases, 1))

    @property
    def bad(self) -> int:
        return sum(self.counts[kind] for kind in FAULTS)


class Caught:
    """Whatever a reader raises, an exit or an interrupt too: how the case ended, and where."""

    def __init__(self) -> None:
        self.ended, self.where = "read", ""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, TssdError):
            self.ended = "refused"
        elif error is not None:
            self.ended = "memory" if isinstance(error, MemoryError) else "error"
            self.where = place_of(error, trace)
        return True


def read(target: Target, case: int, path: Path) -> tuple[str, str]:
    """(how the case ended, where and what an error was)."""
    caught = Caught()
    for reader in target.readers_of(case):
        with caught:
            _consumed(reader, path)
        if caught.where:
            break
    return caught.ended, caught.where


def _consumed(reader: Callable[[Path], object], path: Path) -> None:
    """Read *path*; a refusal must say what was found, in a line or two that can be printed."""
    try:
        reader(path)
    except TssdError as error:
        if not error.found or len(str(error)) > LONGEST_WORDS:
            raise ValueError(f"a message of {len(str(error))} characters") from error
        raise


def place_of(error: BaseException, trace: Any) -> str:
    """The innermost line of ours, and the error."""
    frames = [(os.path.realpath(f.filename), f.lineno) for f in traceback.extract_tb(trace)]
    ours = [(name, line) for name, line in frames if name.startswith(f"{ROOT}/") and is_ours(name)]
    name, line = os.path.relpath(ours[-1][0], ROOT), ours[-1][1]
    return f"{name}:{line}: {type(error).__name__}: {str(error)[:120]}"


def is_ours(name: str) -> bool:
    """Neither installed nor a compiled module's source, which is not there."""
    return "site-packages" not in name and Path(name).exists()


def check_valid(target: Target, folder: Path) -> None:
    """A file that nobody damaged is read by all readers of its kind, else nothing of it is tried:
    a refusal of the valid file hides what lies behind."""
    for name, data in target.originals:
        path = folder / name
        path.write_bytes(data)
        for reader in (*target.readers, *target.heavy):
            try:
                reader(path)
            except TssdError as error:
                sys.exit(f"{target.name}: the valid file {name} is refused: {error}")


def fork(target: Target, seed: int, cases: range, folder: Path) -> Outcome:
    """Read *cases* in a fork; after one that ends it, go on behind it in another."""
    whole, first = Outcome(), cases.start
    while first < cases.stop:
        seen = Seen()
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            _work(target, seed, range(first, cases.stop), folder, seen, told)
        os.close(told)
        with os.fdopen(heard) as stream:
            failure = stream.read()
        _, status, used = os.wait4(child, 0)
        part = seen.outcome()
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            case = first + part.cases
            sys.exit(f"{target.name}, case {case}: the campaign itself failed: {failure}")
        if os.WIFSIGNALED(status):
            part.add(_ended(target, first + part.cases, os.WTERMSIG(status)))
        part.cpu_s = used.ru_utime + used.ru_stime
        whole.add(part)
        first += part.cases
    return whole


class Seen:
    """What a fork has found so far, in memory that its parent sees whatever ends the fork."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, SEEN_BYTES)
        self.tell(Outcome())

    def tell(self, outcome: Outcome) -> None:
        """Say all of it anew; a fork ends inside a reader, never here."""
        text = json.dumps(vars(outcome)).encode()
        self.memory[:8] = len(text).to_bytes(8, "little")
        self.memory[8 : 8 + len(text)] = text

    def outcome(self) -> Outcome:
        """What was told last."""
        length = int.from_bytes(self.memory[:8], "little")
        return _outcome(self.memory[8 : 8 + length].decode())


def _ended(target: Target, case: int, number: int) -> Outcome:
    """The case that ended its fork by signal *number*."""
    kind = "hang" if number == signal.SIGPROF else "crash"
    counts = Counter({f"stopped: {kind}" if target.kept else kind: 1})
    faults = {} if target.kept else {f"{kind} (signal {number})": f"case {case}"}
    return Outcome(1, counts=counts, faults=faults)


def _work(target: Target, seed: int, cases: range, folder: Path, seen: Seen, told: int) -> None:
    """The rest of a fork's life."""
    code = 1
    limit = KEPT_SECONDS if target.kept else SECONDS
    try:
        guard._Here.is_guard = True  # readers run in this process, which has the limits
        warnings.simplefilter("ignore")
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        most = guard._mapped_bytes() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        outcome = Outcome()
        before = _peak_mib()
        for case in cases:
            path = target.write(case, seed, folder)
            signal.setitimer(signal.ITIMER_PROF, limit)
            start = time.process_time()
            ended, where = read(target, case, path)
            outcome.longest_s = max(outcome.longest_s, time.process_time() - start)
            signal.setitimer(signal.ITIMER_PROF, 0)
            outcome.cases += 1
            outcome.counts[f"stopped: {ended}" if target.kept and ended == "memory" else ended] += 1
            if where and not (target.kept and ended == "memory"):
                outcome.faults.setdefault(f"{ended}: {where}", f"case {case}")
            outcome.largest_mib = _peak_mib() - before
            seen.tell(outcome)
        code = 0
    finally:
        if code:
            with os.fdopen(told, "w") as out:
                out.write(traceback.format_exc())
        os._exit(code)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _outcome(text: str) -> Outcome:
    table = json.loads(text)
    return Outcome(**{**table, "counts": Counter(table["counts"])})


@dataclass(frozen=True)
class Campaign:
    """The outcomes by kind of one seed, and the file in which they are kept."""

    seed: int
    outcomes: dict[str, Outcome]

    @property
    def path(self) -> Path:
        return ROOT / "build" / f"readers-{self.seed}.json"

    def keep(self) -> None:
        self.path.parent.mkdir(exist_ok=True)
        table = {name: vars(outcome) for name, outcome in self.outcomes.items()}
        write_bytes(self.path, json.dumps(table, indent=1).encode())


def load(seed: int) -> Campaign:
    """What an earlier campaign of *seed* found."""
    campaign = Campaign(seed, {})
    if campaign.path.is_file():
        kept = json.loads(campaign.path.read_text(encoding="utf-8"))
        campaign.outcomes.update({name: _outcome(json.dumps(t)) for name, t in kept.items()})
    return campaign


def run(
    campaign: Campaign,
    chosen: Sequence[Target],
    cases: int,
    each: int,
    minutes: float,
    top: Path,
) -> None:
    """Chunk by chunk: first *each* of every kind, then cheap kinds more often, the CPU time of each
    as the root of its pace."""
    end = time.monotonic() + 60 * minutes
    outcomes = {
        target.name: campaign.outcomes.setdefault(target.name, Outcome(seed=campaign.seed))
        for target in chosen
    }
    while time.monotonic() < end:
        thin = [t for t in chosen if outcomes[t.name].cases < each]
        if not thin and sum(o.cases for o in outcomes.values()) >= cases:
            return
        target = min(thin or chosen, key=lambda t: outcomes[t.name].weight)
        outcome = outcomes[target.name]
        quick = outcome.cases > 0 and outcome.cpu_s < outcome.cases / 200
        size = CHUNK if quick else CHUNK // 10
        outcome.add(fork(target, campaign.seed, range(outcome.cases, outcome.cases + size), top))
        campaign.keep()


def published(path: Path) -> dict[str, Outcome]:
    """The outcomes by kind in the results file at *path*, as ``rows`` wrote them."""
    if not path.is_file():
        return {}
    table = json.loads(path.read_text(encoding="utf-8"))["rows"]
    values = {row["name"].removeprefix("fuzz: "): row["value"] for row in table}
    largest = {"longest_s": values[LONGEST], "largest_mib": float(values[LARGEST])}
    found = {}
    for row in table:
        told = re.fullmatch(r"seed (\d+): (.*)", row["how"])
        if told is not None:
            counts = {kind: int(n) for n, kind in re.findall(r"(\d+) ([a-z: ]+)", told[2])}
            name = row["name"].removeprefix("fuzz: ")
            found[name] = Outcome(row["value"], int(told[1]), Counter(counts), **largest)
    return found


def rows(outcomes: Mapping[str, Outcome]) -> list[harness.Row]:
    """Of each kind the cases and its faults, then all together."""
    total, how = Outcome(), "each kind from its seed"
    found = []
    for name, outcome in outcomes.items():
        total.add(outcome)
        told = ", ".join(f"{n} {kind}" for kind, n in sorted(outcome.counts.items()))
        told = f"seed {outcome.seed}: {told}"
        found.append(harness.report(f"fuzz: {name}", outcome.cases, "files", told))
    return [
        *found,
        harness.at_least("fuzz: files of all kinds", total.cases, 1_000_000, "files", how),
        *(harness.at_most(f"fuzz: {kind}", total.counts[kind], 0, "files", how) for kind in FAULTS),
        harness.report(f"fuzz: {LONGEST}", round(total.longest_s, 2), "s", how),
        harness.report(f"fuzz: {LARGEST}", round(total.largest_mib), "MiB", how),
    ]  # fmt: skip


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Damaged files for every reader.")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--each", type=int, default=20_000, help="of every kind at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--only", default="", help="parts of kinds' names: netx,shd,nir")
    parser.add_argument("--write", action="store_true", help="write results/readers.json")
    given = parser.parse_args(words)
    campaign = load(given.seed)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as temporary:
        parts = given.only.split(",")
        made = hostile.targets(Path(temporary))
        chosen = [t for t in made if any(part in t.name for part in parts)]
        for target in chosen:
            check_valid(target, Path(temporary))
        run(campaign, chosen, given.cases, given.each, given.minutes, Path(temporary))
    for name, outcome in campaign.outcomes.items():
        each = 1000 * outcome.cpu_s / max(outcome.cases, 1)
        print(f"{name:18} {outcome.cases:8,} cases, {each:.2f} ms each, {dict(outcome.counts)}")
        for fault, case in list(outcome.faults.items())[:30]:
            print(f"  {case}: {fault}")
    if given.write:
        known = published(harness.RESULTS / "readers.json")
        harness.write("readers", COMMAND, rows({**known, **campaign.outcomes}))


if __name__ == "__main__":
    main()
