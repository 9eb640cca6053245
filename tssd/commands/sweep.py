"""``tssd sweep``: one bundle on many chips, one table."""

import csv
import io
import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tssd import terminal
from tssd.atomic import write_text
from tssd.commands import ending
from tssd.commands.outputs import check_outputs
from tssd.commands.simulate import board_option, host_option, timing_option
from tssd.errors import counted
from tssd.progress import counter
from tssd.report import words

if TYPE_CHECKING:  # the command's options are read without the simulator
    from tssd.simulating.simulation import Request
    from tssd.simulating.sweep import Point

INTERVAL = "90 % interval"
PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: tssd sweep build/fmnist --set noc.buffer=2,4,8 --set chip=loihi2",
)
@click.argument("bundle", type=PATH)
@click.option("--set", "settings", multiple=True, required=True, help="NAME=VALUE,VALUE,...")
@click.option("--samples", type=click.IntRange(1), help="How many samples; all without it.")
@click.option("--inputs", type=PATH, help="An .npz with the array `inputs`; else golden inputs.")
@timing_option
@board_option
@host_option
@click.option("--workers", type=click.IntRange(1), help="Processes; one per processor without it.")
@click.option("--cluster", help="A Dask scheduler's address, instead of processes here.")
@click.option("--csv", "csv_path", type=PATH, help="Write the table as CSV too, row by row.")
@ending.loudness
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    bundle: Path,
    settings: tuple[str, ...],
    samples: int | None,
    inputs: Path | None,
    timing: Literal["cycle", "bound"],
    board: str | None,
    host: bool,
    workers: int | None,
    cluster: str | None,
    csv_path: Path | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Simulate BUNDLE for every combination of the settings.

    A setting is `chip` (names or files) or a number of the chip such as link.bandwidth.
    """
    from tssd.simulating import sweep
    from tssd.simulating.simulation import Request

    ending.check_loudness(quiet, verbose, as_json)
    check_outputs("csv_path")
    axes = sweep.parse_axes(settings)
    base = Request(bundle, samples, inputs, mode=timing, board=board, host=host)
    points = sweep.requests(base, axes)
    sweep.check_names(base, points)
    pool = sweep.in_processes(workers) if cluster is None else sweep.on_cluster(cluster)
    names = [name for name, _ in axes]
    rows: list[dict[str, object]] = []
    with counter("sweeping", quiet) as done, closing(pool(sweep.simulate_point, points)) as found:
        for request, point in zip(points, found, strict=True):
            rows.append(_row(names, request, point))
            if csv_path is not None:  # an hour's work is not lost with the last point
                write_text(csv_path, _csv(rows))
            done(1)
    if as_json:
        click.echo(json.dumps(rows))
        return
    if quiet:
        for line in _come_to(names, rows):
            terminal.say(line)
    else:
        click.echo(_table(names, rows, verbose))
        for number, why in enumerate(_reasons(rows), 1):
            terminal.say(f"✘ {number}: {why}")
        terminal.say(_about(base, rows))
    _say_next(base, names, rows)


def _about(base: "Request", rows: list[dict[str, object]]) -> str:
    """What holds for all figures, and what became of the bundle's placement."""
    from tssd.hw_targets.costs.host import WITH_IO, WITHOUT_IO
    from tssd.simulating.simulation import AFRESH_TOLD, Placed

    board = "" if base.board is None else f", static energy with board {base.board}"
    lines = [f"times are {WITH_IO if base.host else WITHOUT_IO}{board}"]
    count = sum(row["placement"] == Placed.AFRESH for row in rows)
    if count:
        lines.append(f"{count} of {counted(len(rows), 'point')} {AFRESH_TOLD}")
    return "\n".join(lines)


def _say_next(base: "Request", names: list[str], rows: list[dict[str, object]]) -> None:
    """The point of most inferences per second, alone; where none could run, what is in the way."""
    good = [row for row in rows if not row["error"]]
    if not good:
        chip = ["--target", rows[0]["chip"]] if rows[0].get("chip") else []
        terminal.say_next("tssd", "check", base.bundle, *chip)
        return
    best = max(good, key=lambda row: _number(row["inferences_per_s"]) or 0.0)
    line: list[object] = ["tssd", "simulate", base.bundle]
    line += [] if base.board is None else ["--board", base.board]
    line += ["--host"] if base.host else []
    for name in names:
        line += ["--chip", best[name]] if name == "chip" else ["--set", f"{name}={best[name]:g}"]
    terminal.say_next(*line)


def _row(names: list[str], request: "Request", point: "Point") -> dict[str, object]:
    chosen = {**dict(request.settings), "chip": request.chip}
    return {name: chosen[name] for name in names} | asdict(point)


def _csv(rows: list[dict[str, object]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _come_to(names: list[str], rows: list[dict[str, object]]) -> list[str]:
    """How many points ran, and the first and the last in latency and in energy."""
    good = [row for row in rows if not row["error"]]
    lines = [f"{len(good)} of {counted(len(rows), 'point')} simulated"]
    for title, key, shown in (
        ("latency", "latency_us", words.duration),
        ("dynamic energy per inference", "dynamic_pj", words.energy),
    ):
        known = sorted((x, i) for i, row in enumerate(good) if (x := _number(row[key])) is not None)
        for what, (value, i) in zip(
            ("least", "most"), (known[0], known[-1]) if known else (), strict=False
        ):
            at = ", ".join(f"{name}={good[i][name]}" for name in names)
            lines.append(f"{what} {title}: {shown(value)} at {at}")
    return [*lines, *_reasons(rows)]


def _table(names: list[str], rows: list[dict[str, object]], whole: bool) -> str:
    """One line for each point; in a narrow window without the columns that tell least, unless the
    *whole* was asked for."""
    figures = ("latency", "per step", "per second", "dynamic", INTERVAL, "cores", "limited by")
    reasons = _reasons(rows)
    texts = [(*(str(row[name]) for name in names), *_figures(row, reasons)) for row in rows]
    spare = () if whole else (INTERVAL, "cores", "per step")
    return terminal.fitted_text((*names, *figures), texts, spare, "--csv and --json")


def _reasons(rows: list[dict[str, object]]) -> list[str]:
    """Why points could not be simulated: each reason once, in the order of the points."""
    return list(dict.fromkeys(str(row["error"]) for row in rows if row["error"]))


def _figures(row: dict[str, object], reasons: list[str]) -> tuple[str, ...]:
    if row["error"]:
        return (*(6 * ("-",)), f"✘ {reasons.index(str(row['error'])) + 1}")
    return (
        words.duration(_number(row["latency_us"])),
        words.duration(_number(row["us_per_step"])),
        words.number(_number(row["inferences_per_s"])),
        words.UNPRICED if row["dynamic_pj"] is None else words.energy(_number(row["dynamic_pj"])),
        _interval(row),
        str(row["cores"]),
        str(row["bottleneck"]),
    )


def _interval(row: dict[str, object]) -> str:
    """The prediction interval of the dynamic energy, in the words of the report."""
    low, high = (_number(row[f"dynamic_{end}_pj"]) for end in ("low", "high"))
    if low is None or high is None:
        return "unknown"
    return f"{words.energy(low)} .. {words.energy(high)}"


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None
