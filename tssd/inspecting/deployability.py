"""Whether each target would take a network, and everything that is in the way.

Integers are judged as they are. A graph of floats is converted and quantized as `tssd import` does,
but on a silent sample in place of calibration: its weights at the largest scale that clips none.
That settles shapes, cores, memory, loops and biases; how well it computes takes real samples.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.errors import NetworkError, TssdError
from tssd.export.netx.write import check_netx
from tssd.export.nir.graphs.graph import Graph, Node, by_distance
from tssd.export.nir.graphs.profiles import Answers, SteppingRule, resolve
from tssd.hw_targets.chip.chips import chip_names, load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.mapping.fit import fit
from tssd.train.handover.float_network import FloatNetwork

NETX, ONNX = "netx (lava-dl)", "onnx"
MOST_VALUES = 1 << 22  # of a step, all nodes together
TIME_STEPS = 16  # of the silent run: the default of `tssd import`


@dataclass(frozen=True)
class TargetRow:
    """``takes`` None: not known before the file or the user says more."""

    target: str
    takes: bool | None
    why_not: tuple[str, ...] = ()


def of_integers(network: IntNetwork) -> tuple[TargetRow, ...]:
    """Every chip file, and the formats that can say less than we can."""
    chips = [_on_chip(network, name, load_chip(name)) for name in sorted(chip_names())]
    return (*chips, *_formats(network))


def of_graph(
    graph: Graph, answers: Answers, missing: tuple[str, ...] = ()
) -> tuple[TargetRow, ...]:
    """The same for a NIR graph; *missing*: what neither file nor *answers* say of its time."""
    chips = {name: load_chip(name) for name in sorted(chip_names())}
    unknown = _unsettled(graph, missing)
    if unknown:
        return tuple(TargetRow(name, None, (unknown,)) for name in (*chips, NETX, ONNX))
    folded = _converted(graph, resolve(graph, answers))
    networks = {name: _silently_quantized(folded, chip) for name, chip in chips.items()}
    rows = []
    for name, found in networks.items():
        if isinstance(found, str):
            rows.append(TargetRow(name, False, (found,)))
        else:
            rows.append(_on_chip(found, name, chips[name]))
    first = next((x for x in networks.values() if isinstance(x, IntNetwork)), None)
    if first is not None:
        return (*rows, *_formats(first))
    reasons = rows[0].why_not
    return (*rows, TargetRow(NETX, False, reasons), TargetRow(ONNX, False, reasons))


def _unsettled(graph: Graph, missing: tuple[str, ...]) -> str:
    """Why nothing can be said here, or nothing."""
    if missing:
        return f"depends on {', '.join(missing)}: name the --profile of its maker, or say them"
    if values_per_step(graph) > MOST_VALUES:
        return f"more than {MOST_VALUES:,} values a step are not tried here: tssd import does"
    return ""


def values_per_step(graph: Graph) -> int:
    """How many numbers all nodes together give in a step, reckoned from shapes alone."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name in by_distance(graph):
        before = next((shapes[s] for s in graph.sources(name) if s in shapes), ())
        shapes[name] = _shape_after(graph.nodes[name], before)
    return sum(math.prod(shape) for shape in shapes.values())


def _shape_after(node: Node, before: tuple[int, ...]) -> tuple[int, ...]:
    p = node.params
    if node.type == "Input":
        return tuple(p["shape"])
    if node.type in ("Affine", "Linear"):
        return (*before[:-1], len(p["weight"]))
    if node.type == "Flatten":
        return (math.prod(before),)
    if node.type not in ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d"):
        return before
    channels = len(p["weight"]) if "weight" in p else before[0] if before else 1
    padding = (0,) if isinstance(p["padding"], str) else p["padding"]
    most = [n + 2 * max(padding, default=0) for n in before[1:]]
    stride = max(1, min(p["stride"], default=1))
    return (channels, *(-(-n // stride) for n in most))


def _converted(graph: Graph, rule: SteppingRule) -> FloatNetwork | str:
    """The graph as populations and projections, or why it is none."""
    from tssd.calibration.quantizing.fold import fold
    from tssd.export.nir.graphs.to_float import to_float

    try:
        return fold(to_float(graph, TIME_STEPS, rule))
    except TssdError as error:
        return str(error)


def _silently_quantized(folded: FloatNetwork | str, chip: ChipSpec) -> IntNetwork | str:
    """What `tssd import` would place on *chip*, or why it would not."""
    from tssd.calibration.quantizing.fold import align
    from tssd.calibration.quantizing.observe import observe
    from tssd.calibration.quantizing.quantize import quantize
    from tssd.calibration.quantizing.scales import Options, Search
    from tssd.chain.for_netx import exponents_of
    from tssd.chain.pipeline import ExportOptions, quantizing
    from tssd.hw_targets.chip.widths import precision_of

    if isinstance(folded, str):
        return folded
    precision = precision_of(chip)
    try:
        aligned = align(folded, precision.delay_max)
        silent = np.zeros((1, *aligned.populations[0].shape), np.uint8)
        choices = ExportOptions(quantize=Options(search=Search.MAX_ABS))
        options = quantizing(chip, choices)
        options = replace(options, exponents=exponents_of(aligned, options, for_netx=False))
        return quantize(aligned, precision, observe(aligned, silent), options)
    except TssdError as error:
        return str(error)


def _on_chip(network: IntNetwork, name: str, chip: ChipSpec) -> TargetRow:
    try:
        found = tuple(str(finding) for finding in fit(network, chip).findings)
    except TssdError as error:
        found = (str(error),)
    return TargetRow(name, not found, found)


def _formats(network: IntNetwork) -> tuple[TargetRow, TargetRow]:
    from tssd.export.onnx.graph import check

    refusals = tuple(str(finding) for finding in check_netx(network))
    netx = TargetRow(NETX, not refusals, refusals)
    try:
        check(network)
    except NetworkError as error:
        return netx, TargetRow(ONNX, False, (str(error),))
    return netx, TargetRow(ONNX, True)
