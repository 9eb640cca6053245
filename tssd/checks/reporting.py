"""Bundle x Evaluation x chip -> Report: counts priced with the chip file, nothing guessed."""

from dataclasses import replace

from tssd.calibration.encode import Inputs
from tssd.chain.samples import Samples, samples_hash
from tssd.checks.evaluation import Evaluation
from tssd.checks.measured import ENERGY, LATENCY, PACE, MeasuredLog, compare_log
from tssd.checks.origin import origin
from tssd.export.bundle.folder import PLACEMENT, Bundle
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs import bound, counters, energy
from tssd.hw_targets.costs.interval import promised
from tssd.hw_targets.engines import engine_names
from tssd.hw_targets.mapping.manual import read_placement
from tssd.hw_targets.mapping.placement import Placement
from tssd.report.behaviour.observe import chip_map
from tssd.report.energies import Range
from tssd.report.making.assemble import Evidence, Times, assemble
from tssd.report.making.costs import energy_trust, fullest, in_uj, layer_costs, stepping
from tssd.report.making.simulated import ACTIVE_NOTE, BOUND_NOTE, add_simulation, standing
from tssd.report.model import MEASURED, Constant, Gpu, Provenance, Report, TestedAccuracy

USED_SECTIONS = ("time_ns", "link", "energy_pj", "power_w")  # what time and energy rest on
COUNTED_SYNOPS, MOST_COUNTED = 10**8, 16  # under valgrind: operations, samples
NOTE = (
    "Energy and time are counts multiplied by the constants below. They estimate a chip; "
    "they were not measured on one."
)


def build(
    bundle: Bundle, evaluation: Evaluation, device: str, command: str, samples: Samples
) -> Report:
    """The report of *bundle* on the chip it was placed for; *command* made the evaluation."""
    chip = bundled_chip(bundle.folder, bundle.manifest)
    placement = placement_of(bundle, chip)
    tallied, network = evaluation.tallies["integer"], bundle.network
    counted = counters.count(network, tallied, placement, chip)
    us_per_step = bound.us_per_step(network, tallied, counted, placement, chip)
    evidence = Evidence(
        name=bundle.folder.resolve().name,
        target=chip.name,
        network=network,
        tallies=evaluation.tallies,
        accuracy=evaluation.accuracy,
        engines=engine_names(),
        costs=layer_costs(counted, placement, chip),
        contracts=evaluation.contracts,
        constants=constants(chip),
        provenance=_provenance(bundle, evaluation, command, samples, chip),
        layers=evaluation.layers,
        times=_times(chip, placement, us_per_step, counted),
        gpu=Gpu(device=device if "gpu" in evaluation.tallies else None),
        cores=placement.cores,
        chips=placement.chips,
        cores_there=placement.chips * chip.cores,
        fullest=fullest(placement, chip),
        dataset=bundle.manifest.get("source", {}).get("dataset"),
        shown=samples.shown,
        intervals=evaluation.intervals,
        trained=trained(bundle),
        label="scaled estimate" if chip.name.startswith("loihi2") else None,
        notes=(
            *(NOTE, BOUND_NOTE, ACTIVE_NOTE),
            *bundle.manifest.get("notes", ()),
            *evaluation.notes,
        ),
        behaviour=replace(evaluation.behaviour, chip_map=chip_map(placement, chip, counted)),
    )
    return assemble(evidence)


def trained(bundle: Bundle) -> TestedAccuracy | None:
    """What training found on its whole test set, where the export knew."""
    table = bundle.manifest.get("source", {}).get("trained")
    return None if table is None else TestedAccuracy(table["accuracy"], table["samples"])


def _provenance(
    bundle: Bundle, evaluation: Evaluation, command: str, samples: Samples, chip: ChipSpec
) -> Provenance:
    """How the bundle was made, and how this evaluation of it is made again."""
    return Provenance(
        (*origin(bundle), command),
        bundle.manifest["versions"],
        bundle.manifest["files"],
        dict.fromkeys(evaluation.tallies, command),
        fingerprint(chip),
        samples_hash(samples.inputs),
    )


def with_cycles(report: Report, bundle: Bundle, inputs: Inputs, command: str) -> Report:
    """*report* with step times, bottlenecks, loads and costs of a cycle simulation of *inputs*."""
    from tssd.hw_targets.sim import engine
    from tssd.simulating.simulation_report import simulated

    chip = bundled_chip(bundle.folder, bundle.manifest)
    run = engine.run(bundle.network, inputs, placement_of(bundle, chip), chip, every_core=False)
    return add_simulation(report, simulated(run, command))


def with_footprint(report: Report, bundle: Bundle, inputs: Inputs) -> Report:
    """*report* with what the network takes as a C program, on as many of the first samples as
    valgrind counts in less than a minute or so, one at least."""
    from tssd.hw_targets.c.measure import footprint

    most = int(COUNTED_SYNOPS // max(report.totals.synops or 0, 1))
    count = min(max(most, 1), MOST_COUNTED, inputs.samples)
    return replace(report, plain_c=footprint(bundle.network, inputs.part(0, count)))


def with_measured(report: Report, log: MeasuredLog, command: str) -> Report:
    """*report* with the contracts against a log from a chip; *command* reads the log."""
    spikes = {layer.name: layer.spikes["integer"] or 0 for layer in report.layers}
    cycles = report.totals.timing == "cycle"  # no chip need meet a lower bound
    rows = compare_log(log, spikes, report.samples, _figures(report) if cycles else {})
    layers = tuple(
        replace(layer, spikes={**layer.spikes, MEASURED: log.spikes.get(layer.name)})
        for layer in report.layers
    )
    others = tuple(c for c in report.contracts if not c.name.startswith(f"{MEASURED}:"))
    return replace(
        report,
        layers=layers,
        contracts=(*others, *rows),
        provenance=standing(report, {MEASURED: command}),
    )


def _figures(report: Report) -> dict[str, float | None]:
    """The figures of the report that a log may give."""
    totals = report.totals
    energy = totals.energy_uj_per_inference.total
    return {
        LATENCY: totals.latency_us,
        PACE: totals.us_per_step,
        ENERGY: None if energy is None else energy.nominal,
    }


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


def _times(
    chip: ChipSpec, placement: Placement, us_per_step: float, counted: counters.Counters
) -> Times:
    """The published lower bound from mean counts, until a simulation says more. It says nothing
    about a latency."""
    us = us_per_step * counted.time_steps  # from one sample to the next
    static = energy.static_pj(chip, placement.chips, us, placement.cores).scaled(1e-6)
    told = Range(static.low, static.nominal, static.high) if chip.power_known else None
    return Times(
        timing="bound",
        us_per_step=us_per_step,
        inferences_per_s=1e6 / us,
        static_uj=told,
        stepping_uj=stepping(chip, placement.chips, us),
        trust=energy_trust(counted, chip, placement.chips, us),
        promised=in_uj(promised(counted, chip, placement.chips, placement.cores, us)),
    )
