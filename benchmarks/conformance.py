"""What each platform's current release makes of the conformance suite's graphs.

make bench-conformance, or python -m benchmarks.conformance norse sinabs ...

Each platform reads every graph, written with the step that its import assumes, in an environment of
its own, and is judged by its output alone, as ``python -m tssd.conformance`` judges. Our own reader
is judged by every node.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cross_platform import NIR, PLATFORMS, RUN_SECONDS, SHARED, Platform, python_of
from tssd.arrays import FloatArray
from tssd.conformance.judge import RESULTS, judge, run
from tssd.conformance.suite import Case, load
from tssd.export.nir.graphs.graph import RESETTING
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run as step
from tssd.report.markdown import markdown_table

RESULT = Path(__file__).parent / "results" / "exchange" / "conformance.json"
PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
BEGIN, END = "<!-- conformance: begin -->", "<!-- conformance: end -->"
OURS = "tssd"
CPU_SECONDS = 60.0
READERS = {name: platform for name, platform in PLATFORMS.items() if name != SHARED} | {
    "spikingjelly": Platform(("spikingjelly==2.0.0", *NIR), 1e-4)
}
MARKS = {"identical": "=", "differs": "x", "not read": "-"}


def ours(path: str, inputs: FloatArray) -> dict[str, FloatArray]:
    """Our reader: what every firing node and the output send."""
    graph = read_graph(Path(path))
    found = step(graph, inputs, record=graph.of_type(*RESETTING, "Threshold"), dtype="float32")
    return {**found.nodes, graph.output: found.output}


def rows_of(name: str, cases: Sequence[Case]) -> list[dict[str, Any]] | str:
    """One row per case, or why the platform was not run."""
    if name == OURS:
        return [asdict(run(case, ours, None, CPU_SECONDS)) for case in cases]
    platform = READERS[name]
    python, reason = python_of(name, platform)
    if python is None:
        return reason
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for case in cases:
            case.write(folder / f"{case.name}.nir", platform.dt)
            np.save(folder / f"{case.name}.in.npy", case.inputs)
        listed = [{"name": case.name, "dt": platform.dt} for case in cases]
        (folder / "cases.json").write_text(json.dumps(listed))
        script = Path(__file__).parent / "peers" / "nir_readers.py"
        command = [str(python), str(script), name, str(folder)]
        done = subprocess.run(command, timeout=RUN_SECONDS, capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr.decode())
        told = json.loads((folder / f"{name}.json").read_text())["reasons"]
        return [_row(case, folder / f"{case.name}.{name}.npy", told[case.name]) for case in cases]


def _row(case: Case, answer: Path, reason: str | None) -> dict[str, Any]:
    if reason is not None:
        about = {"case": case.name, "group": case.group}
        return {**about, "result": "not read", "why": reason, "nodes": 0}
    return asdict(judge(case, np.load(answer)))


def main(names: list[str]) -> None:
    """Run the named platforms (default: all); rows of the others stay as they were."""
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    suite = load()
    for name in names or [OURS, *READERS]:
        rows = rows_of(name, suite.cases)
        packages = [f"{OURS}"] if name == OURS else list(READERS[name].packages)
        kept[name] = {"packages": packages, "rows": rows}
        RESULT.write_text(json.dumps(kept, indent=1) + "\n")
        counts = rows if isinstance(rows, str) else Counter(row["result"] for row in rows)
        print(name, counts, flush=True)
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{tables(kept)}\n{END}{after}", encoding="utf-8")


def tables(kept: dict[str, Any]) -> str:
    """Sums by platform, then every case by platform, in Markdown."""
    names = [name for name in (OURS, *READERS) if name in kept]
    ran = [name for name in names if not isinstance(kept[name]["rows"], str)]
    sums = [_sums(_title(name, kept), kept[name]["rows"]) for name in names]
    found = {(row["case"], name): row["result"] for name in ran for row in kept[name]["rows"]}
    cases = dict.fromkeys(case for case, _ in found)
    marks = [(case, *(MARKS[found[case, name]] for name in ran)) for case in cases]
    heads = ("reader", *(f"{g}: {r}" for g in ("matrix", "primitives") for r in RESULTS))
    return f"{markdown_table(heads, sums)}\n\n{markdown_table(('graph', *ran), marks)}"


def _sums(title: str, rows: list[dict[str, Any]] | str) -> tuple[str, ...]:
    if isinstance(rows, str):
        return (title, *("not run",) * (2 * len(RESULTS)))
    counts = Counter((row["group"], row["result"]) for row in rows)
    return (title, *(str(counts[g, r]) for g in ("matrix", "primitives") for r in RESULTS))


def _title(name: str, kept: dict[str, Any]) -> str:
    return str(kept[name]["packages"][0]).replace("==", " ")


if __name__ == "__main__":
    main(sys.argv[1:])
