"""Bundle x Evaluation x chip -> Report: counts priced with the chip file, nothing guessed."""

from dataclasses import replace

from tssd.calibration.integer import IntArray
from tssd.checks.evaluation import Evaluation
from tssd.checks.measured import ENERGY, PACE, MeasuredLog, compare_log
from tssd.export.bundle.folder import PLACEMENT, Bundle
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs import bound, counters, energy
from tssd.hw_targets.engines import engine_names
from tssd.hw_targets.mapping.manual import read_placement
from tssd.hw_targets.mapping.placement import Placement
from tssd.report.assemble import Evidence, LayerCost, Timing, assemble
from tssd.report.model import (
    MEASURED,
    Constant,
    EnergyPj,
    Gpu,
    Parts,
    Provenance,
    Range,
    Report,
)
from tssd.report.simulated import BOUND_NOTE, add_simulation

PART_NAMES = ("synapse", "neuron", "spike", "noc")
USED_SECTIONS = ("time_ns", "link", "energy_pj", "power_w")  # what time and energy rest on
NOTE = (
    "Energy and time are counts multiplied by the constants below. They estimate a chip; "
    "they were not measured on one."
)


def build(
    bundle: Bundle,
    evaluation: Evaluation,
    device: str,
    command: str,
) -> Report:
    """The report of *bundle* on the chip it was placed for."""
    chip = bundled_chip(bundle.folder, bundle.manifest)
    placement = placement_of(bundle, chip)
    tallied, network = evaluation.tallies["integer"], bundle.network
    counted = counters.count(network, tallied, placement, chip)
    priced = energy.price(counted, chip)
    us_per_step = bound.us_per_step(network, tallied, counted, placement, chip)
    evidence = Evidence(
        name=bundle.folder.resolve().name,
        target=chip.name,
        network=network,
        tallies=evaluation.tallies,
        accuracy=evaluation.accuracy,
        engines=engine_names(),
        costs=_costs(counted, priced, placement),
        contracts=evaluation.contracts,
        constants=constants(chip),
        provenance=Provenance((command,), bundle.manifest["versions"], bundle.manifest["files"]),
        float_spikes=evaluation.float_spikes,
        only_quantized=evaluation.only_quantized,
        timing=_timing(chip, placement, us_per_step, counted.time_steps),
        gpu=Gpu(device=device if "gpu" in evaluation.tallies else None),
        cores=placement.cores,
        chips=placement.chips,
        dataset=bundle.manifest.get("source", {}).get("dataset"),
        label="scaled estimate" if chip.name.startswith("loihi2") else None,
        notes=(NOTE, BOUND_NOTE, *bundle.manifest.get("notes", ()), *evaluation.notes),
    )
    return assemble(evidence)


def with_cycles(report: Report, bundle: Bundle, inputs: IntArray) -> Report:
    """*report* with step times, bottlenecks and loads of a cycle simulation of *inputs*."""
    from tssd.hw_targets.sim import engine
    from tssd.simulating.simulation_report import simulated

    chip = bundled_chip(bundle.folder, bundle.manifest)
    run = engine.run(bundle.network, inputs, placement_of(bundle, chip), chip)
    return add_simulation(report, simulated(run))


def with_measured(report: Report, log: MeasuredLog) -> Report:
    """*report* with the contracts against a log from a chip."""
    spikes = {layer.name: layer.spikes["integer"] or 0 for layer in report.layers}
    total = report.totals.energy_uj_per_inference.total
    cycles = bool(report.timeline)  # else its time is a lower bound, which no chip need meet
    figures = {PACE: report.totals.us_per_step, ENERGY: None if total is None else total.nominal}
    rows = compare_log(log, spikes, report.samples, figures if cycles else {})
    layers = tuple(
        replace(layer, spikes={**layer.spikes, MEASURED: log.spikes.get(layer.name)})
        for layer in report.layers
    )
    return replace(report, layers=layers, contracts=(*report.contracts, *rows))


def placement_of(bundle: Bundle, chip: ChipSpec) -> Placement:
    """The placement that the bundle carries, held against network and chip."""
    return read_placement(bundle.file(PLACEMENT), bundle.network, chip)


def constants(chip: ChipSpec) -> tuple[Constant, ...]:
    """Every number that time and energy rest on, as the chip file has it."""
    return tuple(
        Constant(name, q.value, q.unit, q.source, q.kind.value, q.low, q.high)
        for name, q in chip.quantities()
        if name.partition(".")[0] in USED_SECTIONS
    )


def _costs(
    counted: counters.Counters, priced: energy.Energy, placement: Placement
) -> dict[str, LayerCost]:
    synops, updates = counted.synops(), counted.neuron_updates()
    messages, samples = counted.by_population("message_out"), counted.samples
    used = {name: {s.core for s in placement.of(name)} for name in counted.populations}
    return {
        name: LayerCost(
            synops=synops[name] / samples,
            neuron_updates=updates[name] / samples,
            messages=messages[name] / samples,
            energy_pj=_energy_pj(priced, name, samples),
            cores=len(cores),
            memory_bytes=sum(placement.needs[core].memory_bytes for core in cores),
        )
        for name, cores in used.items()
    }


def _energy_pj(priced: energy.Energy, name: str, samples: int) -> EnergyPj:
    whole = priced.layer(name).scaled(1 / samples)
    parts = {part: priced.layer(name, part).nominal / samples for part in PART_NAMES}
    return EnergyPj(whole.low, whole.nominal, whole.high, Parts(**parts))


def _timing(chip: ChipSpec, placement: Placement, us_per_step: float, time_steps: int) -> Timing:
    """The published lower bound from mean counts, until a simulation says more."""
    time_us, cores = us_per_step * time_steps, placement.cores
    static = energy.static_pj(chip, placement.chips, time_us, cores).scaled(1e-6)
    return Timing(
        us_per_step=us_per_step,
        us_per_inference=us_per_step * time_steps,
        static_uj=Range(static.low, static.nominal, static.high),
    )
