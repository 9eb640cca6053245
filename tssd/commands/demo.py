"""``tssd demo``: the whole chain on embedded real digits, in a minute."""

import json
import shutil
from pathlib import Path

import click

from tssd import terminal
from tssd.errors import ConfigError
from tssd.progress import Steps

MARK = ".tssd-demo"  # only a folder with this file is ever replaced


@click.command(
    epilog="Example: tssd demo --out build/demo",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build/demo"),
    show_default=True,
    help="A new folder, or an earlier demo's.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(out: Path, as_json: bool) -> None:
    """Train, strip, fold, quantize, export for Loihi 2, verify and report, on handwritten digits.

    The data are scikit-learn's 1,797 real digits of 8 x 8 pixels; nothing is downloaded.
    """
    from tssd.demo import run
    from tssd.report import words

    _fresh(out)
    steps = Steps(quiet=as_json)
    report = run(out, steps.start)
    steps.done()
    if as_json:
        click.echo(json.dumps({"out": str(out), "accuracy": report.accuracy}))
        return
    from tssd.commands.report import overview

    click.echo(terminal.to_text(overview(report)))
    for sentence in words.findings(report):
        click.echo(f"- {sentence}")
    click.echo(terminal.to_text(terminal.summary(report.contracts)))
    click.echo(f"the report: {out / 'bundle' / 'report' / 'report.html'}")
    if any(contract.status == "fail" for contract in report.contracts):
        raise SystemExit(1)


def _fresh(out: Path) -> None:
    """An empty folder; only an earlier demo is replaced."""
    if out.exists() and not (out / MARK).exists() and any(out.iterdir()):
        raise ConfigError(
            f"--out {out}", found="a folder with other files", allowed="a new or an earlier demo's"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / MARK).touch()
