"""A bundle in hand: verified, simulated, swept, traced and reported, without torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tssd.chain.samples import golden_samples, samples_of
from tssd.chain.user_samples import UserSamples
from tssd.checks.engines import ready_engines
from tssd.checks.verification import VerifyOptions, verify
from tssd.errors import counted
from tssd.export.bundle.folder import Bundle, read_bundle
from tssd.hw_targets.sim import summary
from tssd.hw_targets.sim.engine import Run
from tssd.live.plots import ReportPlots
from tssd.live.sweeping import Settings, Swept, swept
from tssd.live.tables import Shown, ShownTable, frame
from tssd.live.tracing import Traced, traced
from tssd.report import words
from tssd.report.findings import findings
from tssd.report.model import Report
from tssd.report.store import read_report, write_report
from tssd.simulating.simulation import Request, prepared, simulate
from tssd.simulating.simulation_report import enter


def open_bundle(folder: str | Path) -> "Exported":
    """The bundle in *folder*, whoever wrote it, with all that can be done with it; it is run on the
    samples that it names itself."""
    return Exported(read_bundle(Path(folder)))


@dataclass(frozen=True, eq=False, repr=False)
class Exported(Shown):
    """A bundle, and the samples that it was checked on."""

    bundle: Bundle
    samples: UserSamples | None = None  # None: those that the bundle itself names

    @property
    def folder(self) -> Path:
        """Where the bundle lies."""
        return self.bundle.folder

    def verify(
        self, against: Sequence[str] | None = None, samples: int = 64, device: str = "cpu"
    ) -> "Verified":
        """Every contract of the bundle; the engines *against* the integer definition,
        without names all that can run here."""
        names = ready_engines() if against is None else tuple(against)
        if self.samples is None:
            return Verified(verify(self.folder, VerifyOptions(names, samples, device)))
        images, known = self.samples.images[:samples], self.samples.labels
        labels = None if known is None else known[:samples]
        told = f"{counted(len(images), 'sample')} of yours"
        shown = samples_of(self.bundle, images, labels, told)
        options = VerifyOptions(names, len(images), device)
        return Verified(verify(self.folder, options, samples=shown))

    def simulate(
        self, samples: int | None = None, timing: Literal["cycle", "bound"] = "cycle"
    ) -> "SimulatedChip":
        """Time and energy on the simulated chip, of the bundle's golden inputs."""
        ready = prepared(Request(self.folder, samples, mode=timing))
        run = simulate(ready)
        enter(ready, run, asked=True)
        return SimulatedChip(run)

    def sweep(
        self,
        settings: Settings,
        samples: int | None = None,
        timing: Literal["cycle", "bound"] = "cycle",
        workers: int | None = None,
    ) -> Swept:
        """The bundle simulated for every combination of *settings*: ``{"chip": ["loihi2"],
        "noc.buffer": [2, 4]}``."""
        return swept(Request(self.folder, samples, mode=timing), settings, workers)

    def trace(self, sample: int = 0) -> Traced:
        """Every spike and membrane of one of the samples, of the golden ones without any."""
        network = self.bundle.network
        if self.samples is None:
            return traced(network, golden_samples(self.bundle).inputs, sample)
        own = samples_of(self.bundle, self.samples.images, None, "your own")
        return traced(network, own.inputs, sample)

    def report(self) -> "Reported":
        """The report of what was verified and simulated, as files beside the bundle."""
        report = read_report(self.folder)
        return Reported(report, tuple(write_report(self.folder, report)))

    def table(self) -> ShownTable:
        network, manifest = self.bundle.network, self.bundle.manifest
        lines = [
            f"{self.folder}: {counted(network.time_steps, 'time step')} on {manifest['target']}",
            f"read-out: {manifest['source']['read_out']}",
            *(f"{c['name']}: {c['found']}" for c in manifest["contracts"] if c["found"]),
            *(f"note: {note}" for note in manifest.get("notes", ())),
        ]
        rows = tuple(
            (p.name, str(p.kind), words.size(p.shape), f"{p.neurons:,}", str(p.reset))
            for p in network.populations
        )
        names = ("layer", "kind", "shape", "neurons", "reset")
        records = tuple(
            {"layer": p.name, "kind": str(p.kind), "shape": p.shape, "neurons": p.neurons}
            for p in network.populations
        )
        return ShownTable(tuple(lines), names, rows, records, right=("neurons",))


@dataclass(frozen=True, eq=False, repr=False)
class Verified(Shown, ReportPlots):
    """The contracts that were checked; ``report`` is everything that was found."""

    report: Report

    @property
    def passed(self) -> bool:
        """Whether none failed."""
        return all(c.status != "fail" for c in self.report.contracts)

    def table(self) -> ShownTable:
        rows = tuple(
            (c.name, c.status, "" if c.found is None else c.found, c.where or "")
            for c in self.report.contracts
        )
        ran = {name: value for name, value in self.report.accuracy.items() if value is not None}
        told = ", ".join(f"{name} {words.percent(value)}" for name, value in ran.items())
        failed = sum(c.status == "fail" for c in self.report.contracts)
        lines = (
            f"{counted(len(rows), 'contract')}, {failed} failed, on "
            f"{counted(self.report.samples, 'sample')}",
            *([f"accuracy: {told}"] if told else []),
        )
        records = tuple(asdict(c) for c in self.report.contracts)
        return ShownTable(lines, ("contract", "result", "found", "where"), rows, records)


@dataclass(frozen=True, eq=False, repr=False)
class SimulatedChip(Shown):
    """A simulated run."""

    run: Run

    def table(self) -> ShownTable:
        total, layers = summary.totals(self.run), summary.layers(self.run)
        kind, energies = words.run_energy(total.dynamic_pj, total.static_pj, total.promised)
        lines = (
            f"{self.run.chip.title}: {counted(total.cores, 'core')}, timing {self.run.timing.mode}",
            f"latency {words.duration(total.latency_us)}, pace "
            f"{words.number(total.inferences_per_s)} inferences per second, {total.io}; limited by "
            f"{total.bottleneck}",
            f"energy per inference, nominal ({kind}):",
            *energies.splitlines(),
        )
        rows = tuple(
            (
                x.name,
                x.cores,
                words.number(x.spikes),
                words.number(x.synops),
                words.nominal_energy(x.energy_pj),
                words.percent(x.time_share, 1),
            )
            for x in layers
        )
        names = ("layer", "cores", "spikes", "synops", "energy", "time")
        return ShownTable(lines, names, rows, tuple(asdict(x) for x in layers), right=names[1:])


@dataclass(frozen=True, eq=False, repr=False)
class Reported(ReportPlots):
    """The report and its files; a notebook shows its findings and the way to the HTML page."""

    report: Report
    paths: tuple[Path, ...]

    def __repr__(self) -> str:
        written = ", ".join(str(path) for path in self.paths)
        return "\n".join([*findings(self.report), f"wrote {written}"])

    def _repr_html_(self) -> str:
        sentences = "".join(f"<li>{s}</li>" for s in findings(self.report))
        links = ", ".join(f'<a href="{p.as_posix()}">{p.name}</a>' for p in self.paths)
        return f"<ul>{sentences}</ul><p>{links}</p>"

    def to_frame(self) -> Any:
        """The layers of the report as a ``pandas.DataFrame``."""
        return frame([asdict(layer) for layer in self.report.layers])
