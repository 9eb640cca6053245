"""``tssd.few_bits``: a user's module in few bits, trained in its loop, exported as it fired."""

from pathlib import Path

import front_nets
import numpy as np
import pytest
import torch
from torch import nn

import tssd
from tssd.chain.few_bits import SAME_SPIKES
from tssd.chain.user_data import gather
from tssd.errors import ConfigError, ContractError, DataError
from tssd.export.bundle.folder import read_bundle
from tssd.live.few_bits import FewBits

IMAGES = front_nets.samples()
VALUES = torch.from_numpy(gather(IMAGES).as_seen())
LABELS = np.array(list(front_nets.classes(front_nets.Looped(), IMAGES)))


def trained(few: FewBits, updates: int = 3) -> list[float]:
    x, labels = VALUES, torch.from_numpy(LABELS)
    optimizer, losses = torch.optim.Adam(few.parameters(), 1e-2), []
    for _ in range(updates):
        loss = nn.functional.cross_entropy(few(x), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_a_loop_of_ones_own_ends_in_a_bundle(tmp_path: Path) -> None:
    module = front_nets.Looped()
    few = tssd.few_bits(module, IMAGES, LABELS, bits="3")
    assert module.training
    before = few.graph.get_parameter("weight_0").detach().clone()
    losses = trained(few, 12)
    assert losses[-1] < losses[0]
    assert not torch.equal(before, few.graph.get_parameter("weight_0"))
    made = few.export(IMAGES, LABELS, out=tmp_path / "b")
    bundle = read_bundle(tmp_path / "b")
    assert {c["name"]: c["status"] for c in bundle.manifest["contracts"]}[SAME_SPIKES] == "pass"
    assert bundle.manifest["source"]["bits"] == "3"
    few.eval()
    with torch.no_grad():
        ours = few(VALUES).argmax(1)
    assert made.samples is not None
    assert len(ours) == len(IMAGES)
    assert made.verify(("gpu",), samples=8).passed


def test_what_differs_is_not_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tssd.few_bits(front_nets.Looped(), IMAGES, LABELS, bits="4")
    spikes = few.graph.run_whole

    def other(*given: object, **options: object) -> object:
        read, scale, sent = spikes(*given, **options)  # type: ignore[arg-type]
        return read + 1, scale, sent

    monkeypatch.setattr(few.graph, "run_whole", other)
    with pytest.raises(ContractError, match="the read-out's membrane"):
        few.export(IMAGES, LABELS, out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_bad_words_and_samples_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'5x'"):
        tssd.few_bits(front_nets.Looped(), IMAGES, bits="5x")
    with pytest.raises(ConfigError, match="surrogate: found 'step'"):
        tssd.few_bits(front_nets.Looped(), IMAGES, surrogate="step")
    few = tssd.few_bits(front_nets.Looped(), IMAGES)
    with pytest.raises(DataError, match="torch.uint8; allowed: floats"):
        few(torch.from_numpy(IMAGES))
    with pytest.raises(DataError, match="shape"):
        few.export(IMAGES[:, :1, :1], LABELS, out=tmp_path / "b")
