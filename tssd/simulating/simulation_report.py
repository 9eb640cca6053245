"""A run of the simulator -> the report of its bundle: when each step ended and what held it up."""

from pathlib import Path

from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run
from tssd.report.assemble import Timing
from tssd.report.model import MeshCell, Range, TimelineStep
from tssd.report.simulated import Simulated, add_simulation
from tssd.report.store import FOLDER, NAMES, read_report, write_report

PICO_PER_MICRO = 1e6


def simulated(run: Run, command: str | None = None) -> Simulated:
    """What *run* says about time, as the report takes it."""
    totals = summary.totals(run)
    static = totals.static_pj.scaled(1 / PICO_PER_MICRO)
    timing = Timing(
        us_per_step=totals.us_per_step,
        us_per_inference=run.us_per_inference,
        static_uj=Range(static.low, static.nominal, static.high),
        bottleneck=totals.bottleneck,
        timeline=tuple(
            TimelineStep(row.step, row.us, row.bottleneck, row.core) for row in summary.steps(run)
        ),
        mesh=tuple(MeshCell(row.x, row.y, row.value, row.unit) for row in summary.mesh(run)),
    )
    return Simulated(timing, summary.time_shares(run), command)


def record(bundle: Path, run: Run, command: str | None = None) -> tuple[Path, ...]:
    """Add *run* to the report in *bundle*; returns the files written, none without a report or
    for another chip than the report's."""
    if not (bundle / FOLDER / NAMES[0]).is_file():
        return ()
    report = read_report(bundle)
    if report.target != run.chip.name:
        return ()
    return write_report(bundle, add_simulation(report, simulated(run, command)))
