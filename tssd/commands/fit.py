"""``tssd fit``: a chip file from measured runs, with its error on runs left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from tssd import terminal
from tssd.atomic import write_bytes
from tssd.commands import completing
from tssd.commands.outputs import check_outputs
from tssd.config import unknown_name
from tssd.errors import ConfigError, counted
from tssd.hw_targets.chip.chips import load_chip

if TYPE_CHECKING:
    from tssd.hw_targets.measured.chip_text import ChipFit, ChipTitle
    from tssd.hw_targets.measured.fit import PriceFit
    from tssd.hw_targets.measured.table import MeasuredRun


@click.command(
    epilog="Example: tssd fit log.csv --chip loihi2 --out my_board.toml",
)
@click.argument("logs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--chip",
    type=completing.CHIP,
    default="loihi2",
    show_default=True,
    help="The prior: a name or TOML file.",
)
@click.option(
    "--packaged",
    metavar="NAME",
    help="Make this packaged chip file again, from the project's own table.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the chip file here; else only say what it would hold.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    logs: tuple[Path, ...], chip: str, packaged: str | None, out: Path | None, as_json: bool
) -> None:
    """Fit the prices of a chip to measured LOGS (CSV files, one row a reading).

    Needed columns are id, quantity, value, unit and boundary; an energy needs its counts (synops,
    updates, spikes or messages) and step_us, a static power the enabled cores. Readings of one run
    share the column run and are left out together.
    """
    from tssd.hw_targets.measured.chip_text import chip_text

    check_outputs("out")
    fitted, title = _packaged(packaged) if packaged else _of_logs(logs, chip, out)
    text = chip_text(fitted, title)
    if out is not None:
        write_bytes(out, text.encode())
    if as_json:
        click.echo(json.dumps({g: _json(side) for g, side in fitted.sides.items()}, indent=1))
        return
    for group, side in fitted.sides.items():
        _show(group, side)
    if out is None:
        click.echo("nothing written: --out FILE.toml writes the chip file")
    else:
        terminal.say(f"wrote {out}: with it, tssd simulate BUNDLE --chip {out}")
        terminal.say_next("tssd", "targets", "show", out)


def _packaged(name: str) -> "tuple[ChipFit, ChipTitle]":
    from tssd.hw_targets.measured.recipes import RECIPES

    if name not in RECIPES:
        raise unknown_name("--packaged", f"fitted chip {name!r}", name, RECIPES)
    return RECIPES[name].fit, RECIPES[name].title


def _of_logs(logs: tuple[Path, ...], chip: str, out: Path | None) -> "tuple[ChipFit, ChipTitle]":
    from tssd.hw_targets.measured.chip_text import ChipTitle, fit_chip
    from tssd.hw_targets.measured.table import read_runs

    if not logs:
        raise ConfigError(
            "tssd fit", found="no log", allowed="CSV files of measured runs, or --packaged NAME"
        )
    runs = tuple(run for log in logs for run in read_runs(log))
    name = out.stem if out else "fitted"
    silicon = ", ".join(sorted({run.silicon or run.board or "not stated" for run in runs}))
    title = ChipTitle(name, f"{chip}, fitted to {counted(len(runs), 'reading')}", silicon)
    return fit_chip(load_chip(chip), chip, runs), title


def _show(group: str, side: "PriceFit") -> None:
    """Two tables and a line of what they mean."""
    click.echo(terminal.to_text(_prices(group, side)))
    click.echo(terminal.to_text(_readings(side)))
    for kept in side.kept:
        click.echo(f"not told by these runs: {kept.name} ({kept.why}; prior {kept.prior:g})")
    for run, why in side.aside:
        click.echo(f"left aside: {run.id} ({why})")
    for line in _doubts(group, side):
        click.echo(line)
    click.echo(_verdict(side))


def _doubts(group: str, side: "PriceFit") -> Iterator[str]:
    """What makes these readings too few, or hard to believe."""
    from tssd.hw_targets.measured.fit import contradictions
    from tssd.hw_targets.measured.model import PRICES

    runs, prices = {run.run for run in side.runs}, len(side.names)
    if len(runs) < prices:
        yield (
            f"{counted(len(runs), 'run')} for {prices} prices: fewer than there are to tell, so"
            " what they leave open stays near its prior"
        )
    for a, b in contradictions(side.runs, PRICES[group]):
        ratio = max(a.value / b.value, b.value / a.value)
        yield (
            f"{a.id} and {b.id} contradict each other: the same counts, and a factor of"
            f" {ratio:,.0f} between them; is one in another unit?"
        )


def _verdict(side: "PriceFit") -> str:
    if not side.left_out:
        return "one run: what these prices say of it is a line, not a point; nothing was left out"
    return (
        f"on runs left out: median {100 * side.median_error:.0f} %, worst"
        f" {100 * side.worst_error:.0f} % (a factor {side.worst_factor:.2f});"
        f" the 90 % interval held {100 * side.coverage:.0f} % of them"
    )


def _prices(group: str, side: "PriceFit") -> Table:
    units = side.units
    rows = [
        (name, f"{side.values[i]:.4g}", f"{side.low[i]:.4g} .. {side.high[i]:.4g}", units[i],
         "fitted" if name in side.fitted else "near its prior")
        for i, name in enumerate(side.names)
    ]  # fmt: skip
    return terminal.plain_table((group, "value", "5 .. 95 %", "unit", ""), rows, right=("value",))


def _readings(side: "PriceFit") -> Table:
    out = {left.run.id: left for left in side.left_out}
    rows = [
        (
            run.id,
            run.network,
            f"{run.value:.4g} {run.unit}",
            f"{100 * error:+.1f} %",
            f"{100 * out[run.id].error:+.1f} %" if run.id in out else "",
        )
        for run, error in zip(side.runs, side.in_sample, strict=True)
    ]
    columns = ("reading", "network", "measured", "fitted", "left out")
    return terminal.plain_table(columns, rows, right=columns[2:])


def _json(side: "PriceFit") -> dict[str, Any]:
    return {
        "prices": {
            name: {"value": float(v), "low": float(a), "high": float(b), "unit": unit}
            for name, v, a, b, unit in zip(
                side.names, side.values, side.low, side.high, side.units, strict=True
            )
        },
        "kept": [{"name": k.name, "prior": k.prior, "why": k.why} for k in side.kept],
        "covariance": side.covariance.tolist(),
        "readings": [
            _reading(run, float(e)) for run, e in zip(side.runs, side.in_sample, strict=True)
        ],
        "left_out": [
            {
                "id": x.run.id,
                "predicted": x.predicted,
                "low": x.low,
                "high": x.high,
                "error": x.error,
            }
            for x in side.left_out
        ],
        "aside": [{"id": run.id, "why": why} for run, why in side.aside],
    }


def _reading(run: "MeasuredRun", error: float) -> dict[str, Any]:
    return {"id": run.id, "measured": run.value, "unit": run.unit, "error": error}
