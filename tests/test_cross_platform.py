"""The table of docs/exchange.md is the one that the recorded runs give."""

import json
from pathlib import Path

import numpy as np

from benchmarks import conformance, cross_platform
from benchmarks.platform_likenesses import likenesses
from tssd.conformance.suite import load


def test_the_page_shows_the_recorded_runs() -> None:
    kept = json.loads(cross_platform.RESULT.read_text(encoding="utf-8"))
    page = cross_platform.PAGE.read_text(encoding="utf-8")
    assert f"{cross_platform.BEGIN}\n{cross_platform.table(kept)}\n{cross_platform.END}" in page


def test_the_page_of_conformance_shows_the_recorded_runs_of_the_present_suite() -> None:
    kept = json.loads(conformance.RESULT.read_text(encoding="utf-8"))
    page = conformance.PAGE.read_text(encoding="utf-8")
    assert f"{conformance.BEGIN}\n{conformance.tables(kept)}\n{conformance.END}" in page
    present = [case.name for case in load().cases]
    for name, ran in kept.items():
        assert [row["case"] for row in ran["rows"]] == present, name
    assert {row["result"] for row in kept["tssd"]["rows"]} == {"identical"}


def test_every_network_was_written_in_every_mode_that_matters() -> None:
    for name, platform in cross_platform.PLATFORMS.items():
        cases = {(case["network"], case["mode"]) for case in cross_platform.cases(platform.dt)}
        assert len(cases) == len(cross_platform.cases(platform.dt)), name
        assert {network for network, _ in cases} == {*cross_platform.NETWORKS, cross_platform.LATE}


def test_every_difference_is_explained_by_an_exact_prediction() -> None:
    kept = json.loads(cross_platform.RESULT.read_text(encoding="utf-8"))
    rows = [row for platform in kept.values() for row in platform["rows"]]
    assert {row["result"] for row in rows} == {"identical", "explained", "refused", "not read"}
    assert all(row["why"] for row in rows if row["result"] != "identical")


def test_a_prediction_must_be_met_exactly(tmp_path: Path) -> None:
    """One value off, and the cell says how many differ."""
    case = next(c for c in cross_platform.cases(1e-3) if c["network"] == "dense, soft reset")
    path = tmp_path / f"{case['name']}.nir"
    assert cross_platform.write(case, "norse", path) is None
    frames = cross_platform.inputs(case["network"]).astype(float)
    own = dict(likenesses(path, "norse", 1e-3, frames))["its own rule"]
    answer = tmp_path / f"{case['name']}.norse.npy"
    for change, result in ((0, "explained"), (1, "different")):
        own[-1, -1, -1] += change
        np.save(answer, own)
        found = cross_platform.judged(case, "norse", tmp_path, None)
        assert found["result"] == result
        assert "of 1280 values differ" in found["why"]
