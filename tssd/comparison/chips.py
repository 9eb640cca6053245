"""One bundle on several chips: each simulated on the same samples."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tssd.chain.samples import samples_hash
from tssd.checks.evaluation import accuracy, wilson
from tssd.comparison.reading import about_of, parts_of
from tssd.comparison.subject import Estimate, LayerFigures, Subject
from tssd.errors import TargetError
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.chip.fingerprint import fingerprint
from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.energy import EnergyRange
from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run
from tssd.report import words
from tssd.report.making.costs import layer_costs
from tssd.simulating.simulation import ReadySimulation, Request, prepared, simulate


def on_chips(
    requests: Sequence[Request], started: Callable[[str], None] = lambda name: None
) -> tuple[Subject, ...]:
    """The subjects that *requests* simulate; a chip that cannot take a network is a subject without
    figures that says why. A chip that does not exist raises before any runs."""
    chips = {chip: load_chip(chip) for chip in dict.fromkeys(r.chip for r in requests) if chip}
    out = []
    for request in requests:
        started(_name(request))
        try:
            ready = prepared(request)
        except TargetError as error:
            chip = chips[request.chip or ""]
            out.append(_refused(request, chip, str(error)))
            continue
        out.append(of_run(ready, simulate(ready)))
    return tuple(out)


def _refused(request: Request, chip: ChipSpec, error: str) -> Subject:
    why = " ".join(error.split("\n  try:")[0].split())
    about = about_of(None, words.NOT_RUN, chip.name, fingerprint(chip), None, None)
    return Subject(_name(request), str(request.bundle), about, {}, (), (why,))


def requests_of(
    bundles: Sequence[Path], chips: Sequence[str], samples: int | None, data: Path | None
) -> list[Request]:
    """Every bundle on every chip."""
    return [Request(b, samples, data=data, chip=chip) for b in bundles for chip in chips]


def of_run(ready: ReadySimulation, run: Run) -> Subject:
    """The figures of a simulated run of *ready*."""
    assert ready.samples is not None  # a comparison gives no record of spikes
    total, tallied, samples = summary.totals(run), run.tally, run.tally.samples
    costs = layer_costs(run.counters, run.placement, run.chip)
    right = accuracy(tallied, ready.samples.labels)
    between = None if right is None else wilson(right, samples)
    rows = summary.layers(run)
    found = {
        "accuracy": between and right is not None and Estimate(right, between.low, between.high),
        "spikes": Estimate(sum(row.spikes for row in rows)),
        "synops": Estimate(sum(row.synops for row in rows)),
        "dynamic_pj": _energy(total.dynamic_pj, getattr(total.promised, "dynamic", None)),
        "total_pj": _energy(
            _sum(total.dynamic_pj, total.static_pj), getattr(total.promised, "total", None)
        ),
        "latency_us": Estimate(total.latency_us) if total.latency_us is not None else None,
        "inferences_per_s": Estimate(total.inferences_per_s),
        "cores": Estimate(total.cores),
        "memory_bytes": Estimate(sum(cost.memory_bytes or 0 for cost in costs.values())),
    }
    layers = tuple(
        LayerFigures(
            row.name,
            {
                "spikes": row.spikes,
                "synops": row.synops,
                "cores": row.cores,
                "memory_bytes": costs[row.name].memory_bytes or 0,
            }
            | ({} if row.energy_pj is None else {"dynamic_pj": row.energy_pj.nominal})
            | parts_of(costs[row.name].energy_pj),
        )
        for row in rows
    )
    about = about_of(
        samples_hash(ready.samples.inputs),
        ready.samples.shown,
        run.chip.name,
        fingerprint(run.chip),
        ready.bundle.network.time_steps,
        run.timing.mode,
    )
    figures = {key: value for key, value in found.items() if value}
    return Subject(_name(ready.request), str(ready.bundle.folder), about, figures, layers)


def _sum(a: EnergyRange | None, b: EnergyRange | None) -> EnergyRange | None:
    return None if a is None or b is None else a + b


def _energy(pj: EnergyRange | None, promised: EnergyRange | None) -> Estimate | None:
    """The nominal energy, in the interval that the chip file's fits promise; None if unknown."""
    if pj is None:
        return None
    return Estimate(pj.nominal, *(() if promised is None else (promised.low, promised.high)))


def _name(request: Request) -> str:
    return f"{request.bundle.resolve().name} on {request.chip}"
