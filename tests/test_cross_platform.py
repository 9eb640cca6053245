"""The table of docs/exchange.md is the one that the recorded runs give."""

import json

from benchmarks import cross_platform


def test_the_page_shows_the_recorded_runs() -> None:
    kept = json.loads(cross_platform.RESULT.read_text(encoding="utf-8"))
    page = cross_platform.PAGE.read_text(encoding="utf-8")
    assert f"{cross_platform.BEGIN}\n{cross_platform.table(kept)}\n{cross_platform.END}" in page


def test_every_network_was_written_in_every_mode_that_matters() -> None:
    for name, platform in cross_platform.PLATFORMS.items():
        cases = {(case["network"], case["mode"]) for case in cross_platform.cases(platform.dt)}
        assert len(cases) == len(cross_platform.cases(platform.dt)), name
        assert {network for network, _ in cases} == {*cross_platform.NETWORKS, cross_platform.LATE}
