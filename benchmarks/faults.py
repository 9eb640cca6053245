"""Faults: commands killed, stopped, and without disk at every step; what they leave must be whole.

python -m benchmarks.faults [--seed S] [--minutes M] [--most N] [--kind K ...] [--share I/N]
    [--fresh] [--brief]

Each command of ``faulting.jobs`` runs in a fork of this process, which has loaded everything; a
fault comes at one of its steps on the file system, or at a moment drawn at random. Then the folder
is looked at (whole or not there), the command is called again, and what it then made must equal,
bit for bit, what an undisturbed run makes. What became of each fault is kept in
build/faults-SEED.jsonl, and a later run goes on behind it as long as the sources are the same.
--most N: so many of each command; --kind: these first; --share 1/2 and 2/2: by two processes;
--brief exits 1 at a finding and writes no figures.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.faulting import disks, helpers, judging, nursery
from benchmarks.faulting.faults import KILLS, KINDS, Course, Fault, Kind, drawn
from benchmarks.faulting.jobs import BOUND, JOBS, Job, prepare, write_data
from benchmarks.faulting.judging import Finding, Tree

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "make campaign-faults"
SHARED_MEMORY = Path("/dev/shm")
SIGNALS = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT, "terminate": signal.SIGTERM}
WORDS: dict[Kind, str] = {
    "kill": "SIGKILL, at steps and at random",
    "kill as pid 1": "SIGKILL as process 1 of a PID namespace",
    "interrupt": "SIGINT",
    "terminate": "SIGTERM",
    "full": "no room at a step",
    "small disk": "a disk of a few kB",
    "large file": "a largest size of a file",
    "read-only": "a read-only disk",
    "vanished output": "the folder of the outputs moved away",
    "vanished input": "the folder of the inputs moved away",
    "two writers": "two writers at once",
}
MEANT: dict[judging.Kind, str] = {
    "half": "a file or folder that is neither old nor new",
    "blocked": "the next run does not end well",
    "differs": "the next run leaves something else than an undisturbed one",
    "message": "another exit code, a traceback, no message or two",
    "outlived": "a process of the command that lives on",
    "hung": "no end",
    "in silence": "exit code 0 without the work done",
}
MOUNTED = ("small disk", "read-only")
VANISHED = ("vanished output", "vanished input")
PAGE = 4096
FIRST = ("train", "export", "bound", "verify")  # each needs what the one before made


@dataclass(frozen=True)
class Undisturbed:
    """A job as it runs when nothing happens: its folder before and after, steps, seconds, and the
    bytes of its largest file and of all that it writes."""

    before: Tree
    after: Tree
    steps: int
    seconds: float
    largest: int
    written: int


@dataclass(frozen=True)
class Outcome:
    """What became of one fault; ``fell``: whether the fault came before the command's end."""

    fault: Fault
    fell: bool
    code: int
    findings: tuple[Finding, ...]


