"""Bundle x samples x engines -> Evaluation: every contract that can be checked from a bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tssd.calibration.comparing import agreement
from tssd.calibration.comparing.sensitivity import accuracy_if_only_this_layer_is_quantized
from tssd.calibration.int_network import IntNetwork, Runner
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import check_loops, reference
from tssd.chain.entering import encoder_of, entry_of, folded_network, sample_shape
from tssd.chain.own_data import data_of
from tssd.chain.user_samples import load_samples as load_user_samples
from tssd.checks import reporting
from tssd.checks.engines import engines_of
from tssd.checks.evaluation import Evaluation, accuracy, compare_engines
from tssd.checks.measured import read_log
from tssd.contracts import Contract, check
from tssd.errors import DataError, NetworkError
from tssd.export.bundle.folder import Bundle, check_golden, read_bundle
from tssd.export.nir.integers.roundtrip import check_file
from tssd.hw_targets.engines import engine_names, find_engine
from tssd.report.model import STAGES, Report
from tssd.report.store import write_report
from tssd.train.config import TrainConfig, configure
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


@dataclass(frozen=True, eq=False)
class Samples:
    """What an evaluation runs on: inputs (T, B, *shape), images and labels where known."""

    inputs: IntArray
    images: ImageArray | None
    labels: IntArray | None
    notes: tuple[str, ...] = ()


def verify(
    folder: Path, options: VerifyOptions, on_batch: Callable[[int], None] = lambda done: None
) -> Report:
    """Evaluate the bundle in *folder* and leave the report in ``report/``."""
    bundle = read_bundle(folder)
    samples = load_samples(bundle, options)
    evaluation = evaluate(bundle, options, samples, on_batch)
    report = reporting.build(bundle, evaluation, options.device, _command(folder, options))
    if any(find_engine(name).cycles for name in options.engines):
        report = reporting.with_cycles(report, bundle, samples.inputs)
    if options.measured is not None:
        report = reporting.with_measured(report, read_log(options.measured))
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
    tallies, compared = compare_engines(bundle.network, samples.inputs, engines, on_batch)
    found = {name: accuracy(tallied, samples.labels) for name, tallied in tallies.items()}
    side = NOTHING_FLOAT
    if samples.images is not None and FLOAT_FILE in bundle.manifest["files"]:
        side = _float_side(bundle, samples.images, samples.labels, options)
    found |= side.accuracy
    return Evaluation(
        samples.inputs.shape[1],
        bundle.network.time_steps,
        {name: found.get(name) for name in (*STAGES, *engine_names())},
        tallies,
        side.spikes,
        (*rows, *side.contracts, *compared, *missing),
        side.only_quantized,
        samples.notes,
    )


def _quick(network: IntNetwork) -> Runner:
    """The quickest engine that runs *network*."""
    try:
        check_loops(network)
    except NetworkError:
        return reference
    from tssd.hw_targets.gpu.engine import run

    return run


def _command(folder: Path, options: VerifyOptions) -> str:
    engines = ",".join(options.engines)
    return f"tssd verify {folder.name} --against {engines} --samples {options.samples}"


def load_samples(bundle: Bundle, options: VerifyOptions) -> Samples:
    """The first test samples of the bundle's data set, or of the user's file; its golden inputs
    without either."""
    name, count = bundle.manifest.get("source", {}).get("dataset"), options.samples
    if name is not None:
        data = data_of(_trained(bundle.manifest["source"]), options.data)
        shown = data.test.first(count)
        return _samples(bundle, shown.images[:], shown.labels)
    if options.data is not None:
        found = load_user_samples(options.data, sample_shape(bundle), entry_of(bundle))
        labels = None if found.labels is None else found.labels[:count]
        return replace(_samples(bundle, found.images[:count], labels), notes=found.notes)
    return Samples(check_has_golden(bundle)[:, :count], None, None)


def _samples(bundle: Bundle, images: ImageArray, labels: IntArray | None) -> Samples:
    return Samples(encoder_of(bundle)(images), images, labels)


def _trained(source: Mapping[str, Any]) -> TrainConfig:
    """How the network was trained, which says how it sees recordings of events."""
    table = source.get("train", {})
    return configure(table.get("dataset", source["dataset"]), None, table)


def check_has_golden(bundle: Bundle) -> IntArray:
    """The golden inputs, which stand in where a bundle names no data set."""
    if bundle.golden is None:
        raise DataError(
            str(bundle.folder), found="neither a data set nor golden inputs", hint="export again"
        )
    return bundle.golden.inputs


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
    """What only the export could check (the network with its heads), as it was found there."""
    rows = [Contract(**row) for row in bundle.manifest.get("contracts", [])]
    return [row for row in rows if row.name == "SpikingNet -> stripped"]


def _summary(name: str, rows: list[Contract]) -> Contract:
    """Many rows as one: the first failure, or how many hold."""
    failed = [row for row in rows if row.status == "fail"]
    if failed:
        return check(
            name, False, f"{failed[0].name}: {failed[0].found}", "0 differ", failed[0].where or ""
        )
    return check(name, True, f"{len(rows)} records equal", "all equal")
