"""What the report shows first means the same for any number of samples.

One picture shown 1, 8 and 64 times: every figure must be the same to the last digit, but for the
one that says how many samples it is of.
"""

import re
from collections.abc import Mapping

import numpy as np
import pytest
from command_line import call
from strategies import random_conv_network

from tssd.calibration.int_network import Reset
from tssd.export.nir.integers.write import write_nir
from tssd.report.findings import findings
from tssd.report.html import render_html
from tssd.report.markdown import render_markdown
from tssd.report.model import Report
from tssd.report.store import read_report

COUNTS = (1, 8, 64)
ABOUT_SAMPLES = "Accuracy of the integers"  # with their number, and an interval that follows it


@pytest.fixture(scope="module", params=["gpu", "gpu,sim"])
def reports(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[int, Report]:
    """The report of one bundle by the number of samples: a lower bound, and cycles."""
    folder = tmp_path_factory.mktemp("screen")
    network = random_conv_network(2, Reset.SOFT, time_steps=3)
    write_nir(network, folder / "network.nir")
    picture = np.random.default_rng(3).integers(0, 256, network.source.shape)
    shown = np.repeat(picture[None], max(COUNTS), axis=0)
    np.savez(folder / "x.npz", inputs=shown, labels=np.zeros(len(shown), np.int64))
    call("import", str(folder / "network.nir"), "--out", str(folder / "b"))
    found = {}
    for count in COUNTS:
        line = ("verify", str(folder / "b"), "--against", request.param, "--samples", str(count))
        call(*line, "--data", str(folder / "x.npz"))
        found[count] = read_report(folder / "b")
    return found


def tiles(report: Report) -> dict[str, str]:
    """The first screen of the page: title to all that the tile says."""
    found = re.findall(r'<div class="tile[^"]*"><dt>(.*?)</dt>(.*?)</div>', render_html(report))
    return {title: re.sub("<[^>]*>", " ", rest) for title, rest in found}


def test_every_figure_of_the_first_screen_is_the_same(reports: Mapping[int, Report]) -> None:
    first, *others = (tiles(report) for report in reports.values())
    assert {"Latency", "Pace", "Power", "Contracts", "Synaptic operations", "Cores"} <= first.keys()
    for other in others:
        assert other.keys() == first.keys()
        for title in first.keys() - {ABOUT_SAMPLES}:
            assert other[title] == first[title], title


def test_the_accuracy_says_of_how_many_it_is(reports: Mapping[int, Report]) -> None:
    for count, report in reports.items():
        assert re.search(rf"\b(0|{count}) of {count} right\b", tiles(report)[ABOUT_SAMPLES])
        assert "95 % interval" in tiles(report)[ABOUT_SAMPLES]


def test_no_finding_depends_on_the_number(reports: Mapping[int, Report]) -> None:
    said = [findings(report) for report in reports.values()]
    assert said[0] == said[1] == said[2]


def test_the_page_without_pictures_says_the_same(reports: Mapping[int, Report]) -> None:
    pages = [render_markdown(report) for report in reports.values()]
    for title in ("What dominates", "Layers, per inference", "Whole network"):
        said = [page.partition(f"## {title}")[2].partition("\n## ")[0] for page in pages]
        assert said[0]
        assert said[0] == said[1] == said[2], title
