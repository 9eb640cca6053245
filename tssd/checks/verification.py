"""Bundle x samples x engines -> Evaluation: every contract that can be checked from a bundle."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.calibration.comparing import agreement
from tssd.calibration.comparing.sensitivity import accuracy_if_only_this_layer_is_quantized
from tssd.calibration.int_network import IntNetwork, Runner
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_loops, reference
from tssd.chain.entering import folded_network
from tssd.chain.samples import Samples, bundle_samples
from tssd.checks import reporting
from tssd.checks.engines import engines_of
from tssd.checks.evaluation import Evaluation, accuracy, compare_engines, wilson
from tssd.checks.measured import read_log
from tssd.contracts import OWN_MODULE, Contract, check
from tssd.errors import NetworkError
from tssd.export.bundle.folder import Bundle, check_golden, read_bundle
from tssd.export.nir.integers.roundtrip import check_file
from tssd.hw_targets.engine import Setting, look, start
from tssd.hw_targets.engines import engine_names, find_engine
from tssd.report.keeping import keep
from tssd.report.model import STAGES, Report
from tssd.report.store import found_report, write_report
from tssd.train.handover.float_file import FLOAT_FILE
from tssd.train.handover.float_file import read as read_float
from tssd.train.handover.float_run import ImageArray


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
        rows += [_summary("golden answers", check_golden(bundle, _quick(bundle.network)))]
    tallies, compared = compare_engines(
        bundle.network, samples.inputs, engines, on_batch, _stand_in(bundle, options)
    )
    found = {name: accuracy(tallied, samples.labels) for name, tallied in tallies.items()}
    side = NOTHING_FLOAT
    if samples.images is not None and FLOAT_FILE in bundle.manifest["files"]:
        side = _float_side(bundle, samples.images, samples.labels, options)
    found |= side.accuracy
    return Evaluation(
        samples.inputs.samples,
        bundle.network.time_steps,
        {name: found.get(name) for name in (*STAGES, *engine_names())},
        tallies,
        side.spikes,
        (*rows, *side.contracts, *compared, *missing),
        side.only_quantized,
        samples.notes,
        {name: wilson(x, samples.inputs.samples) for name, x in found.items() if x is not None},
    )


def _quick(network: IntNetwork) -> Runner:
    """The quickest engine that runs *network*."""
    try:
        check_loops(network)
    except NetworkError:
        return reference
    from tssd.hw_targets.gpu.engine import run

    return run


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


@dataclass(frozen=True)
class _FloatSide:
    """What the float networks did on the same samples; empty where a bundle carries none."""

    spikes: Mapping[str, int] | None
    accuracy: Mapping[str, float]
    contracts: tuple[Contract, ...]
    only_quantized: Mapping[str, float]


NOTHING_FLOAT = _FloatSide(None, {}, (), {})


def _float_side(
    bundle: Bundle, images: ImageArray, labels: IntArray | None, options: VerifyOptions
) -> _FloatSide:
    """The stripped and the folded float network, and each layer's integers alone in it."""
    stripped = read_float(bundle.file(FLOAT_FILE))
    folded = folded_network(bundle)
    folding = agreement.compare_folded(stripped, folded, images, device=options.device)
    contracts = folding.contracts(labels)
    names = {p.name for p in bundle.network.populations}
    spikes = {name: total for name, total in folding.events.items() if name in names}
    if labels is None:
        return _FloatSide(spikes, {}, contracts, {})
    found = {"float": folding.before, "folded": folding.after}
    alone = accuracy_if_only_this_layer_is_quantized(folded, bundle.network, images, labels)
    return _FloatSide(
        spikes,
        {name: float(np.mean(classes == labels)) for name, classes in found.items()},
        contracts,
        {name: percent / 100 for name, percent in alone.items()},
    )


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
