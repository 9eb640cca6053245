"""``tssd simulate``: time and energy of a bundle on a simulated chip, per layer, core and step."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.table import Table

from tssd import terminal
from tssd.atomic import write_text
from tssd.commands import bundle_options, completing, ending
from tssd.commands.outputs import check_outputs
from tssd.errors import ConfigError, counted
from tssd.progress import counter
from tssd.report import words

if TYPE_CHECKING:  # the command's options are read without the simulator
    from tssd.hw_targets.chip.spec import ChipSpec
    from tssd.hw_targets.costs.energy import EnergyRange
    from tssd.hw_targets.sim.engine import Run

PATH = click.Path(path_type=Path)

timing_option = click.option(
    "--timing",
    type=click.Choice(["cycle", "bound"]),
    default="cycle",
    show_default=True,
    help="Every message through every queue, or a lower bound, which is fast.",
)

board_option = click.option(
    "--board", help="A board or software of the chip file: its barrier and its power."
)
host_option = click.option(
    "--host", is_flag=True, help="Add what the host takes for input and read-out."
)


@click.command(
    epilog="Example: tssd simulate build/fmnist --samples 16 --trace chip.json",
)
@click.argument("bundle", type=PATH)
@click.option(
    "--samples",
    type=click.IntRange(1),
    help="How many test samples; without it the golden ones, 64 with --data.",
)
@click.option("--data", type=PATH, help="Data files; of an import: .npz.")
@click.option("--inputs", type=PATH, help="Your own: .npz with `inputs`, or NIR events (.h5).")
@click.option("--into-report", is_flag=True, help="Enter the report with other samples than its.")
@click.option("--spikes", type=PATH, help="Time this spike record instead of simulating spikes.")
@timing_option
@click.option(
    "--chip",
    type=completing.CHIP,
    help="A chip's name or file; else the one the bundle was placed on.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a number of the chip."
)
@board_option
@host_option
@bundle_options.layout
@click.option("--placement", type=PATH, help="A placement.json of your own.")
@click.option("--trace", type=PATH, help="Write a Chrome/Perfetto trace of a few steps.")
@click.option(
    "--trace-steps", type=click.IntRange(1), default=4, show_default=True, help="Traced steps."
)
@click.option(
    "--trace-from", type=click.IntRange(0), help="First traced step; the slowest without it."
)
@click.option("--counters", type=PATH, help="Write counters of every core and step as CSV.")
@click.option("--save", type=PATH, help="Keep counters and times, to price them again.")
@click.option(
    "--price",
    "price_with",
    type=completing.CHIP,
    help="Price the saved run BUNDLE with this chip's table.",
)
@ending.loudness
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    bundle: Path,
    samples: int | None,
    data: Path | None,
    inputs: Path | None,
    into_report: bool,
    spikes: Path | None,
    timing: Literal["cycle", "bound"],
    chip: str | None,
    settings: tuple[str, ...],
    board: str | None,
    host: bool,
    input_from: str | None,
    formats: tuple[str, ...],
    placement: Path | None,
    trace: Path | None,
    trace_steps: int,
    trace_from: int | None,
    counters: Path | None,
    save: Path | None,
    price_with: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Simulate BUNDLE on a chip: what each layer, core and step costs, and what limits it.

    With --price, BUNDLE is a file that --save wrote, and nothing is simulated.
    """
    from tssd.hw_targets.mapping.choices import InputFrom, parse_formats
    from tssd.hw_targets.sim import summary
    from tssd.hw_targets.sim.run_file import save_run
    from tssd.hw_targets.sim.trace import chrome_trace, slowest_step
    from tssd.report.store import found_report
    from tssd.simulating.simulation import AFRESH_TOLD, Placed, Request, prepared, simulate
    from tssd.simulating.simulation_report import enter

    ending.check_loudness(quiet, verbose, as_json)
    if price_with is not None and (quiet or verbose):
        raise ConfigError("--price", found="-q or -v too", allowed="neither: it is a line or two")
    if price_with is not None:
        _print_price(bundle, price_with, as_json)
        return
    check_outputs("trace", "counters", "save")
    request = Request(
        bundle, samples, inputs, data, spikes, placement, chip, parse_settings(settings), timing,
        board, host, None if input_from is None else InputFrom(input_from),
        tuple(parse_formats(formats).items()),
    )  # fmt: skip
    ready = prepared(request)
    with counter("simulating", quiet) as done:
        run = simulate(ready, done, every_core=counters is not None)
    if trace is not None:
        first = slowest_step(run) if trace_from is None else trace_from
        write_text(trace, chrome_trace(run, first, trace_steps))
    if counters is not None:
        write_text(counters, summary.counters_csv(run))
    if save is not None:
        save_run(save, run, request.command)
    entered = enter(ready, run, into_report)
    if as_json:
        about = {
            "command": request.command,
            "placement": str(ready.placed),
            "not_in_report": entered.why_not,
        }
        click.echo(json.dumps({**about, **as_table(run)}))
        return
    if not quiet:
        click.echo(terminal.to_text(layer_table(run)))
        count = counted(run.placement.chips, "chip")
        terminal.say(
            f"{run.chip.title}: {run.placement.cores} cores on {count}, timing {run.timing.mode}"
        )
    if verbose:
        click.echo(terminal.to_text(slowest_table(run)))
    terminal.say(ending.of_run(run))
    right = ending.accuracy_of_run(ready, run)
    if ready.samples is not None:
        terminal.say(f"{right or 'samples'}: {ready.samples.shown}")
    _print_run(run)
    if ready.placed is Placed.AFRESH and ready.bundle.placement is not None:
        terminal.say(AFRESH_TOLD)
    for path in (trace, counters, save):
        if path is not None:
            terminal.say(f"wrote {path}")
    if entered.files:
        whole, *others = entered.files
        terminal.say(f"wrote {', '.join((str(whole), *(path.name for path in others)))}")
    if entered.why_not is not None:
        terminal.say(f"not entered into the report: {entered.why_not}")
    if entered.files or found_report(bundle) is not None:
        terminal.say_next("tssd", "report", bundle)
    else:
        terminal.say_next("tssd", "verify", bundle, "--against", "gpu,onnx,sim")


