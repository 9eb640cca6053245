"""An engine of another package goes through verify, doctor, targets and the report."""

import json
from pathlib import Path

import numpy as np
import pytest
from acme_engine import PLACES, announce
from netx_files import small_image_network, write_net

from tssd.chain.importing import ImportOptions, import_bundle
from tssd.checks.engines import ready_engines
from tssd.cli import main
from tssd.report.store import read_report


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = write_net(tmp_path / "trained.net", small_image_network(np.random.default_rng(7)))
    return import_bundle(path, tmp_path / "bundle", ImportOptions(4)).folder


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, {**PLACES, "acme-gone": "GONE"})
    monkeypatch.syspath_prepend(str(tmp_path))


def tssd(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return int(stop.value.code or 0)


def test_it_is_verified_and_has_its_columns_in_the_report(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tssd("verify", bundle, "--against", "acme") == 0
    report = read_report(bundle)
    names = [c.name for c in report.contracts if c.name.startswith("acme: ")]
    assert names[1].endswith("(spikes, v)")  # v as it says, u it does not record
    assert all(layer.spikes["acme"] == layer.spikes["integer"] for layer in report.layers)
    assert all(layer.spikes["gpu"] is None for layer in report.layers)
    assert report.engines[-len(PLACES) - 1 :] == (*sorted([*PLACES, "acme-gone"]),)
    assert tssd("report", bundle) == 0
    assert "reference (acme)" in (bundle / "report" / "report.html").read_text(encoding="utf-8")
    assert "| acme |" in (bundle / "report" / "report.md").read_text(encoding="utf-8")


def test_it_brings_another_engine_along(bundle: Path) -> None:
    assert tssd("verify", bundle, "--against", "acme") == 0
    assert any(c.name.startswith("acme-too: ") for c in read_report(bundle).contracts)
    assert "acme-too" not in ready_engines()


def test_a_difference_is_found_and_named(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tssd("verify", bundle, "--against", "acme-late", "--json") == 1
    rows = json.loads(capsys.readouterr().out)
    failed = [row for row in rows if row["status"] == "fail"]
    assert failed
    assert all(row["name"].startswith("acme-late: ") for row in failed)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme-board", "engine acme-board: found no acme_driver\n  try: pip install acme-driver"),
        ("acme-busy", "engine acme-busy: found numpy"),
        ("acme-odd", "engine acme-odd: found ndarray; allowed: an Activity"),
        ("acme-gone", "engine acme-gone: found acme_engine:GONE cannot be loaded"),
        ("acm", "unknown engine 'acm'"),
    ],
)
def test_what_cannot_run_is_told(
    name: str, message: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tssd("verify", bundle, "--against", name) == 2
    assert message in capsys.readouterr().err


def test_doctor_and_targets_list_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert tssd("doctor", "--json") == 0
    found = {engine["name"]: engine for engine in json.loads(capsys.readouterr().out)["engines"]}
    assert (found["acme"]["state"], found["acme"]["fix"]) == ("ready", None)
    assert found["acme"]["detail"].startswith("numpy ")
    assert found["acme-board"]["fix"] == "pip install acme-driver"
    assert (found["acme-busy"]["state"], found["acme-busy"]["fix"]) == ("missing", "wait")
    assert "another job has the chip" in found["acme-busy"]["detail"]
    assert "cannot be loaded" in found["acme-gone"]["detail"]
    assert tssd("targets", "list", "--json") == 0
    assert "acme" in json.loads(capsys.readouterr().out)["engines"]


def test_the_demo_runs_every_engine_that_is_ready() -> None:
    ready = ready_engines()
    assert {"gpu", "onnx", "sim", "acme"} <= set(ready)
    assert not {"acme-board", "acme-busy", "acme-gone"} & set(ready)


def test_a_broken_package_does_not_break_the_others(bundle: Path) -> None:
    assert tssd("verify", bundle, "--against", "gpu") == 0
