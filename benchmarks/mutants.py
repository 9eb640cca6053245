"""Mutants: one small wrong change at a time, and whether the fast tests of its part notice.

python -m benchmarks.mutants [--minutes M] [--seed S] [--each N] [--only TEXT] [--write]

Of each file in PARTS *each* mutants are drawn (0: all), in an order fixed by the seed, and run one
by one (``mutant_runs``) against a list of the fast tests that answer for it: what these notice, all
fast tests together would notice too. What became of each is kept in
build/mutants-SEED.jsonl with the hash of its file: a later run goes on behind it, and begins again
with the mutants of files that have changed. Survivors are printed by place and change.

A mutant that no test could notice stands in equivalent_mutants.toml with the reason; it is not
counted. An entry there that fits no mutant any more stops the campaign.
"""

import argparse
import json
import os
import random
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.mutant_changes import Mutant, applied, function_of, line_of, mutants_of
from benchmarks.mutant_runs import Ended, Fate, Stem, limit_of

COMMAND = "make campaign-mutants"
ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
GOAL_PERCENT = 95.0

QUANTIZING = (
    "tests/calibration/quantizing",
    "--deselect=tests/calibration/quantizing/test_entering.py"
    "::test_every_engine_shifts_a_dense_sum_as_the_definition_does",
)
COSTS = ("tests/hw_targets/costs", "tests/hw_targets/mapping")
NETX = ("tests/export/netx",)
STREAMING = ("tests/hw_targets/sim/test_streaming.py", "tests/hw_targets/sim/test_log.py")
RECORDS = ("tests/hw_targets/sim/test_updates.py", "tests/tssd/commands/test_damaged_arrays.py")
PARTS: dict[str, tuple[str, ...]] = {  # file -> fast tests that answer for it, the nearest first
    "calibration/neuron.py": (
        "tests/calibration/test_neuron.py",
        "tests/calibration/test_parameters.py",
    ),
    "calibration/synapse.py": ("tests/calibration/test_synapse.py",),
    "calibration/integer.py": (
        "tests/calibration/test_integer.py",
        "tests/calibration/test_neuron.py",
        "tests/calibration/test_synapse.py",
    ),
    "calibration/layer.py": QUANTIZING,
    "calibration/quantizing/quantize.py": QUANTIZING,
    "calibration/quantizing/checks.py": QUANTIZING,
    "calibration/quantizing/entering.py": QUANTIZING,
    "calibration/quantizing/scales.py": QUANTIZING,
    "calibration/quantizing/fold.py": QUANTIZING,
    "train/handover/compose.py": ("tests/calibration/quantizing/test_fold.py",),
    "export/netx/write.py": NETX,
    "export/netx/read.py": NETX,
    "export/netx/rules.py": NETX,
    "export/netx/delays.py": NETX,
    "export/netx/to_integers.py": NETX,
    "export/nir/integers/nodes.py": ("tests/export/nir/integers",),
    "hw_targets/costs/energy.py": COSTS,
    "hw_targets/costs/counters.py": COSTS,
    "hw_targets/costs/bound.py": COSTS,
    "hw_targets/mapping/memory.py": COSTS,
    "hw_targets/mapping/partition.py": COSTS,
    "hw_targets/sim/kernels/kernel.py": (
        "tests/hw_targets/sim/test_log.py",
        "tests/hw_targets/sim/test_kernel.py",
    ),
    "hw_targets/sim/record.py": (*STREAMING, *RECORDS),
    "hw_targets/sim/streaming.py": STREAMING,
}


@dataclass(frozen=True)
class Equivalent:
    """A change of one line that changes nothing, and why."""

    file: str
    line: str
    change: str
    reason: str


@dataclass
class Campaign:
    """Mutants to run, and what became of those that ran: by the key of the mutant."""

    mutants: list[Mutant]
    path: Path
    done: dict[str, Fate]

    def missing(self) -> dict[str, list[Mutant]]:
        """What did not run yet, by file."""
        found: dict[str, list[Mutant]] = {}
        for mutant in self.mutants:
            if mutant.key not in self.done:
                found.setdefault(mutant.file, []).append(mutant)
        return found

    def keep(self, mutant: Mutant, ended: Ended) -> None:
        """Write down what became of one."""
        self.done[mutant.key] = ended.fate
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"mutant": asdict(mutant)} | asdict(ended)) + "\n")
        print(f"{ended.fate:9} {mutant.name:60} {ended.test}", flush=True)


def kept(path: Path) -> dict[str, Fate]:
    """What earlier runs found, by the key of the mutant; the last word counts."""
    if not path.exists():
        return {}
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return {Mutant(**row["mutant"]).key: row["fate"] for row in rows}


def equivalents(path: Path = EQUIVALENT) -> list[Equivalent]:
    """The mutants that no test could notice; SystemExit where the code has none such any more."""
    listed = [Equivalent(**row) for row in tomllib.loads(path.read_text("utf-8"))["mutant"]]
    for row in listed:
        source = (ROOT / row.file).read_bytes()
        if not any(_fits(row, m, source) for m in mutants_of(row.file, source)):
            sys.exit(f"{path.name}: no mutant of {row.file} is {row.change!r} in {row.line!r}")
    return listed


