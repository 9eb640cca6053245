"""NeuroBench's names for what our counts are, held against the definition's own run.

The package itself is stood in for by the one class that the adapter takes from it.
"""

import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import fixed_chain
import numpy as np
import pytest
import torch

from tssd.calibration.encode import encode
from tssd.calibration.simulate import reference
from tssd.chain.pipeline import ExportOptions, write
from tssd.checks.verification import VerifyOptions, verify
from tssd.errors import ConfigError, DataError
from tssd.export.bundle.folder import read_bundle
from tssd.live import neurobench
from tssd.report.store import read_report
from tssd.train.handover.float_network import Reset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("neurobench") / "bundle"
    done, material = fixed_chain.deployed(Reset.SOFT, "loihi2-brief")
    write(done, material, path, ExportOptions(target="loihi2-brief"), {})
    verify(path, VerifyOptions(("sim",)))
    return path


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    package: Any = types.ModuleType("neurobench.models")
    package.NeuroBenchModel = type("NeuroBenchModel", (), {})
    monkeypatch.setitem(sys.modules, "neurobench", types.ModuleType("neurobench"))
    monkeypatch.setitem(sys.modules, "neurobench.models", package)


def test_counts_are_those_of_the_definition(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.golden is not None
    activity = reference(bundle.network, bundle.golden.inputs)
    found = neurobench.counts(folder)
    firing = [activity.spikes[name] for name in ("conv1", "conv2")]
    share = sum(int(s.sum()) for s in firing) / sum(s.size for s in firing)
    algorithm = found["algorithm"]
    assert found["samples"] == bundle.golden.inputs.shape[1]
    assert algorithm["ActivationSparsity"] == pytest.approx(1 - share)
    assert algorithm["MembraneUpdates"] == 4 * (3 * 64 + 4 * 16)
    weights = [j.weight for j in bundle.network.projections]
    assert algorithm["ParameterCount"] == sum(w.size for w in weights) + 3 + 4 + 5
    zeros = sum(int((w == 0).sum()) for w in weights)
    assert algorithm["ConnectionSparsity"] == round(zeros / sum(w.size for w in weights), 4)
    total = sum(algorithm["SynapticOperations"].values())
    assert total == pytest.approx(read_report(folder).totals.synops)
    assert algorithm["SynapticOperations"]["Effective_MACs"] > 0  # pixels go into the first layer
    assert "ClassificationAccuracy" not in algorithm  # no labels


def test_the_system_track_says_that_it_is_modelled(folder: Path) -> None:
    report, system = read_report(folder), neurobench.counts(folder)["system"]
    assert (system["label"], system["chip"]) == ("modelled", "loihi2-brief")
    assert report.totals.latency_us is not None
    assert system["latency_s"] == pytest.approx(report.totals.latency_us * 1e-6)
    energy = system["energy_j_per_inference"]
    assert 0 < energy["low"] <= energy["nominal"] <= energy["high"] < 1e-3


def test_what_was_not_counted_is_asked_for(folder: Path) -> None:
    report = read_report(folder)
    layers = tuple(replace(row, synops=None) for row in report.layers)
    with pytest.raises(DataError, match="no synaptic operations.*\n.*tssd verify BUNDLE"):
        neurobench.workload(replace(report, layers=layers), read_bundle(folder).network)


@pytest.mark.usefixtures("stand_in")
def test_the_model_answers_as_the_definition(folder: Path) -> None:
    bundle, images = read_bundle(folder), fixed_chain.images(5)
    wanted = reference(bundle.network, encode(bundle.network, images)).readout.argmax(1)
    found = neurobench.model(folder)(torch.tensor(images))
    np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.usefixtures("stand_in")
def test_what_counts_torch_layers_is_refused(folder: Path) -> None:
    model = neurobench.model(folder)
    with pytest.raises(ConfigError, match="counts by hooks.*\n.*neurobench.counts"):
        model.register_hooks()
    with pytest.raises(ConfigError, match="a static metric"):
        model.__net__()
