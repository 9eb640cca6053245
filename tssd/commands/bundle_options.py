"""What every command that writes a bundle asks for."""

import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from tssd.commands import completing, ending
from tssd.config import with_exceptions
from tssd.errors import ConfigError
from tssd.export.nir.graphs.profiles import DISCRETISATIONS, GAINS, PROFILES, TIMED

if TYPE_CHECKING:  # --help reads this module; h5py can wait
    from tssd.calibration.int_network import InputCoding
    from tssd.calibration.quantizing.options import Options as QuantizeOptions
    from tssd.hw_targets.mapping.choices import Choices
    from tssd.hw_targets.optimising.goal import Goal

Command = Callable[..., None]
Chosen = TypeVar("Chosen")


nir_mode = click.option(
    "--nir",
    "nir_mode",
    type=click.Choice(["compatible", "exact"]),
    default="compatible",
    show_default=True,
    help="A .nir as other tools read it, or with resets spelled out in primitives.",
)


optimise = click.option(
    "--optimise",
    type=click.Choice(["cores", "time", "energy"]),
    default="cores",
    show_default=True,
    help="The fewest cores; or free ones too, for the shortest steps or the least energy.",
)


def layout(command: Command) -> Command:
    """What a user decides about the layout, beside the chip's limits."""
    return _with(
        command,
        click.option(
            "--input-from",
            type=click.Choice(["cores", "outside"]),
            help="Input populations on cores, or fed from outside through a port: no core is taken."
            "  [default: cores; as the bundle has it]",
        ),
        click.option(
            "--format",
            "formats",
            multiple=True,
            metavar="PROJECTION=FORMAT",
            help="Store its synapses dense, sparse or conv; the least memory without it.",
        ),
    )


def layout_of(
    input_from: str | None, formats: tuple[str, ...], own: "Choices | None" = None
) -> "Choices":
    """The choices of ``--input-from`` and ``--format``; where they are silent, *own* ones."""
    from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices, InputFrom, parse_formats

    own = NO_CHOICE if own is None else own
    asked = own.input_from if input_from is None else InputFrom(input_from)
    return Choices({**own.formats, **parse_formats(formats)}, asked)


def model(command: Command) -> Command:
    """A snnTorch module of the user instead of a file."""
    return _with(
        command,
        click.option("--model", metavar="PKG.MODULE:BUILD", help="Your own snnTorch network."),
        click.option(
            "--weights", type=click.Path(path_type=Path), help="Its .pt or .safetensors file."
        ),
        click.option(
            "--input-shape", metavar="C,H,W", help="Its input of one step; else as the samples are."
        ),
    )


UNTYPED = ("out", "force", "as_json", "quiet", "verbose")  # do not change what is written
READOUTS = ("count", "last-step", "membrane-last", "membrane-sum", "membrane-max")


def reading(command: Command) -> Command:
    """How a module of the user is read, and the samples on which it is compared."""
    return _with(
        command,
        click.option(
            "--samples",
            "--calibration",
            "samples",
            metavar="X.NPZ",
            help="Samples to compare and calibrate on: .npz with 'inputs' (and 'labels'), .npy, or "
            "PKG.MODULE:DATA_SET.",
        ),
        click.option(
            "--time-steps",
            type=click.IntRange(1),
            help="Steps of one sample; a module with a loop and frames say it themselves.  "
            "[default: 16]",
        ),
        click.option("--output", metavar="NAME", help="Which of several outputs is the answer."),
        click.option(
            "--readout",
            type=click.Choice(READOUTS),
            help="How the class is read from it; else as the module's output says.",
        ),
        click.option(
            "--population",
            type=click.IntRange(1),
            metavar="CLASSES",
            help="The outputs are groups of neurons, one group for each of so many classes.",
        ),
        click.option(
            "--swap-max-pool",
            is_flag=True,
            help="Deploy a maximum pooling of currents behind its neuron instead; told what it "
            "costs.",
        ),
    )


def placing(command: Command) -> Command:
    """Where the bundle goes, and the chip that it is placed on."""
    return _with(
        command,
        click.option(
            "--target",
            type=completing.CHIP,
            default="loihi2",
            show_default=True,
            help="A chip or TOML file.",
        ),
        click.option(
            "--out", type=click.Path(path_type=Path), required=True, help="The bundle folder."
        ),
        optimise,
        layout,
        click.option("--seed", default=0, show_default=True, help="Of what is drawn at random."),
        click.option("--force", is_flag=True, help="Replace an existing bundle."),
        ending.loudness,
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output."),
    )