def _fits(row: Equivalent, mutant: Mutant, source: bytes) -> bool:
    return (row.file, row.change, row.line) == (mutant.file, mutant.change, line_of(mutant, source))


def drawn(seed: int, each: int, only: str) -> list[Mutant]:
    """Up to *each* mutants of every file, with *only* in their names, in the order of *seed*."""
    listed, found = equivalents(), []
    for file in PARTS:
        source = (ROOT / file).read_bytes()
        mutants = [m for m in mutants_of(file, source) if only in m.name]
        random.Random(f"{seed} {file}").shuffle(mutants)
        real = [m for m in mutants if not any(_fits(row, m, source) for row in listed)]
        found += real[: each or None]
    return found


def run(campaign: Campaign, stem: Stem, minutes: float) -> None:
    """Run what is missing until the time is over."""
    end = time.monotonic() + 60 * minutes
    for tests, files in by_tests(campaign.missing()).items():
        if time.monotonic() > end:
            return
        unchanged, calls = stem.unchanged(tuple(files), tests)
        if unchanged.fate != "survived":
            sys.exit(f"{' '.join(tests)}: fails without any mutant: {unchanged.test}")
        print(f"{', '.join(files)}: {unchanged.cpu_s:.1f} CPU s for {' '.join(tests)}", flush=True)
        for file, mutant in ((file, m) for file, mutants in files.items() for m in mutants):
            if time.monotonic() > end:
                return
            source = (ROOT / file).read_bytes()
            chosen = calls[file].tests_of(function_of(mutant, source))
            changed = applied(mutant, source)
            campaign.keep(mutant, stem.run(file, changed, tests, chosen, limit_of(unchanged)))


def by_tests(missing: dict[str, list[Mutant]]) -> dict[tuple[str, ...], dict[str, list[Mutant]]]:
    """The files with the same tests together: these run once to see what they call."""
    found: dict[tuple[str, ...], dict[str, list[Mutant]]] = {}
    for file, mutants in missing.items():
        found.setdefault(PARTS[file], {})[file] = mutants
    return found


def figures(campaign: Campaign) -> Iterator[tuple[str, int, Counter[str]]]:
    """(file, mutants drawn, how many ended how) of every file."""
    for file in dict.fromkeys(m.file for m in campaign.mutants):
        mine = [m for m in campaign.mutants if m.file == file]
        yield file, len(mine), Counter(campaign.done[m.key] for m in mine if m.key in campaign.done)


def summary(campaign: Campaign) -> list[str]:
    """The figures of all that ran so far, and the survivors."""
    ran = [m for m in campaign.mutants if m.key in campaign.done]
    counts = Counter(campaign.done[m.key] for m in ran)
    killed = counts["killed"] + counts["hung"]
    share = f" ({100 * killed / len(ran):.1f} %)" if ran else ""
    head = (
        f"{len(ran)} of {len(campaign.mutants)} mutants run: {killed} killed{share}, of them"
        f" {counts['hung']} by hanging; {counts['survived']} survived"
    )
    parts = [
        f"  {file}: {total['killed'] + total['hung']} of {total.total()} killed"
        for file, _, total in figures(campaign)
    ]
    alive = sorted(f"  {m.name}" for m in ran if campaign.done[m.key] == "survived")
    return [head, *parts, *alive]


def write(campaign: Campaign, command: str) -> None:
    """The figures per file as results/mutants.json."""
    from benchmarks import harness  # it imports what the forks must import themselves

    rows: list[harness.Row] = []
    total: Counter[str] = Counter()
    for file, _, counts in figures(campaign):
        rows += _rows(harness, file, counts)
        total.update(counts)
    rows += _rows(harness, "all", total)
    listed = Counter(row.file for row in equivalents())
    how = "equivalent_mutants.toml: each with its reason"
    rows.append(harness.report("mutants: listed as equivalent", listed.total(), "mutants", how))
    harness.write("mutants", command, rows)


def _rows(harness: Any, name: str, counts: Counter[str]) -> list[Any]:
    killed, ran = counts["killed"] + counts["hung"], counts.total()
    if not ran:
        return [harness.report(f"mutants: {name}", None, "% killed", "not run")]
    how = f"{killed} of {ran}"
    share = round(100 * killed / ran, 1)
    return [harness.at_least(f"mutants: {name}", share, GOAL_PERCENT, "% killed", how)]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Mutants, and whether the fast tests notice.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=15, help="mutants of each file; 0: all")
    parser.add_argument("--only", default="", help="part of a mutant's name")
    parser.add_argument(
        "--write", action="store_true", help="write benchmarks/results/mutants.json"
    )
    given = parser.parse_args(words)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = ROOT / "build" / f"mutants-{given.seed}.jsonl"
    campaign = Campaign(drawn(given.seed, given.each, given.only), path, kept(path))
    run(campaign, Stem(), given.minutes)
    print("\n".join(summary(campaign)))
    if given.write:
        write(campaign, f"{COMMAND} SEED={given.seed} EACH={given.each}")


if __name__ == "__main__":
    main()
