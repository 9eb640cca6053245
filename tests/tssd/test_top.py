"""What stands at the top of the package: there by name, loaded on use, none of it with torch."""

import json
import subprocess
import sys
from pathlib import Path

import fixed_chain
import pytest

import tssd
from tssd.chain.pipeline import ExportOptions, write
from tssd.errors import ConfigError
from tssd.train.handover.float_network import Reset

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("top") / "bundle"
    done, material = fixed_chain.deployed(Reset.SOFT, "loihi2")
    write(done, material, folder, ExportOptions(), {})
    return folder


def test_names_are_there_and_lazy() -> None:
    code = (
        "import sys, tssd, json\n"
        "before = [m for m in ('numpy', 'torch', 'numba', 'pandas') if m in sys.modules]\n"
        "light = [n for n in tssd.__all__ if n != 'few_bits']  # which brings torch\n"
        "print(json.dumps([before, [getattr(tssd, n).__name__ for n in light]]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, names = json.loads(done.stdout)
    assert before == []
    assert names == [n for n in tssd.__all__ if n != "few_bits"]
    assert set(tssd.__all__) <= set(dir(tssd))
    with pytest.raises(AttributeError, match="module 'tssd' has no attribute 'simulat'"):
        tssd.simulat  # noqa: B018


def test_a_bundle_is_opened_simulated_and_compared_without_torch(bundle: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SUPPORT)!r})\n"
        "import absent; absent.hide('torch', 'snntorch')\n"
        "import tssd\n"
        f"mine = tssd.open_bundle({str(bundle)!r})\n"
        "print(mine.verify(('sim',), samples=2), mine.simulate(samples=1), mine.report())\n"
        f"print(tssd.compare({str(bundle)!r}, chips=['loihi2', 'loihi2-n3c'], samples=1))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 failed" in done.stdout
    assert "limited by" in done.stdout
    assert "loihi2-n3c" in done.stdout


def test_a_comparison_is_a_frame_and_a_page(bundle: Path, tmp_path: Path) -> None:
    found = tssd.compare(bundle, chips=["loihi2", "loihi2-n3c"], samples=1, baseline=True)
    frame = found.to_frame()
    assert set(frame["subject"]) == {s.name for s in found.comparison.subjects}
    assert {"latency", "dynamic", "cores"} <= {name.partition("_")[0] for name in frame["figure"]}
    assert len(found.comparison.baselines) == 2
    for name in ("x.html", "x.csv", "x.md"):
        assert found.write(tmp_path / name).stat().st_size > 500
    with pytest.raises(ConfigError, match=r"'x.pdf'; allowed: one of .html, .csv, .md"):
        found.write(tmp_path / "x.pdf")


def test_what_cannot_be_compared_is_refused(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="compare: found nothing"):
        tssd.compare()
    with pytest.raises(ConfigError, match="samples: found an argument with nothing to act on"):
        tssd.compare(bundle, samples=2)
