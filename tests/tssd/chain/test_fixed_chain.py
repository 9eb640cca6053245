"""Moving code changes nothing that is deployed: the same network gives the same numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from fixed_chain import deployed, digest, hashes, network

from tssd.calibration.quantizing.fold import fold
from tssd.calibration.simulate import layerwise
from tssd.train.handover.float_network import Reset

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "fixed_chain.json"


def test_every_step_gives_the_recorded_numbers(tmp_path: Path) -> None:
    found, wanted = hashes(tmp_path), json.loads(GOLDEN.read_text(encoding="utf-8"))
    differing = sorted(k for k in found | wanted if found.get(k) != wanted.get(k))
    assert not differing, "if meant: python tests/golden/make_fixed_chain.py"


def test_the_network_is_alive() -> None:
    """Hashes of silence would show little."""
    done, material = deployed(Reset.SOFT, "loihi2-brief")
    activity = layerwise(done.network, done.encode(material.golden))
    for name in ("conv1", "conv2"):
        assert 0.02 < activity.spikes[name].mean() < 0.9
    assert len(np.unique(activity.readout)) > 2


def test_one_weight_changes_the_hash() -> None:
    before = [j.weight for j in fold(network(Reset.SOFT)).projections]
    after = [before[0], before[1], before[2].copy()]
    after[2][0, 0] += 1 / 64
    assert digest(before) != digest(after)


@pytest.mark.parametrize(("a", "b"), [(0.1 + 0.2, 0.3), (-0.0, 0.0), (1e3 + 1e-7, 1e3)])
def test_the_last_digits_of_a_float_do_not_count(a: float, b: float) -> None:
    assert digest([a]) == digest([b])
    assert digest([a]) != digest([b + 0.5])
