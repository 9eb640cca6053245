"""Which engines a name stands for, and how a missing Lava is told: nothing here runs Lava."""

import pkgutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from netx_files import dense, neuron, random_weights, small_image_network, write_net

from tssd.chain.importing import ImportOptions, import_bundle
from tssd.checks.engines import engines_of
from tssd.checks.evaluation import BATCH, compare_engines
from tssd.cli import main
from tssd.contracts import Contract
from tssd.errors import TargetError
from tssd.export.bundle.folder import Bundle
from tssd.hw_targets.lava import environment

RNG = np.random.default_rng(7)
READ = neuron(vth=131072, dv=0)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """A bundle that holds a network.net."""
    path = write_net(tmp_path / "trained.net", small_image_network(RNG))
    return import_bundle(path, tmp_path / "bundle", ImportOptions(4))


def recurrent_bundle(folder: Path) -> Bundle:
    layer = dense(random_weights(RNG, 6, 5), weight_rec=random_weights(RNG, 6, 6))
    last = dense(random_weights(RNG, 3, 6), neuron=READ)
    path = write_net(folder / "recurrent.net", [layer | {"type": "dense_rec"}, last])
    return import_bundle(path, folder / "recurrent", ImportOptions(5))


def pretend(monkeypatch: pytest.MonkeyPatch, *flavours: environment.Flavour) -> None:
    """As if exactly these environments were installed."""
    there = {name: environment.Environment(name, Path("python"), {}) for name in flavours}
    monkeypatch.setattr(environment, "existing", lambda name, root=None: there.get(name))


def found(bundle: Bundle, *names: str) -> tuple[list[str], tuple[Contract, ...]]:
    engines, missing = engines_of(bundle, names, "cpu")
    return [engine.name for engine in engines], missing


def test_lava_is_both_ways_where_a_bundle_has_both(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "full")
    assert found(bundle, "gpu", "lava") == (["gpu", "lava", "netx"], ())
    assert found(bundle, "netx", "lava") == (["netx", "lava"], ())
    assert found(bundle, "netx") == (["netx"], ())
    assert found(recurrent_bundle(tmp_path), "lava") == (["lava"], ())


def test_a_light_environment_leaves_netx_not_run(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "light")
    names, (row,) = found(bundle, "lava")
    assert names == ["lava"]
    assert (row.status, row.where) == ("not run", "tssd lava install --full")
    with pytest.raises(TargetError, match="tssd lava install --full"):
        engines_of(bundle, ("netx",), "cpu")


def test_netx_without_its_file_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, "full")
    with pytest.raises(
        TargetError, match=r"found no network\.net: projection fc1 -> fc1: found recurrence"
    ):
        engines_of(recurrent_bundle(tmp_path), ("netx",), "cpu")


@pytest.mark.parametrize(
    ("engine", "step"),
    [("sim", "tssd.hw_targets.sim.program.prepare"), ("onnx", "tssd.export.onnx.graph.scan_bytes")],
)
def test_a_network_is_prepared_once_for_all_batches(
    bundle: Bundle, engine: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Mock(wraps=pkgutil.resolve_name(step))
    monkeypatch.setattr(step, spy)
    engines, _ = engines_of(bundle, (engine,), "cpu")
    assert bundle.golden is not None
    inputs = np.tile(bundle.golden.inputs[:, :1], (1, 2 * BATCH + 1, 1, 1, 1))
    _, rows = compare_engines(bundle.network, inputs, engines)
    assert {row.status for row in rows} == {"pass"}
    assert spy.call_count == 1


@pytest.mark.parametrize("engine", ["lava", "netx"])
def test_without_python_3_10_verify_says_so_and_exits_2(
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    engine: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as stop:
        main(["verify", str(bundle.folder), "--against", engine])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert "Lava environment" in told
    assert "install Python 3.10" in told


def test_a_recurrent_network_is_verified_sample_by_sample(tmp_path: Path) -> None:
    """Its definition is the chip's order."""
    folder = str(recurrent_bundle(tmp_path).folder)
    with pytest.raises(SystemExit) as stop:
        main(["verify", folder, "--against", "gpu,onnx,sim"])
    assert stop.value.code == 0