class Campaign:
    """The jobs, what they make undisturbed, and what is known of states of their folders."""

    def __init__(self, place: Path) -> None:
        self.made, self.case = place / "made", place / "case"
        self.made.mkdir()
        write_data(self.made / "data.npz")
        self.jobs = {job.name: job for job in JOBS}
        self.goldens: dict[str, Undisturbed] = {}
        self.known: dict[str, list[Finding]] = {}
        self.can_mount, self.can_be_pid_1 = disks.can_mount(), nursery.can_be_pid_1()

    def warm_up(self, only: str) -> None:
        """Every job undisturbed: in this process, so that all is loaded, then in forks, twice."""
        every = {job.name: job for job in (*JOBS, BOUND)}
        for name in (*FIRST, *(name for name in every if name not in FIRST)):
            if name in FIRST or only in name:
                self._warm(every[name])
                self.goldens[name] = self._undisturbed(every[name])

    def courses(self, only: str) -> dict[str, Course]:
        """What is to be drawn for the jobs with *only* in their names."""
        return {
            job.name: Course(self.goldens[job.name].steps, job.spare, job.moments)
            for job in JOBS
            if only in job.name
        }

    def _warm(self, job: Job) -> None:
        prepare(job, self.made, self.case)
        ended = nursery.here(list(job.words), self.case)
        if ended != 0:
            sys.exit(f"{job.name}: exit code {ended} without any fault")

    def _undisturbed(self, job: Job) -> Undisturbed:
        prepare(job, self.made, self.case)
        work = self.case / "work"
        before, there = judging.tree(work), _bytes(work / "out")
        ended = nursery.start(list(job.words), self.case).wait()
        after = judging.tree(work)
        if ended.code != 0:
            sys.exit(f"{job.name}: exit code {ended.code} without any fault: {ended.said}")
        sizes = [p.stat().st_size for p in (work / "out").rglob("*") if p.is_file()]
        shutil.copytree(work / "out", self.made / job.name)
        prepare(job, self.made, self.case)
        again = nursery.start(list(job.words), self.case).wait()
        if judging.tree(work) != after or again.steps != ended.steps:
            sys.exit(f"{job.name}: two runs of one command differ")
        print(f"{job.name}: {ended.steps} steps, {again.cpu_s:.2f} s of CPU time", flush=True)
        return Undisturbed(
            before, after, ended.steps, again.seconds, max(sizes), sum(sizes) - there
        )

    def run(self, fault: Fault) -> Outcome | None:
        """One case; None where this machine does not let it happen."""
        if fault.kind in MOUNTED and not self.can_mount:
            return None
        if fault.kind == "kill as pid 1" and not self.can_be_pid_1:
            return None
        job, golden = self.jobs[fault.job], self.goldens[fault.job]
        prepare(job, self.made, self.case)
        out = self.case / "work" / "out"
        with disks.disk(out, _room(fault, golden)) if fault.kind in MOUNTED else nullcontext():
            if fault.kind == "two writers":
                ends = self._two(job)
            else:
                ends = [self._fall(job, fault, golden)]
            _put_back(self.case / "work")
            found = [finding for ended in ends for finding in judging.of_end(fault, ended)]
            found += self._state(job, fault, golden, ends)
            if fault.kind in MOUNTED:
                disks.relieved(out)
            found += self._next(job, fault, golden)
        fell = fault.kind == "two writers" or ends[0].code != 0
        return Outcome(fault, fell, max(ended.code for ended in ends), tuple(found))

    def _fall(self, job: Job, fault: Fault, golden: Undisturbed) -> nursery.Ended:
        most = int((fault.part or 0) * golden.largest) if fault.kind == "large file" else None
        started = nursery.start(list(job.words), self.case, fault, most_bytes=most)
        if fault.kind in SIGNALS and fault.part is not None:
            return started.wait(fault.part * golden.seconds, SIGNALS[fault.kind])
        return started.wait()

    def _two(self, job: Job) -> list[nursery.Ended]:
        both = [nursery.start(list(job.words), self.case, mark=mark) for mark in ("run", "other")]
        return [started.wait() for started in both]

    def _state(
        self, job: Job, fault: Fault, golden: Undisturbed, ends: list[nursery.Ended]
    ) -> list[Finding]:
        work = self.case / "work"
        found = judging.of_state(job, work, golden.before, golden.after)
        if fault.kind == "two writers" and all(ended.code for ended in ends):
            found.append(Finding("blocked", "both writers were refused"))
        if fault.kind not in VANISHED:
            best = min(ends, key=lambda ended: ended.code)
            found += judging.of_success(best, work, golden.after)
        return found

    def _next(self, job: Job, fault: Fault, golden: Undisturbed) -> list[Finding]:
        """Call the command again, unless that is known for a folder with the same in it."""
        work = self.case / "work"
        now = judging.state(judging.tree(work))
        state = json.dumps([job.name, fault.kind == "kill as pid 1", now])
        if state not in self.known:
            again = Fault(job.name, "kill as pid 1") if fault.kind == "kill as pid 1" else None
            ended = nursery.start(job.again(job, work), self.case, again, "next").wait()
            self.known[state] = judging.of_next(ended, work, golden.after)
        return self.known[state]


def _room(fault: Fault, golden: Undisturbed) -> int:
    """Bytes that a disk has left: of a small one, some part of what is needed."""
    if fault.kind == "read-only":
        return 0
    return max(PAGE, int((fault.part or 0) * (golden.written + golden.largest)))


