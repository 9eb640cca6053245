"""Tables of a report: all digits as CSV; a page's columns as LaTeX and Markdown."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from known import known
from sample_report import bare_report, full_report

from tssd.errors import ConfigError
from tssd.report.paper.tables import frames, write_tables


def test_a_frame_holds_every_layer_in_full() -> None:
    report = full_report()
    frame = frames(report)["layers"]
    assert list(frame["layer"]) == [layer.name for layer in report.layers]
    for layer, (_, row) in zip(report.layers, frame.iterrows(), strict=True):
        assert row["energy_pj"] == known(layer.energy_pj).nominal
        assert row["energy_synapse_pj"] == known(layer.energy_pj).parts.synapse
        assert row["spikes_integer"] == (layer.spikes["integer"] or 0) / report.samples


def test_what_was_not_run_is_missing_not_zero() -> None:
    found = frames(bare_report())
    assert found["totals"]["latency_us"].isna().all()
    assert "accuracy" not in found
    assert "steps" not in found


def test_csv_reads_back_to_the_last_digit(tmp_path: Path) -> None:
    write_tables(full_report(), tmp_path, ["csv"])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "layers.csv").read_text())))
    assert [float(r["energy_pj"]) for r in rows] == [
        known(layer.energy_pj).nominal for layer in full_report().layers
    ]


def test_latex_is_a_booktabs_tabular_with_nothing_left_to_interpret(tmp_path: Path) -> None:
    report = full_report()
    odd = replace(report.layers[0], name=r"a_b & 50 % \input{x} #1 ~^$ {c}")
    write_tables(replace(report, layers=(odd, *report.layers[1:])), tmp_path, ["latex"])
    text = (tmp_path / "layers.tex").read_text()
    lines = text.splitlines()
    assert lines[0].startswith(r"\begin{tabular}{l")
    assert (lines[1], lines[3], lines[-2]) == (r"\toprule", r"\midrule", r"\bottomrule")
    told = lines[4]
    assert r"a\_b \& 50 \% \textbackslash{}input\{x\} \#1 \textasciitilde{}" in told
    columns = {len(re.findall(r"(?<!\\)&", line)) for line in lines if line.endswith(r"\\")}
    assert columns == {len(lines[0].partition("}{")[2]) - 2}


def test_markdown_rows_have_the_heads_columns(tmp_path: Path) -> None:
    write_tables(full_report(), tmp_path, ["md"])
    lines = (tmp_path / "layers.md").read_text().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[0].startswith("| layer | shape | neurons")


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found 'xls'; allowed: csv, latex, md"):
        write_tables(full_report(), tmp_path / "out", ["xls"])
    assert not (tmp_path / "out").exists()
