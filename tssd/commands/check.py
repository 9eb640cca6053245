"""``tssd check``: does a network fit a chip, layer by layer, before anyone trains or runs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tssd import terminal
from tssd.atomic import write_text
from tssd.commands import bundle_options, completing, core_image
from tssd.commands import junit as junit_file
from tssd.commands.outputs import check_outputs
from tssd.errors import ConfigError, FileFormatError, counted, visible

if TYPE_CHECKING:
    from tssd.calibration.int_network import IntNetwork
    from tssd.export.bundle.folder import Bundle
    from tssd.hw_targets.chip.spec import ChipSpec
    from tssd.hw_targets.mapping.choices import Choices
    from tssd.hw_targets.mapping.fit import Fit, LayerFit
    from tssd.hw_targets.mapping.mesh import Flow
    from tssd.hw_targets.mapping.placement import Placement
    from tssd.hw_targets.optimising.goal import Goal
    from tssd.hw_targets.optimising.optimise import Optimised

USUAL = "loihi2"  # the chip of a file that names none


@click.command(
    epilog="Example: tssd check build/fmnist --target loihi1",
)
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "--target",
    type=completing.CHIP,
    help="A chip's name or TOML file; else the bundle's own, and loihi2 for a .nir file.",
)
@click.option(
    "--placement", type=click.Path(path_type=Path), help="Check this placement file instead."
)
@bundle_options.optimise
@bundle_options.layout
@click.option("--traffic", is_flag=True, help="Lay out the cores, show who sends to whom.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the placement to this file.")
@junit_file.option
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def command(
    ctx: click.Context,
    network: Path,
    target: str | None,
    placement: Path | None,
    optimise: str,
    input_from: str | None,
    formats: tuple[str, ...],
    traffic: bool,
    out: Path | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    """Say whether NETWORK (a bundle or a .nir file) fits, and everything that is in the way; of an
    image of the open core (tssd convert --rtl), also whether it is whole.

    With --optimise: what a placement for time or energy would take, by the activity of the bundle's
    golden samples.

    Exit code 0 when it fits, 1 when it does not.
    """
    from tssd.hw_targets.costs.programs import programs, told_of_programs
    from tssd.hw_targets.mapping.fit import fit, told_of_fit
    from tssd.hw_targets.mapping.manual import read_placement
    from tssd.hw_targets.mapping.placement import place

    if core_image.is_image(network):
        asked = {name: ctx.get_parameter_source(name) for name in ctx.params}
        core_image.check(network, target, as_json, asked)
        return
    check_outputs("out", "junit")
    goal = bundle_options.goal_of(optimise)
    subject = read_subject(network)
    model, chip = subject.network, asked_chip(subject, target)
    if placement is not None and optimise != "cores":
        raise ConfigError(f"--optimise {goal}", found="a placement of your own", allowed="one")
    if placement is not None and (input_from is not None or formats):
        raise ConfigError(
            "--input-from, --format",
            found="a placement of your own",
            allowed="a placement file says both itself: input_from, formats",
        )
    suite = f"tssd check {network} --target {target or chip.name}"
    if placement is not None:
        placed = read_placement(placement, model, chip)
        if junit is not None:
            junit_file.write(junit, suite, [junit_file.JUnitCase(f"{placement}", "pass")])
        terminal.say(f"{placement}: fits {chip.name}, hop cost {placed.hop_cost:,.0f}")
        if network.is_dir():
            where = () if target is None else ("--chip", target)
            terminal.say_next("tssd", "simulate", network, *where, "--placement", placement)
        return
    layout = bundle_options.layout_of(input_from, formats, _own_choices(subject))
    result = fit(model, chip, layout)
    if junit is not None:
        junit_file.write(junit, suite, junit_file.of_fit(result))
    better = optimised(subject, chip, goal, layout) if result.fits else None
    flows = None
    if result.fits and (traffic or out):
        placed = place(model, chip, choices=layout) if better is None else better.placement
        flows = traffic_of(model, chip, placed)
        if out is not None:
            write_text(out, placed.to_json())
    if as_json:
        code = [asdict(program) for program in programs(model, chip)]
        click.echo(json.dumps(to_table(result, flows, better) | {"programs": code}))
    else:
        click.echo(to_text(result, chip))
        for text in (*told_of_fit(model, chip, layout, result), *told_of_programs(model, chip)):
            terminal.say(text)
        if traffic and flows is not None:
            click.echo(traffic_text(flows))
        if better is not None:
            click.echo(better.told())
        if result.fits:
            _say_next(network, target)
    if not result.fits:
        ctx.exit(1)


@dataclass(frozen=True, eq=False)
class CheckSubject:
    """What is checked, read once: a bundle, or the network of a file alone."""

    path: Path
    network: "IntNetwork"
    bundle: "Bundle | None"


def read_subject(path: Path) -> CheckSubject:
    """The bundle in a folder, or the integer network of a NIR file."""
    from tssd.export.bundle.folder import read_bundle
    from tssd.export.nir.integers.read import read_nir

    if path.is_dir():
        bundle = read_bundle(path)
        return CheckSubject(path, bundle.network, bundle)
    if path.suffix == ".nir":
        return CheckSubject(path, read_nir(path), None)
    raise FileFormatError(
        str(path),
        found="no folder and no .nir file" if path.exists() else "no such file",
        allowed="a bundle written by `tssd export`, or a .nir file",
    )


def asked_chip(subject: CheckSubject, target: str | None) -> "ChipSpec":
    """The chip called *target*; without one the bundle's own, and ``USUAL`` for a file."""
    from tssd.hw_targets.chip.chips import load_chip
    from tssd.simulating.simulation import Request, chip_of

    if target is None and subject.bundle is not None:
        return chip_of(Request(subject.path), subject.bundle)
    return load_chip(target or USUAL)


