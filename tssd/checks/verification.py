"""Bundle x samples x engines -> Evaluation: every contract that can be checked from a bundle."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tssd.calibration.comparing.histogram import Histogram
from tssd.calibration.comparing.spread import float_weights, integer_weights
from tssd.calibration.int_network import Activity, Runner
from tssd.calibration.simulate import check_loops, reference
from tssd.chain.entering import folded_network
from tssd.chain.samples import Samples, bundle_samples
from tssd.checks import reporting
from tssd.checks.engines import engines_of
from tssd.checks.evaluation import Evaluation, FloatSide, accuracy, compare_engines, wilson
from tssd.checks.measured import read_log
from tssd.contracts import FOLDED_SLOTS, OWN_MODULE, Contract, check, not_run
from tssd.errors import NetworkError
from tssd.export.bundle.folder import Bundle, check_golden, read_bundle
from tssd.export.nir.integers.roundtrip import check_file
from tssd.hw_targets.engine import Setting, look, missing_modules, start
from tssd.hw_targets.engines import engine_names, find_engine
from tssd.optional import install_line
from tssd.report.behaviour.by_layer import ByLayer
from tssd.report.behaviour.distributions import membrane_distributions, weight_distributions
from tssd.report.behaviour.model import MOST_COMPARED, Behaviour
from tssd.report.behaviour.observe import (
    Course,
    LayerEvents,
    agreement,
    all_layer_events,
    answers,
    course,
    layer_events,
    over_time,
)
from tssd.report.making.keeping import keep
from tssd.report.model import STAGES, Report
from tssd.report.store import found_report, write_report
from tssd.train.handover.float_file import FLOAT_FILE


@dataclass(frozen=True)
class VerifyOptions:
    """``engines`` to hold against the integer definition, on the first ``samples`` test samples."""

    engines: tuple[str, ...] = ("gpu",)
    samples: int = 64
    device: str = "cpu"
    data: Path | None = None
    measured: Path | None = None


def verify(
    folder: Path,
    options: VerifyOptions,
    on_batch: Callable[[int], None] = lambda done: None,
    samples: Samples | None = None,
) -> Report:
    """Evaluate the bundle in *folder*, on *samples* or those that *options* name, and leave the
    report in ``report/``.

    What other engines found before on the same samples stays in it.
    """
    bundle = read_bundle(folder)
    samples = samples or bundle_samples(bundle, options.samples, options.data)
    evaluation = evaluate(bundle, options, samples, on_batch)
    line = command_line(folder, options)
    report = reporting.build(bundle, evaluation, options.device, line, samples)
    if any(find_engine(name).cycles for name in options.engines):
        report = reporting.with_cycles(report, bundle, samples.inputs, line)
    if any(find_engine(name).footprint for name in options.engines):
        report = reporting.with_footprint(report, bundle, samples.inputs)
    report = keep(report, found_report(folder))
    if options.measured is not None:
        report = reporting.with_measured(report, read_log(options.measured), line)
    write_report(folder, report)
    return report


def evaluate(
    bundle: Bundle,
    options: VerifyOptions,
    samples: Samples,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Run the definition, the float network and every engine; all contracts of the bundle."""
    engines, missing = engines_of(bundle, options.engines, options.device)
    rows = [*_recorded(bundle), *check_file(bundle.network, bundle.file("network.nir"))]
    if bundle.golden is not None:
        rows += [_summary("golden answers", check_golden(bundle, _quick(bundle)))]
    courses: list[Course] = []
    events: list[LayerEvents] = []

    def watch(first: int, activity: Activity) -> None:
        part = None
        if samples.labels is not None:
            part = samples.labels[first : first + len(activity.readout)]
        courses.append(course(bundle.network, activity, part))
        if first < MOST_COMPARED:
            events.append(layer_events(bundle.network, activity))

    tallies, compared = compare_engines(
        bundle.network, samples.inputs, engines, on_batch, _stand_in(bundle, options), watch
    )
    found = {name: accuracy(tallied, samples.labels) for name, tallied in tallies.items()}
    layers = all_layer_events(events)
    side = _float_side(bundle, samples, options, layers)
    found |= side.accuracy
    return Evaluation(
        samples.inputs.samples,
        bundle.network.time_steps,
        {name: found.get(name) for name in (*STAGES, *engine_names())},
        tallies,
        _by_layer(bundle, side, layers),
        (*rows, *side.contracts, *compared, *missing),
        samples.notes,
        {name: wilson(x, samples.inputs.samples) for name, x in found.items() if x is not None},
        Behaviour(
            over_time=over_time(bundle.network, courses),
            answers=answers(samples.labels, tallies["integer"].classes(), side.classes),
            divergence=side.divergence,
            compared=side.compared,
            agreement=agreement(tallies["integer"].classes(), side.folded_classes),
        ),
    )