def parse_settings(texts: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """``section.key=value`` texts."""
    pairs = []
    for text in texts:
        name, _, value = text.partition("=")
        try:
            pairs.append((name, float(value)))
        except ValueError:
            raise ConfigError(
                "--set", found=text, allowed="KEY=NUMBER", hint="--set buffers.link=8"
            ) from None
    return tuple(pairs)


def as_table(run: "Run") -> dict[str, Any]:
    """The run for ``--json``: totals, layers, time line and mesh."""
    from tssd.hw_targets.sim import summary

    return {
        "chip": run.chip.name,
        "timing": run.timing.mode,
        "samples": run.tally.samples,
        "steps": run.steps,
        "assumed_active": list(run.assumed_active),
        "totals": asdict(summary.totals(run)),
        "layers": [asdict(layer) for layer in summary.layers(run)],
        "bottleneck": summary.totals(run).bottleneck,
        "timeline": [asdict(step) for step in summary.steps(run)],
        "mesh": [asdict(cell) for cell in summary.mesh(run)],
    }


def _print_run(run: "Run") -> None:
    from tssd.hw_targets.sim import summary

    total = summary.totals(run)
    kind, energies = words.run_energy(total.dynamic_pj, total.static_pj, total.promised)
    terminal.say(
        f"{timing_words(run)}\n"
        f"energy per inference at this pace, nominal ({kind}):\n"
        f"{energies}"
        f"{'' if run.chip.board is None else ', board ' + run.chip.board + ' included'}"
    )
    if total.host_pj is not None:
        terminal.say(f"host, beside these: {energy_range(total.host_pj)}")
    if run.assumed_active:
        terminal.say(
            "all updates count as active, as the record does not tell, in"
            f" {', '.join(run.assumed_active)}"
        )


def timing_words(run: "Run") -> str:
    """Latency and pace, each by its name; of a bound, what they are at best."""
    from tssd.hw_targets.sim import summary

    total = summary.totals(run)
    at_least, at_most = ("at least ", "at most ") if run.timing.mode == "bound" else ("", "")
    step = words.duration(total.us_per_step)
    if total.latency_us is None:
        return f"{at_least}{step} per step of the record, {total.io}; limited by {total.bottleneck}"
    return (
        f"latency {at_least}{words.duration(total.latency_us)}: one sample alone, first input to"
        f" answer, {total.io}\n"
        f"pace {at_most}{words.number(total.inferences_per_s)} inferences per second, {at_least}"
        f"{step} per step: samples back to back, {total.io};\nlimited by {total.bottleneck}"
    )


SLOWEST = 8  # steps that -v shows


def slowest_table(run: "Run") -> Table:
    """The slowest steps, and what each waited for."""
    from tssd.hw_targets.sim import summary

    steps = sorted(summary.steps(run), key=lambda step: -step.us)[:SLOWEST]
    rows = [(str(s.step), words.duration(s.us), s.bottleneck, s.core or "") for s in steps]
    return terminal.plain_table(("step", "time", "waited for", "where"), rows, right=("step",))


def layer_table(run: "Run") -> Table:
    """Counts, energy and time by layer, per inference."""
    from tssd.hw_targets.sim import summary

    rows = [
        (
            layer.name,
            str(layer.cores),
            words.number(layer.spikes),
            words.number(layer.synops),
            words.number(layer.messages),
            words.nominal_energy(layer.energy_pj),
            words.percent(layer.time_share, 1),
        )
        for layer in summary.layers(run)
    ]
    columns = ("layer", "cores", "spikes", "synops", "messages", "energy", "time")
    return terminal.plain_table(columns, rows, right=columns[1:])


def energy_range(pj: "EnergyRange") -> str:
    """An energy with its range."""
    return f"{words.energy(pj.nominal)} ({words.energy(pj.low)} .. {words.energy(pj.high)})"


def check_priced(chip: "ChipSpec") -> None:
    """Refuse to price a run with a chip file that tells no energies."""
    if chip.untold:
        raise ConfigError(
            f"--price {chip.name}",
            found=f"a chip file without [{chip.untold[0]}]",
            allowed="one that says what its events cost",
            hint="`tssd targets list` lists the chips",
        )


def _print_price(path: Path, chip_name: str, as_json: bool) -> None:
    from tssd.hw_targets.chip.chips import load_chip
    from tssd.hw_targets.costs.energy import price, running_pj, static_pj
    from tssd.hw_targets.costs.interval import promised
    from tssd.hw_targets.sim.run_file import load_run

    saved, chip = load_run(path), load_chip(chip_name)
    check_priced(chip)
    energy = price(saved.counters, chip)
    per = 1 / saved.counters.samples
    stepping = running_pj(chip, saved.chips, saved.us_per_inference)
    dynamic = energy.total().scaled(per) + stepping
    static = static_pj(chip, saved.chips, saved.us_per_inference, saved.counters.enabled)
    fitted = promised(
        saved.counters, chip, saved.chips, saved.counters.enabled, saved.us_per_inference
    )
    layers = {name: energy.layer(name).scaled(per) for name in saved.counters.populations}
    if as_json:
        table: dict[str, Any] = {
            "command": saved.command,
            "chip": chip.name,
            "simulated_on": saved.chip,
            "dynamic_pj": asdict(dynamic),
            "stepping_pj": asdict(stepping),
            "static_pj": asdict(static),
            "promised": None if fitted is None else asdict(fitted),
            "layers": {name: asdict(pj) for name, pj in layers.items()},
        }
        click.echo(json.dumps(table))
        return
    kind, energies = words.run_energy(dynamic, static, fitted)
    rows = [(name, energy_range(pj)) for name, pj in layers.items()]
    click.echo(terminal.to_text(terminal.plain_table(("layer", "energy"), rows, right=("energy",))))
    terminal.say(
        f"{saved.mode} run on {saved.chip}, priced with {chip.title}; per inference, nominal"
        f" ({kind}):\n{energies}"
    )
