"""Mutants: one small wrong change at a time, and whether the fast tests of its part notice.

python -m benchmarks.mutants [--minutes M] [--seed S] [--only TEXT]

A mutant changes one comparison, operator, number, `any`/`all`, `min`/`max`, `and`/`or` or `not` of
one file in a copy of the repository and runs the tests that mirror that file, without the slow
ones. Mutants come in an order fixed by the seed. What became of each is kept in
build/mutants-SEED.jsonl with the hash of its file: a later run goes on behind it, and begins again
with the mutants of files that have changed. Survivors are printed by place and change.
"""

import argparse
import ast
import copy
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 900.0  # a mutant that makes the tests hang is killed by them
Fate = Literal["killed", "hung", "survived"]

PARTS: dict[str, tuple[str, ...]] = {  # file -> the fast tests that answer for it
    "calibration/neuron.py": ("tests/calibration",),
    "calibration/synapse.py": ("tests/calibration",),
    "calibration/integer.py": ("tests/calibration",),
    "calibration/layer.py": ("tests/calibration/quantizing",),
    "calibration/quantizing/quantize.py": ("tests/calibration/quantizing",),
    "calibration/quantizing/scales.py": ("tests/calibration/quantizing",),
    "calibration/quantizing/fold.py": ("tests/calibration/quantizing",),
    "export/netx/write.py": ("tests/export/netx",),
    "export/netx/read.py": ("tests/export/netx",),
    "export/netx/rules.py": ("tests/export/netx",),
    "export/netx/to_integers.py": ("tests/export/netx",),
    "hw_targets/costs/energy.py": ("tests/hw_targets/costs", "tests/hw_targets/chip"),
    "hw_targets/costs/counters.py": ("tests/hw_targets/costs", "tests/hw_targets/sim"),
    "hw_targets/costs/bound.py": ("tests/hw_targets/costs",),
    "hw_targets/mapping/memory.py": ("tests/hw_targets/costs", "tests/hw_targets/mapping"),
    "hw_targets/mapping/partition.py": ("tests/hw_targets/costs", "tests/hw_targets/mapping"),
    "hw_targets/sim/kernels/kernel.py": ("tests/hw_targets/sim",),
    "hw_targets/sim/record.py": ("tests/hw_targets/sim",),
    "hw_targets/sim/streaming.py": ("tests/hw_targets/sim",),
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.FloorDiv, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min", "floor": "ceil", "ceil": "floor"}
NAMES |= {"argmax": "argmin", "argmin": "argmax", "maximum": "minimum", "minimum": "maximum"}


@dataclass(frozen=True)
class Mutant:
    """*before*, at a place of *file* whose text has the hash *text*, becomes *after*."""

    file: str
    text: str
    begin: int  # in bytes
    end: int
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}: {self.before} -> {self.after}"

    @property
    def key(self) -> str:
        return f"{self.file}:{self.text}:{self.begin}:{self.end}:{self.after}"


def mutants_of(file: str, source: bytes) -> list[Mutant]:
    """Every mutant of one file, from the top."""
    text, starts = hashlib.sha256(source).hexdigest()[:16], [0]
    for row in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    found = []
    for node in _code(ast.parse(source)):
        for changed in _changes(node):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            begin = starts[node.lineno - 1] + node.col_offset
            end = starts[node.end_lineno - 1] + node.end_col_offset
            before = " ".join(source[begin:end].decode().split())
            found.append(Mutant(file, text, begin, end, node.lineno, before, ast.unparse(changed)))
    return found