def quantizing(command: Command) -> Command:
    """How a float network becomes integers."""
    return _with(
        command,
        click.option(
            "--pooling",
            type=click.Choice(["fold", "population"]),
            default="fold",
            show_default=True,
            help="Average pooling: into the next weights, or relay neurons.",
        ),
        click.option(
            "--weight-bits",
            metavar="BITS",
            help="Of the integer weights, sign included: 4; 8,conv1=4 with exceptions; the chip's "
            "without it.",
        ),
        click.option(
            "--scales",
            "granularity",
            type=click.Choice(["auto", "layer", "channel"]),
            default="auto",
            show_default=True,
            help="One scale for a layer, or one for each channel: thresholds per channel; auto: "
            "channel below 8 bits.",
        ),
        click.option(
            "--rounding",
            type=click.Choice(["auto", "nearest", "compensated"]),
            default="auto",
            show_default=True,
            help="Of weights: each to the nearest, or so that errors cancel in the currents; auto: "
            "compensated below 8 bits.",
        ),
        click.option(
            "--tuning",
            type=click.Choice(["auto", "none", "bias", "spikes"]),
            default="auto",
            show_default=True,
            help="Of rounded layers: biases to float's mean current, or thresholds and biases to "
            "its spikes; auto: spikes below 8 bits.",
        ),
        click.option(
            "--search",
            type=click.Choice(["max_abs", "percentile", "weight_mse", "output", "spike_counts"]),
            default="output",
            show_default=True,
            help="What a scale is chosen by: the largest weight, one of a hundred clipped, the "
            "weights' squared error, the layer's spikes, or how many of them each neuron fires.",
        ),
        click.option(
            "--input",
            "coding",
            type=click.Choice(["auto", "graded", "spikes", "bias"]),
            default="auto",
            show_default=True,
            help="Pixels as payloads, spikes, or the first layer's current as a bias.",
        ),
        click.option(
            "--calibration-samples",
            type=click.IntRange(1),
            default=256,
            show_default=True,
            help="How many samples to fit the scales to.",
        ),
        click.option(
            "--check-samples",
            type=click.IntRange(1),
            default=2000,
            show_default=True,
            help="Labelled samples on which the integers' accuracy is checked.",
        ),
        click.option(
            "--tolerance",
            "tolerance_points",
            type=click.FloatRange(0),
            default=1.0,
            show_default=True,
            help="Points of accuracy that the integers may cost.",
        ),
        click.option(
            "--for-netx",
            is_flag=True,
            help="Only what a .net of lava-dl's netx can say, also where weights lose bits by it.",
        ),
        click.option("--device", default="cpu", show_default=True, help="cpu or cuda."),
        nir_mode,
        click.option(
            "--onnx",
            type=click.Choice(["integer", "float"]),
            default="integer",
            show_default=True,
            help="ONNX graphs: of the integers, or of the float network too.",
        ),
    )


def foreign(command: Command) -> Command:
    """What a float network from elsewhere does not bring."""
    return _with(
        command,
        click.option(
            "--calibration",
            type=click.Path(path_type=Path),
            help="Samples of a float network: .npz with uint8 'inputs' (and 'labels'), or .npy.",
        ),
        click.option(
            "--time-steps",
            type=click.IntRange(1),
            default=16,
            show_default=True,
            help="Steps of one sample, which the network does not say.",
        ),
    )


def answers(command: Command) -> Command:
    """What a NIR graph does not say about time: profile, dt, rule, reset."""
    return _with(
        command,
        click.option(
            "--profile", type=click.Choice(list(PROFILES)), help="The tool that made the graph."
        ),
        click.option("--dt", type=float, help="Length of a step, in the unit of the graph's tau."),
        click.option(
            "--rule", type=click.Choice(DISCRETISATIONS), help="Discretisation of the graph."
        ),
        click.option(
            "--reset",
            type=click.Choice(["zero", "subtract", "none", *TIMED]),
            help="Reset rule; of snnTorch: subtract-late is its default, subtract-no-delay its "
            "reset_delay=False.",
        ),
        click.option(
            "--gain",
            type=click.Choice(GAINS),
            help="Whether r, w_in and dt / tau scale the input (graph), or it counts as it is.",
        ),
    )


def typed() -> str:
    """The command line that is running, as it was typed but for --out: it is kept in the bundle,
    which may be anywhere, and names files and folders by their last part."""
    context = click.get_current_context()
    words = ["tssd", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name in UNTYPED or not given:
            continue
        value = context.params[name]
        words += [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
        words += [] if value is True else [_last_part(value)]
    return shlex.join(words)


def _last_part(value: object) -> str:
    return value.resolve().name if isinstance(value, Path) else str(value).rpartition("/")[2]


def _with(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def refuse_idle(names: Iterable[str], why: str) -> None:
    """ConfigError for an option that was given on the command line and has nothing to act on."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name in names:
            raise ConfigError(
                parameter.opts[0], found="an option with nothing to act on", allowed=why
            )


def quantize_of(choices: dict[str, Any]) -> "QuantizeOptions":
    """``--scales``, ``--search``, ``--rounding`` and ``--tuning``, taken out of the *choices*, and
    the exceptions of ``--weight-bits``, whose width for all stays there."""
    from tssd.calibration.quantizing.channels import Granularity, Rounding, Search, Tuning
    from tssd.calibration.quantizing.options import Options

    def chosen(name: str, kind: Callable[[str], Chosen]) -> Chosen | None:
        said = choices.pop(name)
        return None if said == "auto" else kind(said)

    choices["weight_bits"], layer_bits = widths_of(choices["weight_bits"])
    return Options(
        layer_bits=layer_bits,
        search=Search(choices.pop("search")),
        granularity=chosen("granularity", Granularity),
        rounding=chosen("rounding", Rounding),
        tuning=chosen("tuning", Tuning),
    )


def widths_of(said: str | None) -> tuple[int | None, dict[str, int]]:
    """``--weight-bits``: the width for all layers, and those of single ones."""
    if said is None:
        return None, {}
    whole, named = with_exceptions(said, "--weight-bits")
    for text in (whole, *named.values()):
        if not text.isdecimal():
            raise ConfigError("--weight-bits", found=repr(said), allowed="whole numbers: 8,conv1=4")
    return int(whole), {name: int(text) for name, text in named.items()}


def goal_of(said: str) -> "Goal":
    """What ``--optimise`` names."""
    from tssd.hw_targets.optimising.goal import goal_named

    return goal_named(said)


def coding_of(said: str) -> "InputCoding | None":
    """The coding that ``--input`` names; None for auto."""
    from tssd.calibration.int_network import InputCoding

    return None if said == "auto" else InputCoding(said)
