"""``python -m tssd.conformance READER``: which graphs of NIR a reader takes, and whether it is
right.

READER is ``module:function``. The function takes the path of a NIR file and inputs (T, B, *shape)
and returns what nodes sent, by name, each (T, B, *shape), or what the output node sent alone.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from tssd import cli, terminal
from tssd.conformance import suite
from tssd.conformance.judge import RESULTS, Judgement, Reader, judge, run
from tssd.conformance.suite import Case
from tssd.errors import ConfigError, DataError, refusing
from tssd.export.reading.arrays import DAMAGE, read_arrays
from tssd.train.named import import_named

CPU_SECONDS = 20.0
ANSWER = ".answer.npz"


@click.command(
    epilog="Example: python -m tssd.conformance mypackage.nir:run --dt 1e-3",
)
@click.argument("reader", required=False)
@click.option("--dt", type=float, help="Seconds per step of the files.  [default: 1e-4]")
@click.option("--only", multiple=True, metavar="CASE", help="This case; may be repeated.")
@click.option(
    "--cpu-seconds", type=click.FloatRange(min=0, min_open=True), default=CPU_SECONDS,
    show_default=True, help="Of CPU time for one case.",
)  # fmt: skip
@click.option(
    "--write", type=click.Path(path_type=Path),
    help="Write all cases into this new folder, to be run where tssd is not.",
)  # fmt: skip
@click.option(
    "--answers", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help=f"Judge the CASE{ANSWER} files in this folder.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    reader: str | None, dt: float | None, only: tuple[str, ...], cpu_seconds: float,
    write: Path | None, answers: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Run the READER (module:function) on every graph of the suite and compare what nodes sent.

    The function takes the path of a .nir file and inputs (T, B, *shape) and returns a dict from
    node to what it sent (T, B, *shape), or the array of the output node. Exit 1: not all are
    identical.
    """
    if [reader is None, write is None, answers is None].count(False) != 1:
        raise click.UsageError("one of READER, --write and --answers")
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise ConfigError("--dt", found=f"{dt:g}", allowed="seconds above 0")
    cases = suite.load(only).cases
    if write is not None:
        write_cases(cases, write, dt)
        terminal.say(f"wrote {len(cases)} cases to {write}")
        return
    if reader is not None:
        function = reader_of(reader)
        judgements = [run(case, function, dt, cpu_seconds) for case in cases]
    else:
        assert answers is not None
        judgements = [answered(case, answers) for case in cases]
    click.echo(
        json.dumps([asdict(v) for v in judgements], indent=1) if as_json else text(judgements)
    )
    if any(verdict.result != "identical" for verdict in judgements):
        raise SystemExit(1)


def reader_of(name: str) -> Reader:
    """The function that *name* (``module:function``) is."""
    allowed = "module:function, importable from here"
    if ":" not in name:
        raise ConfigError("READER", found=repr(name), allowed=allowed)
    try:
        found = getattr(*import_named(name))
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError("READER", found=f"{name!r} ({error})", allowed=allowed) from None
    if not callable(found):
        raise ConfigError("READER", found=f"{name!r}, a {type(found).__name__}", allowed=allowed)
    function: Reader = found
    return function


def write_cases(cases: Sequence[Case], folder: Path, dt: float | None) -> None:
    """``CASE.nir`` and ``CASE.inputs.npy`` of each, in a folder that was not there."""
    if folder.exists():
        raise ConfigError("--write", found=f"{folder}, which exists", allowed="a new folder")
    folder.mkdir(parents=True)
    for case in cases:
        case.write(folder / f"{case.name}.nir", dt)
        np.save(folder / f"{case.name}.inputs.npy", case.inputs)


def answered(case: Case, folder: Path) -> Judgement:
    """What ``CASE.answer.npz`` (node to array) says; not read where there is none."""
    path = folder / f"{case.name}{ANSWER}"
    if not path.exists():
        return Judgement(case.name, case.group, "not read", f"no {path.name}")
    with refusing(DAMAGE, DataError, str(path), "no arrays", allowed="an .npz, node to array"):
        answer: dict[str, Any] = dict(read_arrays(path))
    return judge(case, answer)


def text(judgements: Sequence[Judgement]) -> str:
    """One row per case, and the sums."""
    columns = ("case", "verdict", "nodes", "why")
    rows = [(v.case, v.result, str(v.nodes or ""), v.why) for v in judgements]
    counts = Counter(v.result for v in judgements)
    sums = ", ".join(f"{counts[result]} {result}" for result in RESULTS)
    table = terminal.plain_table(columns, rows, right=("nodes",))
    return f"{terminal.to_text(table)}\n\n{len(judgements)} graphs: {sums}"


if __name__ == "__main__":
    cli.main(program=command, name="python -m tssd.conformance")
