"""`tssd calibrate`: a trained run with few bits: trained on, or as few as a drop allows."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tssd import terminal
from tssd.commands import bundle_options, completing
from tssd.commands.export import MODULE_ONLY
from tssd.errors import ConfigError, counted
from tssd.progress import ProgressSteps
from tssd.report import words

if TYPE_CHECKING:  # --help reads this module; torch can wait
    from tssd.budget.widths import MixedWidths

TRAINING = ("epochs", "lr", "method", "settings", "resume", "teacher", "model", *MODULE_ONLY)
SEARCHING = ("minimise", "calibration_samples", "check_samples", "rounding", "force")


@click.command(epilog="Example: tssd calibrate runs/fmnist --bits 4 --out runs/fmnist-4")
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--bits",
    help="Train on with so many, sign included: 2 to 8, ternary or binary; 4,conv1=8.",
)
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Instead of training: the fewest bits of each layer that lose at most so many points.",
)
@click.option(
    "--minimise",
    type=click.Choice(["memory", "energy", "time"]),
    default="memory",
    show_default=True,
    help="With --max-drop: what fewer bits are to save on the chip.",
)
@click.option(
    "--calibration-samples",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="With --max-drop: training samples that scales are fitted to.",
)
@click.option(
    "--check-samples",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="With --max-drop: validation samples that the drop is measured on.",
)
@click.option(
    "--rounding",
    type=click.Choice(["auto", "nearest", "compensated"]),
    default="auto",
    show_default=True,
    help="With --max-drop: as tssd export's; nearest is much faster for wide dense layers.",
)
@click.option("--force", is_flag=True, help="With --max-drop: replace an existing bundle.")
@click.option("--epochs", default=2, show_default=True, help="Passes over the training samples.")
@click.option("--lr", default=1e-3, show_default=True, help="Largest learning rate.")
@click.option(
    "--seed",
    type=int,
    help="Of everything that is drawn at random; without it RUN's, with --max-drop 0.",
)
@click.option("--method", type=completing.METHOD, help="As tssd train's; RUN's without it.")
@click.option(
    "--target",
    type=completing.CHIP,
    default="loihi2",
    show_default=True,
    help="A chip or TOML file.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As tssd train's.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The run folder; with --max-drop the bundle.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder with the data files of RUN; or your own samples: .npz, pkg.module:data_set.",
)
@bundle_options.model
@bundle_options.reading
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    help="With --set gamma=1: the float run that teaches; RUN's own network without it.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(
    bits: str | None,
    max_drop: float | None,
    minimise: str,
    calibration_samples: int,
    check_samples: int,
    rounding: str,
    force: bool,
    **options: Any,
) -> None:
    """Train the network of RUN on with few bits, as the chip computes; or find the fewest.

    With --bits the forward pass is the integer neuron's: weights on a step per channel, thresholds
    and biases as they are stored. After it the exported integers have to fire the same spikes, all
    of them.

    With --max-drop nothing is trained: the bits of each layer are found by what fewer cost in
    answers and save on the chip, measured in the integers, and the bundle holds those integers.

    With --bits, --model and no RUN: the snnTorch module that BUILD returns, with its weights, as
    tssd export takes it; its labelled samples are --samples. A RUN of your own module needs its
    --model too: code runs only if you name it.
    """
    if (bits is None) == (max_drop is None):
        raise click.UsageError("give --bits, or --max-drop")
    if max_drop is None:
        from tssd.commands.few_bits import train_on

        bundle_options.refuse_idle(SEARCHING, "with --max-drop")
        train_on(bits=bits, **options)
        return
    bundle_options.refuse_idle(TRAINING, "with --bits: --max-drop trains nothing")
    if options["run"] is None:
        raise click.UsageError("--max-drop: with a run folder")
    rest = {name: options[name] for name in ("run", "out", "data", "target", "as_json")}
    samples = {"calibration_samples": calibration_samples, "check_samples": check_samples}
    seed = options["seed"] or 0
    _find(max_drop, minimise, rounding, {**samples, "seed": seed}, force=force, **rest)


def _find(
    max_drop: float,
    minimise: str,
    rounding: str,
    choices: dict[str, Any],
    *,
    run: Path,
    out: Path,
    data: Path | None,
    target: str,
    force: bool,
    as_json: bool,
) -> None:
    """The bits of each layer within a drop."""
    from tssd.budget.costs import Minimise
    from tssd.budget.of_run import Budget, within_budget
    from tssd.calibration.quantizing.scales import Options, Rounding
    from tssd.chain.pipeline import ExportOptions

    if not max_drop >= 0:
        raise ConfigError("--max-drop", found=f"{max_drop:g}", allowed="0 points or more")
    quantize = Options(rounding=None if rounding == "auto" else Rounding(rounding))
    typed = bundle_options.typed()
    asked = ExportOptions(target=target, quantize=quantize, command=typed, **choices)
    steps = ProgressSteps(quiet=as_json)
    budget = Budget(max_drop, Minimise(minimise))
    found, _ = within_budget(run, out, budget, asked, data=data, force=force, on_step=steps.start)
    steps.done()
    if as_json:
        click.echo(json.dumps({"out": str(out), **told(found)}))
        return
    goal, best = found.goal, found.found
    rows = [
        (one.layer, str(one.bits), f"{one.divergence_nats:.2g}", f"{one.lost_points:.2f}",
         f"{one.cost.of(goal):,.4g}")
        for one in found.alone
    ]  # fmt: skip
    columns = ("layer alone", "bits", "KL, nats", "points lost", f"{goal}, {goal.unit}")
    click.echo(terminal.to_text(terminal.plain_table(columns, rows, right=columns[1:])))
    terminal.say(
        f"{widths_told(found)}: {best.cost.of(goal):,.4g} {goal.unit} of {goal},"
        f" {words.percent(found.share, 1)} of {found.widest.cost.of(goal):,.4g} with the chip's"
        f" bits\n{best.lost} on {best.lost.samples:,} validation samples"
        f" ({found.widest.lost.points + 0.0:.2f} with the chip's bits); these samples chose it from"
        f" {counted(found.tried, 'network')}, so on others the loss tends to be larger; single"
        f" layers were tried on {found.alone_samples:,}\nwrote {out}"
    )
    terminal.say_next("tssd", "verify", out, "--against", "gpu,onnx,sim")


def told(found: "MixedWidths") -> dict[str, Any]:
    """The search for ``--json``."""
    best, goal = found.found, found.goal
    return {
        "minimise": str(goal),
        "widths": dict(best.widths),
        "points_lost": best.lost.points,
        "points_least": best.lost.least_points,
        "points_most": best.lost.most_points,
        "points_lost_widest": found.widest.lost.points,
        "samples": best.lost.samples,
        "networks_tried": found.tried,
        "cost": asdict(best.cost),
        "cost_widest": asdict(found.widest.cost),
        "share": found.share,
        "alone_samples": found.alone_samples,
        "alone": [asdict(one) for one in found.alone],
        "steps": [asdict(step) for step in found.steps],
    }


def widths_told(found: "MixedWidths") -> str:
    """As ``--weight-bits`` takes them: what most layers have, and exceptions."""
    widths = found.found.widths
    usual = max(widths.values(), key=list(widths.values()).count)
    others = [f"{name}={bits}" for name, bits in widths.items() if bits != usual]
    return f"--weight-bits {','.join((str(usual), *others))}"
