"""``tssd inspect``: what is in a network file, and whether each target would take it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tssd import terminal
from tssd.atomic import write_text
from tssd.commands import bundle_options
from tssd.commands.outputs import check_outputs
from tssd.errors import visible

if TYPE_CHECKING:
    from tssd.inspecting.inspection import Inspection


@click.command(
    "inspect",
    epilog="Example: tssd inspect network.nir --svg network.svg",
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--svg", type=click.Path(path_type=Path), help="Also draw the graph to this file.")
@bundle_options.answers
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(path: Path, svg: Path | None, as_json: bool, **told: Any) -> None:
    """Show layers, shapes, neurons, parameters, bits and resets of PATH: a bundle, a run folder,
    .nir, .net, .onnx or .safetensors; and which targets would take it, or why not.

    A NIR graph of another tool is judged under what the options or the profile say about its time,
    without calibration.
    """
    from tssd.export.nir.graphs.profiles import Answers
    from tssd.inspecting.graph_drawing import to_svg
    from tssd.inspecting.inspection import inspect

    check_outputs("svg")
    said = (told[key] for key in ("profile", "dt", "reset", "rule", "gain"))
    found = inspect(path, Answers(*said))
    if svg is not None:
        write_text(svg, to_svg(found))
    click.echo(json.dumps(asdict(found)) if as_json else to_text(found))


def to_text(found: "Inspection") -> str:
    """Layers, facts, what is missing, targets."""
    columns = ("layer", "kind", "shape", "neurons", "parameters", "bits", "reset")
    rows = [
        (
            row.name,
            row.kind,
            "x".join(map(str, row.shape)),
            f"{row.neurons:,}" if row.neurons else "",
            f"{row.parameters:,}" if row.parameters else "",
            "" if row.bits is None else str(row.bits),
            row.reset or "",
        )
        for row in found.layers
    ]
    said = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    table = terminal.plain_table(
        [columns[i] for i in said],
        [[row[i] for i in said] for row in rows],
        right=("neurons", "parameters", "bits"),
    )
    told = [f"{key}: {value}" for key, value in found.facts.items()]
    if found.missing:
        told.append(f"not said: {', '.join(found.missing)}")
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for target in found.targets:
        verdict = {None: "cannot say", True: "takes it", False: "refuses it"}[target.takes]
        alike.setdefault((verdict, target.why_not), []).append(target.target)
    for (verdict, why_not), names in alike.items():
        told.append(f"{', '.join(names)}: {verdict}")
        told += [f"  {reason}" for reason in why_not[:8]]
    head = f"{found.path}: {found.kind}"
    lines = [visible(head), terminal.to_text(table), *(visible(line, "\n") for line in told)]
    return "\n".join(lines)
