"""A hundred thousand damaged and hostile files, read in pooled processes under a watch.

python -m benchmarks.exchange_fuzz [--cases 100000] [--workers 2] [--seed 1] [--minutes M] [--fresh]

A worker reads case after case (``tests/support/damage.py``) and tells when it starts and ends one.
A case that takes longer than PATIENCE_S is a hang, a worker that dies a crash, any exception but a
refusal an error; each is reported with its number, which makes the same file again.
A campaign goes on where an earlier one of its seed stopped (build/fuzz-SEED.json); --fresh begins
again.
"""

import argparse
import json
import os
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from benchmarks import harness  # noqa: E402
from tssd.atomic import write_bytes  # noqa: E402

COMMAND = "python -m benchmarks.exchange_fuzz"
PATIENCE_S = 300.0
RECORDED_FROM = 20_000  # cases; fewer are printed only
CHUNK = 1000  # cases that a worker asks for at once
WHOLE_EVERY = 500  # one case in so many is inspected as the command does it, by all targets


@dataclass
class Outcome:
    """What came of all cases."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    largest_mib: float = 0.0
    guard_mib: float = 0.0
    done: list[int] = field(default_factory=list)  # first cases of chunks

    def merge(self, other: "Outcome") -> None:
        """Count what *other* found, too."""
        self.counts.update(other.counts)
        self.faults += other.faults
        self.done += other.done
        for name in ("longest_s", "largest_mib", "guard_mib"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))

    def add(self, told: dict[str, Any]) -> None:
        self.counts[told["outcome"]] += 1
        self.longest_s = max(self.longest_s, told["seconds"])
        self.largest_mib = max(self.largest_mib, told["mib"])

    def fault(self, kind: str, case: int | None, words: str) -> None:
        self.counts[kind] += 1
        self.faults.append(f"case {case}: {kind} {words}")


@dataclass(frozen=True)
class Campaign:
    """The cases of one seed, and the file in which its finished chunks are kept."""

    seed: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def path(self) -> Path:
        return ROOT / "build" / f"fuzz-{self.seed}.json"

    def load(self) -> Outcome:
        if not self.path.is_file():
            return Outcome()
        kept = json.loads(self.path.read_text(encoding="utf-8"))
        return Outcome(**{**kept, "counts": Counter(kept["counts"])})

    def keep(self, outcome: Outcome, chunk: Outcome) -> None:
        """Count *chunk*, and write down what is done so far."""
        with self.lock:
            outcome.merge(chunk)
            self.path.parent.mkdir(exist_ok=True)
            write_bytes(self.path, json.dumps(vars(outcome)).encode())


def work(seed: int, first: int, last: int) -> None:
    """A worker: all cases from *first* to *last*, told line by line."""
    import damage

    from tssd import guard

    with tempfile.TemporaryDirectory() as folder:
        made = damage.Attack(Path(folder), seed)
        for case in range(first, last):
            tell({"case": case})
            start = time.monotonic()
            path = made.write(case)
            whole = case % WHOLE_EVERY < len(made.originals)
            tell(ended(case, start, kind_of(made.consume(path, whole=whole))))
    guard.stop()
    mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    tell({"guard_mib": mib})


def tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def ended(case: int, start: float, outcome: str) -> dict[str, Any]:
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.monotonic() - start
    return {"case": case, "outcome": outcome, "seconds": seconds, "mib": mib}


def kind_of(refusals: list[str]) -> str:
    stopped = [r for r in refusals if "its reader" in r]
    for word in ("failed", "crashed", "memory", "did not end"):
        if any(word in r for r in stopped):
            return f"guard: {word}"
    return "refused" if refusals else "read"


def watch(tasks: "queue.Queue[range]", outcome: Outcome, campaign: Campaign) -> None:
    """Run workers over chunks of cases; after a hang or crash go on behind that case."""
    while True:
        try:
            cases = tasks.get_nowait()
        except queue.Empty:
            return
        chunk = Outcome(done=[cases.start])
        first = cases.start
        while first < cases.stop:
            first = one_worker(campaign.seed, range(first, cases.stop), chunk)
        campaign.keep(outcome, chunk)


def one_worker(seed: int, cases: range, outcome: Outcome) -> int:
    """The case to go on with."""
    task = ["--worker", str(seed), str(cases.start), str(cases.stop)]
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.exchange_fuzz", *task],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        current, hangs = follow(process, outcome)
        code = process.wait()
        complaints.seek(0)
        last_words = (complaints.read().splitlines() or [""])[-1][:200]
    if code == 0:
        return cases.stop
    kind = "hang" if hangs else "error" if code > 0 else "crash"
    outcome.fault(kind, current, last_words)
    return cases.stop if current is None else current + 1


def follow(process: "subprocess.Popen[str]", outcome: Outcome) -> tuple[int | None, bool]:
    """Listen to a worker: the case it was at when it ended, and whether it had to be ended."""
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=pump, args=(process, lines), daemon=True).start()
    current: int | None = None
    while True:
        try:
            line = lines.get(timeout=PATIENCE_S)
        except queue.Empty:
            process.kill()
            return current, True
        if not line:
            return current, False
        told = json.loads(line)
        if "guard_mib" in told:
            outcome.guard_mib = max(outcome.guard_mib, told["guard_mib"])
        elif "outcome" in told:
            outcome.add(told)
        else:
            current = told["case"]


def pump(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def run(campaign: Campaign, cases: int, workers: int, minutes: float) -> Outcome:
    """No new chunk of cases is begun after *minutes*."""
    outcome = campaign.load()
    tasks: queue.Queue[range] = queue.Queue()
    for first in range(0, cases, CHUNK):
        if first not in outcome.done:
            tasks.put(range(first, min(first + CHUNK, cases)))
    timer = threading.Timer(60 * minutes, tasks.queue.clear)
    timer.daemon = True
    timer.start()
    threads = [
        threading.Thread(target=watch, args=(tasks, outcome, campaign)) for _ in range(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def rows(outcome: Outcome, how: str) -> list[harness.Row]:
    counts = outcome.counts
    faults = {kind: counts[kind] for kind in ("error", "crash", "hang", "guard: failed")}
    stopped = [k for k in counts if k.startswith("guard") and k != "guard: failed"]
    names = {"error": "unhandled errors", "crash": "crashes", "hang": "hangs"}
    return [
        harness.at_least("fuzz: cases", counts.total(), 100_000, "files", how),
        harness.report("fuzz: read", counts["read"], "files", how),
        harness.report("fuzz: refused", counts["refused"], "files", how),
        *(
            harness.report(f"fuzz: refused by the limits, {k[7:]}", counts[k], "files", how)
            for k in sorted(stopped)
        ),
        *(
            harness.at_most(f"fuzz: {names.get(kind, kind)}", number, 0, "files", how)
            for kind, number in faults.items()
        ),
        harness.report("fuzz: longest case", round(outcome.longest_s, 2), "s", how),
        harness.report("fuzz: largest reader", round(outcome.largest_mib), "MiB", how),
        harness.report("fuzz: largest process under limits", round(outcome.guard_mib), "MiB", how),
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--worker", type=int, nargs=3)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    campaign = Campaign(options.seed)
    if options.fresh:
        campaign.path.unlink(missing_ok=True)
    outcome = run(campaign, options.cases, options.workers, options.minutes)
    for fault in outcome.faults[:200]:
        print(fault)
    how = (
        f"{COMMAND} --cases {options.cases} --seed {options.seed}; NIR and other HDF5, .net, ONNX, "
    )
    how += ".safetensors, .npy, .npz, manifest.json; memory includes Python and all libraries"
    if outcome.counts.total() >= RECORDED_FROM:
        harness.write("exchange_fuzz", COMMAND, rows(outcome, how))
    else:
        for row in rows(outcome, how):
            print(row.name, row.value)


if __name__ == "__main__":
    main()
