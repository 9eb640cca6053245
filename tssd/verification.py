"""Bundle x samples x engines -> Evaluation: every contract that can be checked from a bundle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd import reporting
from tssd.calibration import agreement
from tssd.calibration.encode import encode
from tssd.calibration.fold import align, fold
from tssd.calibration.int_network import Activity, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.sensitivity import accuracy_if_only_this_layer_is_quantized
from tssd.calibration.simulate import reference
from tssd.config import unknown_name
from tssd.contracts import Contract, check
from tssd.errors import DataError
from tssd.evaluation import Engine, EngineUnderTest, Evaluation, accuracy, compare_engines
from tssd.export.bundle import Bundle, check_golden, read_bundle
from tssd.export.roundtrip import check_file
from tssd.float_file import FLOAT_FILE
from tssd.float_file import read as read_float
from tssd.measured import read_log
from tssd.report.model import Report
from tssd.report.store import write_report
from tssd.train.data import load
from tssd.train.float_run import FloatActivity, ImageArray
from tssd.train.float_run import run as run_float
from tssd.user_samples import load_samples as load_user_samples

ACCURACY_NAMES = ("float", "folded", "integer", "gpu", "onnx", "lava", "sim")


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


def verify(
    folder: Path, options: VerifyOptions, on_batch: Callable[[int], None] = lambda done: None
) -> Report:
    """Evaluate the bundle in *folder* and leave the report in ``report/``."""
    bundle = read_bundle(folder)
    samples = load_samples(bundle, options)
    evaluation = evaluate(bundle, options, samples, on_batch)
    report = reporting.build(bundle, evaluation, options.device, _command(folder, options))
    if "sim" in options.engines:
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
    engines = tuple(engine(name, options.device) for name in options.engines)
    rows = [*_recorded(bundle), *check_file(bundle.network, bundle.file("network.nir"))]
    if bundle.golden is not None:
        rows += [_summary("golden answers", check_golden(bundle, _golden_engine(bundle)))]
    tallies, compared = compare_engines(bundle.network, samples.inputs, engines, on_batch)
    found = {name: accuracy(tallied, samples.labels) for name, tallied in tallies.items()}
    side = NOTHING_FLOAT
    if samples.images is not None and FLOAT_FILE in bundle.manifest["files"]:
        side = _float_side(bundle, samples.images, samples.labels, options)
    found |= side.accuracy
    return Evaluation(
        samples.inputs.shape[1],
        bundle.network.time_steps,
        {name: found.get(name) for name in ACCURACY_NAMES},
        tallies,
        side.spikes,
        (*rows, *side.contracts, *compared),
        side.only_quantized,
    )


def _golden_engine(bundle: Bundle) -> Engine:
    """The fast engine; the definition where that cannot run."""
    network = bundle.network
    recurrent = any(network.is_recurrent(j) for j in network.projections)
    return reference if recurrent else engine("gpu", "cpu").run


def _command(folder: Path, options: VerifyOptions) -> str:
    engines = ",".join(options.engines)
    return f"tssd verify {folder.name} --against {engines} --samples {options.samples}"


def engine(name: str, device: str) -> EngineUnderTest:
    """The engine called *name*; its module is imported only here."""
    if name == "gpu":
        from tssd.hw_targets.gpu import engine as gpu

        def run(network: IntNetwork, inputs: IntArray) -> Activity:
            return gpu.run(network, inputs, device=device, states=True)

        return EngineUnderTest("gpu", run, ("spikes", "u", "v"))
    if name == "onnx":
        from tssd.hw_targets.onnx import engine as onnx

        def run_onnx(network: IntNetwork, inputs: IntArray) -> Activity:
            return onnx.run(network, inputs, trace=True)

        return EngineUnderTest("onnx", run_onnx, ("spikes", "u", "v"))
    if name == "lava":
        from tssd.hw_targets.lava import engine as lava

        return EngineUnderTest("lava", lava.run, ("spikes", "u", "v"))
    if name == "sim":
        from tssd.hw_targets.sim import functional
        from tssd.hw_targets.sim.program import prepare

        def run_sim(network: IntNetwork, inputs: IntArray) -> Activity:
            program = prepare(network)
            return functional.activity(network, functional.simulate(program, inputs, record=True))

        return EngineUnderTest("sim", run_sim, ("spikes", "u", "v"))
    raise unknown_name("--against", f"engine {name!r}", name, ("gpu", "onnx", "lava", "sim"))


def load_samples(bundle: Bundle, options: VerifyOptions) -> Samples:
    """The first test samples of the bundle's data set, or of the user's file; its golden inputs
    without either."""
    name, count = bundle.manifest.get("source", {}).get("dataset"), options.samples
    if name is not None:
        split = load(name, options.data).test
        return _samples(bundle, split.images[:count], split.labels[:count])
    if options.data is not None:
        found = load_user_samples(options.data, bundle.network.source.shape)
        labels = None if found.labels is None else found.labels[:count]
        return _samples(bundle, found.images[:count], labels)
    return Samples(check_has_golden(bundle)[:, :count], None, None)


def _samples(bundle: Bundle, images: ImageArray, labels: IntArray | None) -> Samples:
    return Samples(encode(bundle.network, images), images, labels)


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
    folded = align(fold(stripped, bundle.manifest["options"]["pooling"]))
    activity = run_float(folded, images, device=options.device)
    contracts = agreement.fold_contracts(stripped, folded, images, labels)
    spikes = _totals(activity, bundle.network)
    if labels is None:
        return _FloatSide(spikes, {}, contracts, {})
    before = run_float(stripped, images, device=options.device).classes() == labels
    alone = accuracy_if_only_this_layer_is_quantized(folded, bundle.network, images, labels)
    return _FloatSide(
        spikes,
        {"float": float(before.mean()), "folded": float(np.mean(activity.classes() == labels))},
        contracts,
        {name: percent / 100 for name, percent in alone.items()},
    )


def _totals(activity: FloatActivity, network: IntNetwork) -> dict[str, int]:
    return {
        p.name: activity.spike_total(p.name)
        for p in network.populations
        if p.name in activity.events
    }


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
