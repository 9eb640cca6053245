"""Recordings of events through the whole chain: frames as graded spikes, one step each."""

from pathlib import Path

import numpy as np
import pytest
from event_files import write_nmnist_set

from tssd.cli import main
from tssd.export.bundle.folder import read_bundle
from tssd.report.store import read_report
from tssd.train.data.data_sets import load
from tssd.train.data.events import Framing


@pytest.mark.slow
def test_recordings_train_export_and_verify(tmp_path: Path) -> None:
    write_nmnist_set(tmp_path / "data", 60, 10)
    options = ("width=0.25", "student_steps=2", "teacher_steps=3", "batch_size=9")
    settings = [word for option in options for word in ("--set", option)]
    data, run, out = (str(tmp_path / name) for name in ("data", "run", "bundle"))
    for line in (
        ["train", "--dataset", "n-mnist", "--epochs", "4", *settings, "--out", run, "--data", data],
        ["export", run, "--out", out, "--data", data, "--tolerance", "100"],
        ["verify", out, "--data", data, "--against", "gpu,onnx,sim", "--samples", "6"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(line)
        assert not stop.value.code, line[0]
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.network.source.shape[1:] == (34, 34)
    assert bundle.golden is not None
    frames = load("n-mnist", tmp_path / "data", framing=Framing(3)).test.images
    shown = bundle.golden.inputs[:, :, :2]  # without a constant channel, should there be one
    np.testing.assert_array_equal(shown, frames[: shown.shape[1], :2].swapaxes(0, 1))
    for layer in read_report(tmp_path / "bundle").layers:
        assert layer.spikes["integer"] == layer.spikes["gpu"] == layer.spikes["sim"]
