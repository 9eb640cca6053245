"""The chain as a column of steps: run folder -> stripped -> folded -> integers -> placed -> bundle.

Each step takes a frozen value to the next and adds its contracts; a failed contract stops the
export before anything is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from tssd.calibration.comparing import agreement
from tssd.calibration.comparing.folding import Folding, compare_folded
from tssd.calibration.comparing.kept import notes, weight_table
from tssd.calibration.comparing.levels import input_table
from tssd.calibration.encode import Encoder
from tssd.calibration.int_network import InputCoding, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.checks import alike, check_calibration
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.front_end import quantize_behind_front_end
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import Options as QuantizeOptions
from tssd.calibration.quantizing.scales import Scales, choose
from tssd.calibration.tally import Tally
from tssd.chain.bundle_writing import ExportOptions as ExportOptions
from tssd.chain.bundle_writing import Step as Step
from tssd.chain.bundle_writing import write_placed as write_placed
from tssd.chain.calibration_draw import calibration_places, unseen_classes
from tssd.chain.entering import encoder
from tssd.chain.few_bits import Quantized, as_trained, same_spikes, whole_of
from tssd.chain.for_netx import check_for_netx, exponents_note, exponents_of
from tssd.chain.own_data import data_of
from tssd.chain.placing import Placed, placed_for, placing_on, told_of
from tssd.chain.users_module import take_over_trained, trained_accuracy
from tssd.contracts import Contract, not_run, require
from tssd.errors import ConfigError, counted
from tssd.export.bundle.folder import Bundle
from tssd.export.bundle.place import check_place
from tssd.export.onnx.float_graph import onnx_float_bytes
from tssd.export.onnx.graph import onnx_bytes
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.chip.widths import precision_of
from tssd.hw_targets.gpu.engine import count
from tssd.hw_targets.mapping.fit import told_of_placement
from tssd.hw_targets.mapping.manual import read_placement
from tssd.hw_targets.mapping.placement import Placement
from tssd.train.data.data_sets import Dataset
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_file import FLOAT_FILE, to_bytes
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.loop.checkpoint import load_net
from tssd.train.loop.record import tested
from tssd.train.networks.network import SpikingNet
from tssd.train.networks.strip import strip
from tssd.train.networks.user_module import UserNet
from tssd.train.quantization.graph.network import QuantizedGraph

if TYPE_CHECKING:  # it brings the simulator along
    from tssd.hw_targets.optimising.optimise import Optimised

GOLDEN_SAMPLES = 4
PLACEMENT_SAMPLES = 64
COMPARED_SAMPLES = 256  # of those to check with


@dataclass(frozen=True, eq=False)
class Material:
    """Samples of one export: to calibrate on, to check with (``labels`` None: unknown), to record
    answers for. ``unseen``: classes of which none is among those to calibrate on."""

    calibration: ImageArray
    checked: ImageArray
    labels: IntArray | None
    golden: ImageArray
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Deployable:
    """Everything that an export decided, before it is written; ``notes``: what a user must know of
    the integers, ``weights``: a row for each projection's, ``encode``: how samples enter,
    ``placed``: what a placement for time or energy bought."""

    stripped: FloatNetwork
    network: IntNetwork
    encode: Encoder
    placement: Placement
    contracts: tuple[Contract, ...]
    notes: tuple[str, ...] = ()
    weights: tuple[Mapping[str, Any], ...] = ()
    placed: "Optimised | None" = None


def export_run(
    run: Path,
    out: Path,
    options: ExportOptions,
    *,
    data: Path | None = None,
    module: str | None = None,
    force: bool = False,
    on_step: Step = lambda text: None,
) -> Bundle:
    """The bundle of a run folder made by `tssd train`; *module*: whose code may run (load_net)."""
    check_place(out, force, (run, data, options.placement, Path(options.target)))
    on_step("strip the weak classifiers")
    net, checkpoint = load_net(run, module)
    entry = net.network.entry if isinstance(net, QuantizedGraph) else None
    dataset = data_of(checkpoint.config, data, entry=entry)
    steps = checkpoint.config.student_steps
    source = {
        "train": checkpoint.config.to_table(),
        "dataset": dataset.name,
        "run": run.resolve().name,
        "trained": tested(run),
    }
    material = _material(dataset, options)
    check_calibration(material.calibration)
    proofs: tuple[Contract, ...]
    said: tuple[str, ...] = ()
    match net:
        case UserNet():
            taken = take_over_trained(net, compared(material), steps)
            stripped, source = taken.network, source | dict(taken.told())
            proofs = (taken.agreement.contract(), trained_accuracy(net, run, dataset.val, steps))
            require(proofs)
            said = taken.notes(None)
        case QuantizedGraph():
            stripped, proofs = whole_of(net, steps), ()
        case SpikingNet():
            stripped = strip(net, dataset.train.images[:8], steps)
            proofs = (Contract("SpikingNet -> stripped", "pass", "bit-equal", "bit-equal logits"),)
        case _:
            assert_never(net)
    if isinstance(net, Quantized):
        widths = options.weight_bits or dict(options.quantize.layer_bits) or None
        options = replace(options, quantize=as_trained(net, options.quantize, widths))
        precision = precision_of(load_chip(options.target))
        proofs += (same_spikes(net, dataset.val.images, steps, precision),)
    deployable = deploy(stripped, material, options, on_step, proofs)
    return write(
        deployable, material, out, options, source, notes=said, force=force, on_step=on_step
    )


def deploy(
    stripped: FloatNetwork,
    material: Material,
    options: ExportOptions,
    on_step: Step = lambda text: None,
    contracts: tuple[Contract, ...] = (),
) -> Deployable:
    """Fold, calibrate, quantize and place; raises ContractError where a hand-over fails."""
    chip = load_chip(options.target)
    precision = precision_of(chip, options.weight_bits, options.quantize.layer_bits)
    choices = quantizing(chip, options)
    on_step("fold normalisation and pooling")
    folded = align(fold(stripped, options.pooling), precision.delay_max)
    folding = compare_folded(stripped, folded, material.checked, device=options.device)
    contracts += folding.contracts(material.labels)
    on_step("calibrate and quantize")
    exponents = exponents_of(folded, choices, options.for_netx)
    choices = replace(choices, exponents=exponents)
    network, scales = _integers(folded, material, precision, choices)
    if options.for_netx:
        check_for_netx(network)
    enter = encoder(network, lambda: folded)
    counted_on = _counted(network, material.checked, enter, options)
    contracts += (accuracy_contract(folding, counted_on, material, options),)
    require(contracts)
    on_step(placing_on(options.target, options.optimise))
    placement, placed = _place(network, chip, material.calibration, enter, options)
    told, weights = (
        (
            *notes(network, scales, folding.events, counted_on),
            *exponents_note(network),
            *unseen_note(material),
        ),
        weight_table(network, scales),
    )
    return Deployable(stripped, network, enter, placement, contracts, told, weights, placed)


def quantizing(chip: ChipSpec, options: ExportOptions) -> QuantizeOptions:
    """The choices of quantization for *chip*: spikes where they cannot carry a payload."""
    asked, binary = options.input_coding, chip.bits.payload.count == 0
    if binary and asked is not None and asked.graded:
        raise ConfigError(
            "--input graded",
            found=f"chip {chip.name}, whose spikes carry no payload",
            allowed="spikes, bias or auto",
        )
    coding = InputCoding.SPIKES if binary and asked is None else asked
    return replace(options.quantize, input_coding=coding or options.quantize.input_coding)


def _integers(
    folded: FloatNetwork, material: Material, precision: Precision, options: QuantizeOptions
) -> tuple[IntNetwork, Scales]:
    """The integer network; with input as bias, the one behind the first layer."""
    observation = observe(folded, material.calibration)
    asked = options.input_coding
    if asked is not None and asked.as_bias:
        _, behind, scales = quantize_behind_front_end(folded, precision, observation, options)
        return behind, scales
    scales = choose(folded, observation, precision, options)
    return apply(folded, scales), scales


def write(
    deployable: Deployable,
    material: Material,
    out: Path,
    options: ExportOptions,
    source: Mapping[str, Any],
    *,
    notes: tuple[str, ...] = (),
    force: bool = False,
    on_step: Step = lambda text: None,
) -> Bundle:
    """Write the bundle folder, with golden answers for a few samples; ``notes`` are told by every
    report."""
    on_step("write the bundle")
    network = deployable.network
    laid_out = told_of_placement(network, load_chip(options.target), deployable.placement)
    return write_placed(
        network,
        deployable.placement,
        deployable.encode(material.golden),
        out,
        options,
        about={
            "source": dict(source),
            "options": _table(options),
            "contracts": [vars(contract) for contract in deployable.contracts],
            "input": input_table(network, deployable.stripped),
            "weights": [dict(row) for row in deployable.weights],
            **told_of(deployable.placed, (*notes, *deployable.notes), laid_out),
        },
        files={
            FLOAT_FILE: to_bytes(deployable.stripped),
            **onnx_bytes(network),
            **(onnx_float_bytes(deployable.stripped) if options.onnx == "float" else {}),
        },
        force=force,
    )


def accuracy_contract(
    folding: Folding, tally: Tally, material: Material, options: ExportOptions
) -> Contract:
    """FloatNetwork -> IntNetwork on the checked samples (``agreement.accuracy_contract``)."""
    wanted = material.labels
    if wanted is None:
        return not_run("FloatNetwork -> IntNetwork: accuracy", "the samples have no labels")
    found = tally.classes() == wanted
    return agreement.accuracy_contract(folding.after == wanted, found, options.tolerance_points)


def compared(material: Material) -> ImageArray:
    """The samples on which a user's module is compared with its network."""
    parts = (material.calibration, material.checked[:COMPARED_SAMPLES])
    return np.concatenate(parts)


