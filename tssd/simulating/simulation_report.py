"""A run of the simulator -> the report of its bundle: when each step ended and what held it up."""

from dataclasses import dataclass, replace
from pathlib import Path

from tssd.calibration.encode import Inputs
from tssd.calibration.integer import IntArray
from tssd.chain.samples import samples_hash
from tssd.errors import ConfigError
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run
from tssd.report.energies import Range
from tssd.report.making.assemble import Times
from tssd.report.making.costs import energy_trust, in_uj, layer_costs, stepping
from tssd.report.making.simulated import Simulated, add_simulation
from tssd.report.model import MeshCell, Report, TimelineStep
from tssd.report.store import FOLDER, NAMES, read_report, write_report
from tssd.simulating.simulation import ReadySimulation

PICO_PER_MICRO = 1e6


@dataclass(frozen=True)
class Recorded:
    """What became of a run: the files of the report that it entered, or why it did not."""

    files: tuple[Path, ...] = ()
    why_not: str | None = None


def simulated(run: Run, command: str | None = None, others: str | None = None) -> Simulated:
    """What *run* says about time and costs, as the report takes it."""
    totals = summary.totals(run)
    static = None if totals.static_pj is None else totals.static_pj.scaled(1 / PICO_PER_MICRO)
    times = Times(
        timing=run.timing.mode,
        latency_us=totals.latency_us,
        us_per_step=totals.us_per_step,
        inferences_per_s=totals.inferences_per_s,
        static_uj=None if static is None else Range(static.low, static.nominal, static.high),
        stepping_uj=stepping(run.chip, run.placement.chips, run.us_per_inference),
        trust=energy_trust(run.counters, run.chip, run.placement.chips, run.us_per_inference),
        promised=in_uj(totals.promised),
        bottleneck=totals.bottleneck,
        timeline=tuple(
            TimelineStep(row.step, row.us, row.bottleneck, row.core) for row in summary.steps(run)
        ),
        mesh=tuple(MeshCell(row.x, row.y, row.value, row.unit) for row in summary.mesh(run)),
    )
    costs = layer_costs(run.counters, run.placement, run.chip)
    return Simulated(times, summary.time_shares(run), costs, command, others)


def enter(ready: ReadySimulation, run: Run, asked: bool) -> Recorded:
    """Bring a run of the bundle's own placement into its report, where it belongs there."""
    request, samples = ready.request, ready.samples
    if samples is None or request.placement is not None:
        option = "--spikes" if samples is None else "--placement"
        if asked:
            raise ConfigError("--into-report", found=f"{option} too", allowed="one of them")
        return Recorded()
    own = replace(request, bundle=Path(ready.bundle.folder.resolve().name))
    line = own.command + (" --into-report" if asked else "")
    return record(request.bundle, run, samples.inputs, samples.shown, line, asked)


def record(
    bundle: Path,
    run: Run,
    inputs: IntArray | Inputs,
    shown: str,
    command: str | None = None,
    asked: bool = False,
) -> Recorded:
    """Add *run* of *inputs* (in words: *shown*) to the report in *bundle*, if it belongs there.

    It does if the chip's numbers and the samples are the report's own, and it is no bound where
    cycles stand. Other samples enter only if *asked* for, and the report says so.
    """
    if not (bundle / FOLDER / NAMES[0]).is_file():
        return Recorded()
    report = read_report(bundle)
    same = report.provenance.inputs == samples_hash(inputs)
    why_not = _foreign(report, run) or (None if same or asked else _other_samples(report, shown))
    if why_not is not None:
        return Recorded(why_not=why_not)
    added = add_simulation(report, simulated(run, command, None if same else shown))
    return Recorded(write_report(bundle, added))


def _foreign(report: Report, run: Run) -> str | None:
    """Why *run* can in no case enter *report*."""
    if report.provenance.chip != fingerprint(run.chip):
        return f"the numbers of this chip are not those of {report.target} in it"
    if run.host:
        return "its times are with the host's I/O, which a report leaves out"
    if run.timing.mode == "bound" and report.totals.timing == "cycle":
        return "it has times by cycles, which a lower bound does not replace"
    return None


def _other_samples(report: Report, shown: str) -> str:
    return f"it is about other samples ({report.shown or 'not recorded'}) than these ({shown})"
