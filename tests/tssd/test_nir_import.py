"""A published CNN graph becomes a bundle that reads back and repeats its golden answers."""

from pathlib import Path

import numpy as np
import pytest

from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, DataError
from tssd.export.bundle import read_bundle
from tssd.export.nirio.rules import Answers
from tssd.nir_import import NirOptions, import_graph, load_samples

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "nir"


def test_published_cnn_becomes_a_placed_bundle(tmp_path: Path) -> None:
    seen = np.random.default_rng(0).random((2, 2, 34, 34)) < 0.3
    np.save(tmp_path / "x.npy", np.where(seen, 200, 0).astype(np.uint8))
    options = NirOptions(Answers(profile="sinabs"), tmp_path / "x.npy", 3)
    import_graph(GOLDEN / "cnn_sinabs.nir", tmp_path / "b", options)
    bundle = read_bundle(tmp_path / "b")
    assert bundle.placement is not None
    assert bundle.golden is not None
    again = layerwise(bundle.network, bundle.golden.inputs)
    np.testing.assert_array_equal(again.readout, bundle.golden.readout)


def test_a_graph_without_answers_is_not_guessed(tmp_path: Path) -> None:
    options = NirOptions(Answers(), tmp_path / "x.npy", 3)
    with pytest.raises(ConfigError, match="does not say its dt, reset, rule"):
        import_graph(GOLDEN / "cnn_sinabs.nir", tmp_path / "b", options)
    assert not (tmp_path / "b").exists()


def test_samples_of_another_kind_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="allowed: uint8"):
        load_samples(tmp_path / "x.npy", (3,))
    np.save(tmp_path / "x.npy", np.zeros((2, 4), np.uint8))
    with pytest.raises(DataError, match="samples, 3"):
        load_samples(tmp_path / "x.npy", (3,))