def _by_layer(bundle: Bundle, side: FloatSide, layers: LayerEvents) -> ByLayer:
    """What the float networks tell of each layer, and what its integers did."""
    return replace(
        side.layers,
        saturated=layers.saturated,
        wrapped=layers.wrapped,
        weights=weight_distributions(integer_weights(bundle.network), _float_weights(bundle)),
        membranes=membrane_distributions(bundle.network, layers.membranes, side.membranes),
    )


def _float_weights(bundle: Bundle) -> dict[str, Histogram]:
    """Of the folded float network, which needs no torch; nothing where a bundle carries none."""
    if FLOAT_FILE not in bundle.manifest["files"]:
        return {}
    return float_weights(bundle.network, folded_network(bundle))


def _float_side(
    bundle: Bundle, samples: Samples, options: VerifyOptions, layers: LayerEvents
) -> FloatSide:
    """What the float networks did; where torch is not installed, a row that says so."""
    if samples.images is None or FLOAT_FILE not in bundle.manifest["files"]:
        return FloatSide()
    if missing_modules(("torch",)):
        return FloatSide(contracts=(not_run(FOLDED_SLOTS, install_line("torch")),))
    from tssd.checks.float_side import float_side

    return float_side(bundle, samples, options.device, layers.events)


def _quick(bundle: Bundle) -> Runner:
    """torch, where it is here and takes the network; else the definition itself."""
    try:
        check_loops(bundle.network)
    except NetworkError:
        return reference
    torchs = find_engine("gpu")
    return start(torchs, Setting(bundle)) if look(torchs).state == "ready" else reference


def _stand_in(bundle: Bundle, options: VerifyOptions) -> Runner | None:
    """The compiled functional engine, unless it is itself under test or cannot run here."""
    compiled = find_engine("sim")
    if compiled.name in options.engines or look(compiled).state == "missing":
        return None
    return start(compiled, Setting(bundle))


def command_line(folder: Path, options: VerifyOptions) -> str:
    """The command that does this again, beside the bundle: every option not at its default."""
    words = ["tssd", "verify", folder.resolve().name, "--against", ",".join(options.engines)]
    words += ["--samples", str(options.samples)]
    words += [] if options.device == "cpu" else ["--device", options.device]
    for name, path in (("--data", options.data), ("--measured", options.measured)):
        words += [] if path is None else [name, str(path)]
    return shlex.join(words)


def _recorded(bundle: Bundle) -> list[Contract]:
    """What only the export could check (a user's module, the network with its heads), as it was
    found there."""
    rows = [Contract(**row) for row in bundle.manifest.get("contracts", [])]
    return [r for r in rows if r.name.startswith(OWN_MODULE) or r.name == "SpikingNet -> stripped"]


def _summary(name: str, rows: list[Contract]) -> Contract:
    """Many rows as one: the first failure, or how many hold."""
    failed = [row for row in rows if row.status == "fail"]
    if failed:
        return check(
            name, False, f"{failed[0].name}: {failed[0].found}", "0 differ", failed[0].where or ""
        )
    return check(name, True, f"{len(rows)} records equal", "all equal")
