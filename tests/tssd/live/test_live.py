"""``tssd.export`` from Python: live objects in, small printable objects out."""

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import front_nets
import numpy as np
import pytest
import torch
import user_sets

import tssd
from tssd.errors import ConfigError, DataError
from tssd.live.bundles import Exported
from tssd.live.exporting import export

IMAGES = front_nets.samples()
LABELS = np.array(list(front_nets.classes(front_nets.Looped(), IMAGES)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("live") / "x"
    module = front_nets.Looped()
    made: Exported = tssd.export(module, IMAGES, LABELS, target="loihi2", out=out)  # type: ignore[operator]
    assert module.training
    return made


def test_the_bundle_lies_where_it_was_asked_for(exported: Exported) -> None:
    assert (exported.folder / "network.nir").is_file()
    text = repr(exported)
    assert "read-out: spike count of fc2/lif2, 3 classes" in text
    assert "your snnTorch module" in text
    assert 5 <= len(text.splitlines()) <= 20
    assert "<table>" in exported._repr_html_()


def test_verify_holds_engines_against_each_other(exported: Exported) -> None:
    verified = exported.verify(("gpu", "onnx"), samples=8)
    assert verified.passed
    assert "0 failed, on 8 samples" in repr(verified)
    assert verified.report.contracts[0].name.startswith("your snnTorch module")
    assert verified.report.accuracy["integer"] is not None
    assert verified.report.behaviour.agreement is not None
    for layer in verified.report.layers:
        assert (layer.agreement_if_only_this_layer_is_float is None) == (layer.kind == "input")
        assert (layer.firing is not None) == (layer.kind == "lif")
        if layer.firing is not None:  # 8 samples, all of them compared: totals are the report's
            slots = layer.neurons * 8 * verified.report.time_steps
            assert layer.firing.rate_integer * slots == pytest.approx(layer.spikes["integer"])
            assert layer.firing.rate_float * slots == pytest.approx(layer.spikes["float"])
    assert "<td>pass</td>" in verified._repr_html_()


def test_simulate_and_report_show_what_was_found(exported: Exported) -> None:
    exported.verify(("gpu",), samples=4)
    simulated = repr(exported.simulate(samples=1, timing="bound"))
    assert "inferences per second, without I/O; limited by" in simulated
    reported = exported.report()
    assert (exported.folder / "report" / "report.html") in reported.paths
    assert "report.html" in repr(reported)
    assert "<li>" in reported._repr_html_()


def test_tables_become_frames_where_pandas_is(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"no pandas.*\n.*pip install 'tssd\[plot\]'"):
        exported.to_frame()
    fake: Any = types.ModuleType("pandas")
    fake.DataFrame = lambda records: records
    monkeypatch.setitem(sys.modules, "pandas", fake)
    exported.verify(("gpu",), samples=2)
    assert [row["layer"] for row in exported.to_frame()][1:] == ["lif1", "lif2", "readout"]
    assert exported.report().to_frame()[1]["name"] == "lif1"


def test_a_data_set_of_torch_is_taken(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(6, 3), front_nets.leaky(init_hidden=True)
    )
    made = export(net, user_sets.Pictures(), time_steps=3, out=tmp_path / "b")
    assert made.samples is not None
    assert made.samples.images.shape[1:] == (1, 2, 3)


def test_what_is_wrong_raises_as_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found str|no array|no such"):
        export(front_nets.Looped(), "none.npz", out=tmp_path / "b")
    with pytest.raises(ConfigError, match="label 3, and 3 outputs"):
        export(front_nets.Looped(), IMAGES, LABELS + 1, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_importing_the_package_stays_light_and_its_stage_stays_a_package() -> None:
    code = (
        "import sys, tssd; import tssd.export.bundle; assert callable(tssd.export); "
        "print(sorted({'torch', 'numba', 'h5py'} & set(sys.modules)))"
    )
    light = (
        "import sys, tssd; print(sorted({'torch', 'numba', 'h5py', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", light], text=True).strip() == "[]"
    subprocess.check_call([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
