"""The page in a browser: no serious finding of axe-core, in light and in dark; every column and
legend on paper. Needs chromium, and axe-core beside the checkout (`npm install axe-core`)."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_report import bare_report, full_report

from tssd.report.html import render_html
from tssd.report.model import Report

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCRIPT = (
    "axe.run().then(r => {document.body.textContent = 'BEGIN' + JSON.stringify("
    "r.violations.map(v => [v.impact, v.id, v.nodes[0].html])) + 'END'})"
)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.skipif(not AXE.is_file(), reason="no node_modules/axe-core: npm install axe-core")
@pytest.mark.parametrize("report", [full_report(), bare_report()], ids=["full", "bare"])
@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
def test_axe_finds_nothing_serious(report: Report, scheme: str, tmp_path: Path) -> None:
    scripts = f"<script>{AXE.read_text()}</script><script>{SCRIPT}</script></body>"
    page = tmp_path / "page.html"
    page.write_text(render_html(report).replace("</body>", scripts))
    options = (f"--blink-settings=preferredColorScheme={scheme}", "--virtual-time-budget=15000")
    shown = browser(*options, "--dump-dom", str(page))
    (found,) = re.findall(r"BEGIN(.*)END", html.unescape(shown), re.S)
    assert [x for x in json.loads(found) if x[0] in ("serious", "critical")] == []


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext")
def test_paper_keeps_every_column(tmp_path: Path) -> None:
    report = full_report()
    (tmp_path / "page.html").write_text(render_html(report))
    browser(f"--print-to-pdf={tmp_path / 'page.pdf'}", str(tmp_path / "page.html"))
    line = ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    words = " ".join(text.split())
    for column in ("synapses", "updates", "messages", "energy", "kind", "source", "allowed"):
        assert column in words
    for legend in ("float network", "integer network", "synaptic operations", "neuron updates"):
        assert legend in words


def browser(*arguments: str) -> str:
    """Run chromium without a window; what it prints."""
    assert CHROMIUM is not None
    line = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=True, timeout=120).stdout
