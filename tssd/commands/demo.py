"""``tssd demo``: the whole chain on embedded real digits, in a minute."""

import json
import shutil
from pathlib import Path

import click

from tssd import terminal
from tssd.commands import ending
from tssd.errors import ConfigError
from tssd.progress import ProgressSteps

MARK = ".tssd-demo"  # only a folder with this file is ever replaced
RUN, BUNDLE = "run", "bundle"


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
@ending.loudness
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(out: Path, quiet: bool, verbose: bool, as_json: bool) -> None:
    """Train, strip, fold, quantize, export for Loihi 2, verify and report, on handwritten digits.

    The data are scikit-learn's 1,797 real digits of 8 x 8 pixels; nothing is downloaded.
    """
    from tssd.demo import run

    ending.check_loudness(quiet, verbose, as_json)
    _fresh(out)
    steps = ProgressSteps(quiet=as_json or quiet)
    report = run(out, steps.start)
    steps.done()
    if as_json:
        about = {"out": str(out), "samples": report.samples, "accuracy": report.accuracy}
        click.echo(json.dumps(about))
        return
    from tssd.commands.report import say_next, say_report

    say_report(report, quiet, verbose)
    terminal.say(f"the report: {out / 'bundle' / 'report' / 'report.html'}")
    if any(contract.status == "fail" for contract in report.contracts):
        raise SystemExit(1)
    say_next(out / BUNDLE, report)


def _fresh(out: Path) -> None:
    """An empty folder; only an earlier demo with nothing else in it is replaced."""
    from tssd.export.bundle.place import check_place
    from tssd.train.loop.folder import check_only_run

    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ConfigError(f"--out {out}", found="no folder", allowed="a new or an earlier demo's")
    found = {path.name for path in out.iterdir()} if out.exists() else set()
    foreign = {name for name in found - {MARK, RUN, BUNDLE} if not name.endswith(".part")}
    if foreign or (found and MARK not in found) or _works_in(out):
        raise ConfigError(
            f"--out {out}", found="a folder with other files", allowed="a new or an earlier demo's"
        )
    if BUNDLE in found:
        check_place(out / BUNDLE, force=True)
        shutil.rmtree(out / BUNDLE)
    if RUN in found:
        check_only_run(out / RUN)
        shutil.rmtree(out / RUN)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()


def _works_in(folder: Path) -> bool:
    return Path.cwd().is_relative_to(folder.resolve())
