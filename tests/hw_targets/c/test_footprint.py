"""What a network takes as C: counted where the tools are, said with a line where they are not."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sample_report import full_report
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import IntNetwork, Reset
from tssd.cli import cli
from tssd.errors import TargetError
from tssd.export.bundle.folder import write_bundle
from tssd.export.bundle.golden import make_golden
from tssd.export.c.folder import write_c
from tssd.hw_targets.c import engine
from tssd.hw_targets.c.engine import compiler
from tssd.hw_targets.c.footprint import Footprint
from tssd.hw_targets.c.measure import BINUTILS, VALGRIND, footprint
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.report import words
from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.serial import from_json, to_json

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")
needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")


@needs_compiler
@needs_valgrind
def test_instructions_are_a_mean_over_the_samples_and_follow_the_spikes(tmp_path: Path) -> None:
    network = random_conv_network(3, Reset.HARD)
    busy = random_inputs(network, 1, batch=2)
    each = [footprint(network, busy[:, i : i + 1]).instructions for i in range(2)]
    both = footprint(network, busy)
    assert both.instructions == pytest.approx(np.mean(np.array(each, float)))
    assert (both.samples, both.missing) == (2, ())
    silent = footprint(network, np.zeros_like(busy)).instructions
    assert silent is not None
    assert both.instructions is not None
    assert 0 < silent < both.instructions


@needs_compiler
def test_sizes_hold_the_tables_and_arrays_that_the_header_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_conv_network(3, Reset.HARD)
    counted = write_c(network, tmp_path, "network")
    without(monkeypatch, "valgrind")
    found = footprint(network, random_inputs(network, 1, batch=1))
    assert found.flash_bytes is not None
    assert found.ram_bytes is not None
    assert found.flash_bytes > counted.flash
    assert counted.ram <= found.ram_bytes < 2 * counted.ram  # and how C lines them up
    assert (found.instructions, found.samples) == (None, 0)
    assert found.missing == (f"instructions: {VALGRIND}",)


@needs_compiler
def test_a_size_of_another_kind_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "valgrind", "size")
    network = random_conv_network(3, Reset.HARD)
    found = footprint(network, random_inputs(network, 1, batch=1))
    assert (found.flash_bytes, found.ram_bytes) == (None, None)
    assert found.missing[0] == f"flash and RAM: {BINUTILS}"


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """The machine as if *names* were not installed."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda x: None if x in names else which(x))


def bundle_of(network: IntNetwork, folder: Path) -> Path:
    """With a placement and two golden samples."""
    placed = place(network, load_chip("loihi2")).to_table()
    golden = make_golden(network, random_inputs(network, 1, batch=2))
    write_bundle(folder, network, placement=placed, golden=golden)
    return folder


@needs_compiler
def test_verify_against_c_measures_and_a_later_verify_keeps_it(tmp_path: Path) -> None:
    network = random_conv_network(3, Reset.HARD)
    bundle = bundle_of(network, tmp_path / "b")
    arguments = ["verify", str(bundle), "--samples", "2"]
    done = CliRunner().invoke(cli, [*arguments, "--against", "c"])
    assert done.exit_code == 0, done.output
    assert "as plain C: " in done.output
    kept = CliRunner().invoke(cli, [*arguments, "--against", "sim"])
    assert kept.exit_code == 0, kept.output
    told = from_json((bundle / "report" / "report.json").read_text()).plain_c
    assert told is not None
    assert told.flash_bytes


def test_pages_say_what_was_not_measured_and_the_line_that_changes_it() -> None:
    missing = (f"flash and RAM: {BINUTILS}", f"instructions: {VALGRIND}")
    nothing = Footprint("cc", None, None, None, 0, missing)
    partly, never = (replace(full_report(), plain_c=x) for x in (nothing, None))
    assert from_json(to_json(partly)).plain_c == nothing
    for render in (render_html, render_markdown):
        assert VALGRIND in render(partly)
        assert BINUTILS in render(partly)
        assert "tssd verify BUNDLE --against c" in render(never)
    assert words.program_line(partly) == (
        f"as plain C: flash not measured ({BINUTILS}), RAM not measured ({BINUTILS}), "
        f"instructions per inference not measured ({VALGRIND})"
    )


def test_without_a_compiler_c_is_written_and_only_running_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = random_conv_network(3, Reset.HARD)
    bundle = bundle_of(network, tmp_path / "b")
    monkeypatch.setattr(engine, "compiler", lambda: None)
    written = CliRunner().invoke(cli, ["convert", str(bundle), "--c", str(tmp_path / "c")])
    assert written.exit_code == 0, written.output
    refused = CliRunner().invoke(cli, ["verify", str(bundle), "--against", "c"])
    assert isinstance(refused.exception, TargetError)
    assert f"no C compiler (cc, gcc, clang)\n  try: {engine.INSTALL}" in str(refused.exception)
    assert not (bundle / "report").exists()
    with pytest.raises(TargetError, match="no C compiler"):
        footprint(network, random_inputs(network, 1, batch=1))
