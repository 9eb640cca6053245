"""``tssd verify``: every contract of a bundle, in one table."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from tssd import terminal
from tssd.commands import completing, ending
from tssd.commands import junit as junit_file
from tssd.commands.outputs import check_outputs
from tssd.commands.report import overview, say_next
from tssd.errors import TargetError
from tssd.hw_targets.engines import engine_names
from tssd.progress import bar


@click.command(
    epilog="Example: tssd verify build/fmnist --against gpu,onnx --samples 64",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=completing.ENGINES,
    default="gpu",
    show_default=True,
    metavar="ENGINES",
    help=f"Engines that must equal the integer definition: {','.join(engine_names())}.",
)
@click.option(
    "--samples", type=click.IntRange(1), default=64, show_default=True, help="Test samples to run."
)
@click.option("--device", default="cpu", show_default=True, help="Of the gpu engine: cpu or cuda.")
@click.option("--measured", type=click.Path(path_type=Path), help="A log from a chip (CSV).")
@click.option("--data", type=click.Path(path_type=Path), help="Data files; of an import: .npz.")
@junit_file.option
@ending.loudness
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    bundle: Path,
    against: str,
    samples: int,
    device: str,
    measured: Path | None,
    data: Path | None,
    junit: Path | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Compare engines with the integer definition, spike for spike; exit 1 on a difference.

    The outcome is kept in BUNDLE/report for tssd report.
    """
    from tssd.checks.verification import VerifyOptions, command_line, verify
    from tssd.report.making.keeping import gone
    from tssd.report.store import found_report

    check_outputs("junit")
    ending.check_loudness(quiet, verbose, as_json)
    options = VerifyOptions(tuple(against.split(",")), samples, device, data, measured)
    before = found_report(bundle)
    with bar("verifying", samples, quiet=quiet) as show:
        report = verify(bundle, options, show)
    if junit is not None:
        junit_file.write(junit, f"tssd verify {bundle}", junit_file.of_contracts(report.contracts))
    if as_json:
        click.echo(json.dumps([asdict(contract) for contract in report.contracts]))
    else:
        if not quiet:
            click.echo(terminal.contracts_text(report.contracts))
        if verbose:
            click.echo(terminal.to_text(overview(report)))
            for note in report.notes:
                terminal.say(f"note: {note}")
        for line in ending.of_report(report):
            terminal.say(line)
        earlier = [
            part
            for part, line in report.provenance.stands.items()
            if line != command_line(bundle, options)
        ]
        if earlier:
            terminal.say(f"kept from earlier runs on the same samples: {', '.join(earlier)}")
        lost = gone(report, before)
        if lost is not None:
            terminal.say(f"no longer in the report: {lost}")
        terminal.say(f"the report: {bundle / 'report' / 'report.html'}")
    if any(contract.status == "fail" for contract in report.contracts):
        raise SystemExit(1)
    if as_json:
        return
    if "rtl" not in options.engines and can_be_stepped(bundle):
        where = ["--data", data] if data is not None else []
        terminal.say_next("tssd", "verify", bundle, "--against", "rtl", "--samples", 4, *where)
    else:
        say_next(bundle, report, data)


def can_be_stepped(bundle: Path) -> bool:
    """Whether *bundle* is for an open core, and what steps its circuits is installed."""
    from tssd.export.bundle.manifest import read_manifest
    from tssd.hw_targets.chip.chip_copy import bundled_chip

    try:
        from tssd.hw_targets.rtl.build import presence
        from tssd.hw_targets.rtl.sizing import build_of

        build_of(bundled_chip(bundle, read_manifest(bundle)))
    except (ModuleNotFoundError, TargetError):  # no amaranth; a chip that the circuits are not
        return False
    return presence().state == "ready"