def _code(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that compute: no annotations, no texts, no declarations (decorators), no
    guards of our own invariants (``strict=`` of a zip, ``assert``)."""
    if isinstance(tree, ast.Assert) or (isinstance(tree, ast.keyword) and tree.arg == "strict"):
        return
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr):
                continue
            if isinstance(child, ast.expr):
                yield child
            if isinstance(child, ast.AST):
                yield from _code(child)


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    """What one expression may become."""
    changed = copy.deepcopy(node)
    match changed:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            changed.ops = [COMPARISONS[type(op)]()]
            yield changed
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            changed.op = OPERATORS[type(operator)]()
            yield changed
        case ast.BoolOp(op=joint):
            changed.op = ast.Or() if isinstance(joint, ast.And) else ast.And()
            yield changed
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield inner
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as number):
            yield ast.Constant(number + 1)
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            changed.attr = NAMES[name]
            yield changed
        case _:
            return


def applied(mutant: Mutant, source: bytes) -> bytes:
    """The text of its file with the change, in brackets where it stood."""
    return source[: mutant.begin] + f"({mutant.after})".encode() + source[mutant.end :]


def copied(folder: Path) -> Path:
    """A copy of the repository's own files."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def tested(folder: Path, tests: tuple[str, ...]) -> Fate:
    """Run the fast tests of one part in *folder*."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    words += ["-m", "not slow and not campaign and not lava", "--hypothesis-seed=0", *tests]
    running = subprocess.Popen(
        words, cwd=folder, env=_environment(folder), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return "survived" if running.wait(PATIENCE_S) == 0 else "killed"
    except subprocess.TimeoutExpired:
        return "hung"
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}


def check_copy(folder: Path) -> None:
    """The tests of the copy must import the copy, or no mutant would ever be seen."""
    words = [sys.executable, "-c", "import tssd.calibration.neuron as n; print(n.__file__)"]
    told = subprocess.run(
        words, cwd=folder, env=_environment(folder), capture_output=True, text=True, check=False
    )
    if not told.stdout.startswith(str(folder)):
        sys.exit(f"the copy in {folder} imports {told.stdout.strip() or told.stderr.strip()}")


def kept(path: Path) -> dict[str, Fate]:
    """What earlier runs found, by the key of the mutant."""
    if not path.exists():
        return {}
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return {Mutant(**row["mutant"]).key: row["fate"] for row in rows}


def drawn(seed: int, only: str) -> list[Mutant]:
    """All mutants with *only* in their name, in the order of *seed*."""
    everything = [m for file in PARTS for m in mutants_of(file, (ROOT / file).read_bytes())]
    random.Random(seed).shuffle(everything)
    return [m for m in everything if only in m.name]


def campaign(mutants: list[Mutant], path: Path, minutes: float) -> dict[str, Fate]:
    """Run mutants that *path* does not hold yet until the time is over."""
    path.parent.mkdir(exist_ok=True)
    done, end = kept(path), time.monotonic() + 60 * minutes
    clean: set[tuple[str, ...]] = set()
    with tempfile.TemporaryDirectory() as temporary:
        folder = copied(Path(temporary).resolve())
        check_copy(folder)
        for mutant in (m for m in mutants if m.key not in done):
            if time.monotonic() > end:
                break
            tests = PARTS[mutant.file]
            if tests not in clean and tested(folder, tests) != "survived":
                sys.exit(f"{' '.join(tests)}: fails without any mutant")
            clean.add(tests)
            done[mutant.key] = fate = fate_of(mutant, folder)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"mutant": asdict(mutant), "fate": fate}) + "\n")
            print(f"{fate:9} {mutant.name}", flush=True)
    return done


def fate_of(mutant: Mutant, folder: Path) -> Fate:
    """Put the mutant into the copy, test, and put the file back."""
    source = (folder / mutant.file).read_bytes()
    (folder / mutant.file).write_bytes(applied(mutant, source))
    try:
        return tested(folder, PARTS[mutant.file])
    finally:
        (folder / mutant.file).write_bytes(source)


def summary(mutants: list[Mutant], done: dict[str, Fate]) -> list[str]:
    """The figures of all that ran so far, and the survivors."""
    fates = {m: done[m.key] for m in mutants if m.key in done}
    counts = Counter(fates.values())
    killed = counts["killed"] + counts["hung"]
    share = f" ({100 * killed / len(fates):.1f} %)" if fates else ""
    head = (
        f"{len(fates)} of {len(mutants)} mutants run: {killed} killed{share}, of them"
        f" {counts['hung']} by hanging; {counts['survived']} survived"
    )
    return [head, *sorted(f"  {m.name}" for m in fates if fates[m] == "survived")]


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutants, and whether the fast tests notice.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a mutant's name")
    given = parser.parse_args()
    mutants = drawn(given.seed, given.only)
    done = campaign(mutants, ROOT / "build" / f"mutants-{given.seed}.jsonl", given.minutes)
    print("\n".join(summary(mutants, done)))


if __name__ == "__main__":
    main()