def _say_next(network: Path, target: str | None) -> None:
    where = () if target is None else ("--chip", target)
    if network.is_dir():
        terminal.say_next("tssd", "simulate", network, *where)
    else:
        to = f"build/{network.resolve().stem}"
        terminal.say_next("tssd", "import", network, "--target", target or USUAL, "--out", to)


def _own_choices(subject: CheckSubject) -> "Choices | None":
    """What the bundle was laid out by."""
    from tssd.hw_targets.mapping.manual import choices_in

    return None if subject.bundle is None else choices_in(subject.bundle.placement)


@dataclass(frozen=True)
class TrafficRow:
    """Who sends to whom when every neuron fires once, and how far."""

    hop_cost: float
    between: "dict[tuple[str, str], Flow]"


def traffic_of(network: "IntNetwork", chip: "ChipSpec", placed: "Placement") -> TrafficRow:
    """Sum up the traffic of *network* under *placed*."""
    from tssd.hw_targets.mapping.placement import streams, traffic, traffic_table

    flow = traffic(streams(network, placed, chip), placed)
    return TrafficRow(placed.hop_cost, traffic_table(placed, flow, chip))


def optimised(
    subject: CheckSubject, chip: "ChipSpec", goal: "Goal", layout: "Choices"
) -> "Optimised | None":
    """The placement for *goal* by the golden samples of the bundle; None for the fewest cores."""
    from tssd.hw_targets.optimising.goal import Goal
    from tssd.hw_targets.optimising.optimise import optimise
    from tssd.hw_targets.sim.functional import simulate, tally_of
    from tssd.hw_targets.sim.program import prepare

    if goal is Goal.CORES:
        return None
    network = subject.network
    golden = None if subject.bundle is None else subject.bundle.golden
    if golden is None:
        raise ConfigError(
            f"--optimise {goal}",
            found=f"no samples in {subject.path}, whose activity it goes by",
            allowed="a bundle with golden samples",
        )
    counted = tally_of(network, simulate(prepare(network), golden.inputs))
    return optimise(network, chip, counted, golden.inputs, goal, choices=layout)


def to_table(
    result: "Fit", traffic: TrafficRow | None = None, better: "Optimised | None" = None
) -> dict[str, Any]:
    """The fit as JSON."""
    table = asdict(result) | {"fits": result.fits}
    if traffic is not None:
        rows = [
            {"source": a, "target": b} | asdict(flow) for (a, b), flow in traffic.between.items()
        ]
        table["traffic"] = {"hop_cost": traffic.hop_cost, "between": rows}
    if better is not None:
        table["placed"] = better.to_table()
    return table


def traffic_text(traffic: TrafficRow) -> str:
    """One line per pair of populations, and the cost."""
    rows = [
        (a, b, f"{flow.messages:,}", f"{flow.mean_hops:.2f}", f"{flow.chip_hops:,}")
        for (a, b), flow in traffic.between.items()
    ]
    head = ("from", "to", "messages", "mean hops", "chips crossed")
    table = terminal.to_text(terminal.plain_table(head, rows, right=head[2:]))
    return f"{table}\nhop cost {traffic.hop_cost:,.0f} when every neuron fires once"


def to_text(result: "Fit", chip: "ChipSpec") -> str:
    """One line per layer, one line per finding, one line to sum up."""
    from tssd.hw_targets.mapping.rules import amount_of, resource_word

    def full(layer: "LayerFit") -> str:
        found = int(getattr(layer.most, layer.fullest))
        return (
            f"{resource_word(layer.fullest, chip)} {amount_of(layer.fullest, found, layer.limit)}"
        )

    rows = [
        (
            layer.name,
            f"{layer.neurons:,}",
            f"{layer.cores:,}",
            f"{layer.most.neurons:,}",
            f"{layer.most.memory_bytes / 1024:,.1f}",
            f"{layer.most.axons_in:,}",
            f"{layer.most.axons_out:,}",
            full(layer),
        )
        for layer in result.layers
    ]
    head = ("layer", "neurons", "cores", "per core", "KiB", "axons in", "axons out", "fullest")
    lines = [terminal.to_text(terminal.plain_table(head, rows, right=head[1:-1], close=True))]
    lines += ["✘ " + visible(str(finding), "\n") for finding in result.findings]
    if result.cores is not None:
        chips = counted(result.chips or 0, "chip")
        lines.append(f"{result.cores:,} cores on {chips} of {visible(result.chip)}")
    count = len(result.findings)
    lines.append("fits" if result.fits else f"does not fit: {counted(count, 'broken rule')}")
    return "\n".join(lines)
