"""``tssd convert``: a network as one exchange file."""

import json
from pathlib import Path
from typing import Any

import click

from tssd import terminal
from tssd.commands import bundle_options
from tssd.export.nir.graphs.profiles import PROFILES

COMPILE = ("cc", "-std=c99", "-O2")


@click.command(
    epilog="Example: tssd convert build/fmnist --nir exact --out exact.nir",
)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="A .nir or .net file.")
@click.option("--c", "c_folder", type=click.Path(path_type=Path), help="A new folder for C99.")
@click.option(
    "--rtl", "rtl_folder", type=click.Path(path_type=Path), help="A new folder for an open core."
)
@click.option(
    "--events", type=click.Path(path_type=Path), help="A new .h5 file of NIR's event data."
)
@bundle_options.nir_mode
@click.option(
    "--dt",
    default=1e-4,
    show_default=True,
    help="Length of a step in a .nir.",
)
@click.option(
    "--for",
    "platform",
    type=click.Choice(list(PROFILES)),
    help="Write tau, r and thresholds as this platform's import reads them.",
)
@bundle_options.model
@bundle_options.reading
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(
    source: Path | None,
    out: Path | None,
    c_folder: Path | None,
    rtl_folder: Path | None,
    events: Path | None,
    nir_mode: str,
    dt: float,
    platform: str | None,
    model: str | None,
    weights: Path | None,
    input_shape: str | None,
    samples: str | None,
    as_json: bool,
    **reading: Any,
) -> None:
    """Write the integers of SOURCE (a bundle, or a .nir of tssd) or, with --model, your own
    snnTorch module as one file that other tools read. The module is compared with what is written
    on --samples, or, with --input-shape alone, on samples drawn at random.

    --nir compatible writes LIF and IF nodes; whether they reset to zero or by subtraction only the
    metadata says. --nir exact spells a soft reset out in plain primitives. --for PLATFORM writes
    what that platform's own import steps as meant, and no integers. --c FOLDER writes the integers
    as C99 without floats and allocation: network.h, network.c and main.c. --rtl FOLDER writes
    a bundle of the open core as what a host writes into its memories, with the spikes and clocks
    that it must then read on a golden sample. --events FILE writes what every population sends on
    the bundle's golden inputs, in steps of --dt.
    """
    from tssd.chain.conversion import FileForm, convert, convert_to_c, convert_to_rtl
    from tssd.chain.event_files import convert_to_events
    from tssd.export.nir.integers.graph import NirMode

    if (source is None) == (model is None):
        raise click.UsageError("give SOURCE or --model, one of them")
    if source is not None and any([weights, input_shape, samples, *reading.values()]):
        raise click.UsageError("a module's weights, samples and read-out: only with --model")
    if [out, c_folder, rtl_folder, events].count(None) != 3:
        raise click.UsageError("give --out, --c, --rtl or --events, one of them")
    if events is not None:
        if source is None:
            raise click.UsageError("--events takes the golden inputs of SOURCE, a bundle")
        then = ("tssd", "simulate", source, "--inputs", events)
        _say(events, convert_to_events(source, events, dt), as_json, then)
        return
    if c_folder is not None:
        if source is None:
            raise click.UsageError("--c takes the integers of SOURCE, a bundle or a .nir of tssd")
        _say(c_folder, convert_to_c(source, c_folder), as_json)
        return
    if rtl_folder is not None:
        if source is None:
            raise click.UsageError("--rtl takes the integers of SOURCE, a bundle of the open core")
        note = convert_to_rtl(source, rtl_folder)
        _say(rtl_folder, note, as_json, ("tssd", "check", rtl_folder))
        return
    assert out is not None
    form = FileForm(NirMode(nir_mode), dt, platform)
    if source is not None:
        _say(out, convert(source, out, form), as_json)
    else:
        from tssd.chain.module_conversion import convert_model
        from tssd.chain.module_source import ModelSource
        from tssd.chain.own_module import reading_of

        module = ModelSource(str(model), weights, input_shape)
        _say(out, convert_model(module, samples, reading_of(**reading), out, form), as_json)


def _say(out: Path, note: str | None, as_json: bool, then: tuple[object, ...] = ()) -> None:
    if as_json:
        click.echo(json.dumps({"out": str(out), "note": note}))
        return
    terminal.say(f"wrote {out}" + (f"; {note}" if note else ""))
    if then:
        terminal.say_next(*then)
    elif out.is_dir():
        terminal.say_next(*COMPILE, out / "network.c", out / "main.c", "-o", "network")
    else:
        terminal.say_next("tssd", "inspect", out)