def _put_back(work: Path) -> None:
    """What had vanished is there again, as it was."""
    for name in ("out", "in"):
        if (work / f"{name}.gone").exists():
            shutil.rmtree(work / name, ignore_errors=True)
            (work / f"{name}.gone").rename(work / name)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sources() -> str:
    """A hash of all that the commands are made of."""
    digest = hashlib.sha256()
    for stage in ("tssd", "train", "calibration", "export", "hw_targets", "benchmarks/faulting"):
        for path in sorted((ROOT / stage).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def kept(path: Path, version: str) -> dict[Fault, Outcome]:
    """What earlier runs with the same sources found."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = [_outcome(row) for row in rows if row["sources"] == version]
    return {outcome.fault: outcome for outcome in found}


def _outcome(row: dict[str, Any]) -> Outcome:
    findings = tuple(Finding(**finding) for finding in row["findings"])
    return Outcome(Fault(**row["fault"]), row["fell"], row["code"], findings)


def run_all(
    campaign: Campaign, faults: Iterable[Fault], done: dict[Fault, Outcome], path: Path, end: float
) -> None:
    """Add to *done* and to the file *path* what becomes of *faults*, until the time *end*."""
    version = sources()
    path.parent.mkdir(exist_ok=True)
    for fault in faults:
        if fault in done:
            continue
        if time.monotonic() > end:
            return
        outcome = campaign.run(fault)
        if outcome is None:
            continue
        done[fault] = outcome
        row = {"sources": version, **asdict(outcome)}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for finding in outcome.findings:
            print(f"{finding.kind:10} {fault.name}: {finding.text}", flush=True)


def figures(done: Iterable[Outcome]) -> dict[str, int]:
    """How many faults fell, by kind, and how many findings there are of each."""
    outcomes = list(done)
    by_kind = Counter(str(outcome.fault.kind) for outcome in outcomes if outcome.fell)
    findings = Counter(f.kind for outcome in outcomes for f in outcome.findings)
    return {**by_kind, **{kind: findings[kind] for kind in judging.KINDS}}


def write(done: Collection[Outcome], seed: int, drawn: int) -> None:
    """``results/faults.json``."""
    from benchmarks import harness

    found, before = figures(done), "before the command's end"
    kills = sum(found.get(kind, 0) for kind in KILLS)
    how = f"{len(done):,} of {drawn:,} faults that were drawn"
    rows = [harness.at_least("faults: SIGKILL, all", kills, 1000, "kills", how)]
    rows += [
        harness.report(f"faults: {WORDS[kind]}", found.get(kind, 0), "cases", before)
        for kind in KINDS
    ]
    rows += [
        harness.at_most(f"faults: found: {kind}", found[kind], 0, "cases", MEANT[kind])
        for kind in judging.KINDS
    ]
    harness.write("faults", f"{COMMAND} SEED={seed}", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Faults, and whether what they leave is whole.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument("--most", type=int, help="faults of each command")
    parser.add_argument("--only", default="", help="part of a command's name")
    parser.add_argument("--kind", action="append", choices=KINDS, help="these kinds first")
    parser.add_argument("--share", default="1/1", help="I/N: every N-th fault, for N processes")
    parser.add_argument("--fresh", action="store_true", help="begin again")
    parser.add_argument(
        "--brief", action="store_true", help="exit 1 at a finding, write no figures"
    )
    given = parser.parse_args()
    path = ROOT / "build" / f"faults-{given.seed}.jsonl"
    if given.fresh:
        path.unlink(missing_ok=True)
    shared = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    helpers.forked()
    with tempfile.TemporaryDirectory(dir=shared) as place:
        campaign = Campaign(Path(place))
        campaign.warm_up(given.only)
        faults = drawn(campaign.courses(given.only), given.seed, given.most)
        total = len(faults)
        print(f"{total} faults", flush=True)
        faults.sort(key=lambda fault: fault.kind not in (given.kind or KINDS))
        number, of = map(int, given.share.split("/"))
        faults = faults[number - 1 :: of]
        done = kept(path, sources())
        run_all(campaign, faults, done, path, time.monotonic() + 60 * given.minutes)
    done = kept(path, sources()) | done  # what other processes added
    print(json.dumps(figures(done.values()), indent=1))
    if given.brief:
        sys.exit(any(outcome.findings for outcome in done.values()))
    write(done.values(), given.seed, total)


if __name__ == "__main__":
    main()
