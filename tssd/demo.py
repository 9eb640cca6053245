"""The demonstration: every stage of the chain, small, on real digits."""

from pathlib import Path

from tssd.chain.pipeline import ExportOptions, Step, export_run
from tssd.checks.engines import ready_engines
from tssd.checks.verification import VerifyOptions, verify
from tssd.report.model import Report
from tssd.train.config import configure
from tssd.train.data.data_sets import load
from tssd.train.loop.loop import train

DATASET = "digits"
SAMPLES = 64


def run(out: Path, on_step: Step) -> Report:
    """Train into ``out/run``, export to ``out/bundle``, verify and report."""
    on_step("train with temporal-spatial self-distillation")
    train(configure(DATASET), load(DATASET), out / "run")
    options = ExportOptions(command="tssd export run")
    export_run(out / "run", out / "bundle", options, on_step=on_step)
    on_step(f"verify {SAMPLES} samples, simulate, report")
    return verify(out / "bundle", VerifyOptions(ready_engines(), SAMPLES), lambda done: None)