def _material(dataset: Dataset, options: ExportOptions) -> Material:
    checked = dataset.val.first(options.check_samples)
    drawn = calibration_places(dataset, options.calibration_samples, options.seed)
    return Material(
        dataset.train.images[drawn],
        checked.images[:],
        checked.labels,
        dataset.test.images[:GOLDEN_SAMPLES],
        unseen_classes(dataset.classes, dataset.train.labels[drawn]),
    )


def unseen_note(material: Material) -> tuple[str, ...]:
    """That the samples are all alike, or that some class chose no scale."""
    if same := alike(material.calibration):
        return (f"calibration: {same}, so that scales are those of that one",)
    if not material.unseen:
        return ()
    count = counted(len(material.calibration), "calibration sample")
    names = ", ".join(material.unseen)
    return (f"{count}, none of class {names}: --calibration-samples takes more",)


def _place(
    network: IntNetwork, chip: ChipSpec, samples: Any, enter: Encoder, options: ExportOptions
) -> Placed:
    if options.placement is not None:
        return read_placement(options.placement, network, chip), None
    shown = samples[:PLACEMENT_SAMPLES]
    traffic = _counted(network, shown, enter, options)
    return placed_for(
        options.optimise, network, chip, traffic, lambda: enter(shown), options.seed, options.layout
    )


def _counted(
    network: IntNetwork, images: ImageArray, enter: Encoder, options: ExportOptions
) -> Tally:
    return count(network, images, device=options.device, encoder=enter)


def _table(options: ExportOptions) -> dict[str, Any]:
    """Options as plain values, those of quantization as they were decided; a placement file is
    named, not located."""
    own = ("quantize", "placement", "layout", "device", "command")
    table = {k: v for k, v in vars(options).items() if k not in own}
    chosen = vars(options.quantize)
    if options.quantize.given is None:
        precision = precision_of(load_chip(options.target), options.weight_bits)
        chosen = chosen | vars(options.quantize.decided(precision))
    table["quantize"] = {k: str(v) for k, v in chosen.items()}
    table["placement"] = options.placement.name if options.placement else None
    table["target"] = Path(options.target).name
    table |= options.layout.to_table()
    return table
