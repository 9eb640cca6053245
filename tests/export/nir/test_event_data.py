"""NIR's event data: what we write its own package reads, what it writes we read, exactly."""

from pathlib import Path
from typing import Any

import fixed_chain
import h5py
import nir
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.chain.pipeline import ExportOptions, write
from tssd.commands.convert import command as convert_command
from tssd.commands.simulate import command as simulate_command
from tssd.errors import DataError, FileFormatError, TssdError
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.event_data import read_event_data, write_event_data
from tssd.simulating.simulation import Request, prepared
from tssd.train.handover.float_network import Reset

SHAPE = (2, 3)


def drawn(seed: int, most: int, steps: int = 7, samples: int = 3) -> Any:
    rng = np.random.default_rng(seed)
    return rng.integers(0, most + 1, (steps, samples, *SHAPE)) * (rng.random(SHAPE) < 0.6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.sampled_from([1, 255]), st.sampled_from([1e-4, 1e-3, 0.1, 1.0]))
def test_a_round_trip_is_identical(seed: int, most: int, dt: float) -> None:
    import tempfile

    sent = drawn(seed, most)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        write_event_data(path, {"input": sent}, dt)
        found = read_event_data(path)["input"]
        np.testing.assert_array_equal(found.frames(SHAPE, len(sent), "x"), sent)
        theirs: Any = nir.read_data(str(path)).nodes["input"].observables["spikes"]
    grid = theirs.to_time_gridded(dt).data  # (samples, steps, neurons), as nir itself bins them
    np.testing.assert_array_equal(grid.swapaxes(0, 1).reshape(sent.shape), sent)


def test_their_grid_keeps_its_own_steps(tmp_path: Path) -> None:
    sent = drawn(1, 1)
    data = sent.reshape(*sent.shape[:2], -1).swapaxes(0, 1).astype(bool)
    nodes = {"input": nir.NIRNodeData({"spikes": nir.TimeGriddedData(data, 1e-3)})}
    nir.write_data(tmp_path / "x.h5", nir.NIRGraphData(nodes))
    found = read_event_data(tmp_path / "x.h5")["input"]
    np.testing.assert_array_equal(found.frames(SHAPE, len(sent), "x"), sent)
    with pytest.raises(DataError, match=r"events in steps 0 .. 6; allowed: steps 0 .. 3"):
        found.frames(SHAPE, 4, "x")


def events(idx: Any, time: Any, value: Any = None) -> Any:
    arrays = np.array(idx), np.array(time, float)
    if value is None:
        return nir.EventData(*arrays, 6, 1.0)
    return nir.ValuedEventData(*arrays, 6, 1.0, np.array(value, float))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (events([[0, 7]], [[0.1, 0.2]]), "events of other neurons, or at other times"),
        (events([[0, 1]], [[0.1, 1.0]]), "times from 0 to below 1 s"),
        (events([[0, 0]], [[0.11, 0.12]]), "2 events of neuron 0 in step 1, sample 0"),
        (events([[0]], [[0.1]], [[1.5]]), "values that are no whole numbers"),
    ],
)
def test_events_that_mean_no_payload_are_refused(data: Any, why: str, tmp_path: Path) -> None:
    nodes = {"input": nir.NIRNodeData({"spikes": data})}
    nir.write_data(tmp_path / "x.h5", nir.NIRGraphData(nodes))
    with pytest.raises(TssdError, match=why):
        read_event_data(tmp_path / "x.h5")["input"].frames(SHAPE, 10, "x")


def test_another_number_of_neurons_is_refused(tmp_path: Path) -> None:
    write_event_data(tmp_path / "x.h5", {"input": drawn(0, 1)}, 1e-3)
    with pytest.raises(DataError, match=r"found 6 neurons; allowed: \(1, 8, 8\)"):
        read_event_data(tmp_path / "x.h5")["input"].frames((1, 8, 8), 7, "x")


def test_files_of_another_kind_are_refused_by_what_they_are(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("node")
    with pytest.raises(FileFormatError, match="__type__ = None; allowed: NIRGraphData"):
        read_event_data(tmp_path / "other.h5")
    write_event_data(tmp_path / "link.h5", {"input": drawn(0, 1)}, 1e-3)
    with h5py.File(tmp_path / "link.h5", "a") as file:
        spikes = file["nodes/input/observables/spikes"]
        del spikes["idx"]
        spikes["idx"] = h5py.ExternalLink("other.h5", "/node")
    with pytest.raises(FileFormatError, match="found nothing, or a link"):
        read_event_data(tmp_path / "link.h5")


def test_golden_events_leave_and_come_back(tmp_path: Path) -> None:
    chip = "loihi2-brief"
    done, material = fixed_chain.deployed(Reset.SOFT, chip)
    write(done, material, tmp_path / "b", ExportOptions(target=chip), {})
    words = [str(tmp_path / "b"), "--events", str(tmp_path / "x.h5")]
    said = CliRunner().invoke(convert_command, words)
    assert said.exit_code == 0, said.output
    assert f"next: tssd simulate {tmp_path / 'b'} --inputs {tmp_path / 'x.h5'}" in said.output
    golden = read_bundle(tmp_path / "b").golden
    assert golden is not None
    ready = prepared(Request(tmp_path / "b", inputs=tmp_path / "x.h5"))
    assert ready.samples is not None
    np.testing.assert_array_equal(ready.samples.inputs.whole(), golden.inputs)
    assert set(read_event_data(tmp_path / "x.h5")) == set(golden.counts)
    again = CliRunner().invoke(convert_command, words)
    assert "which exists" in str(again.exception)
    ran = [str(tmp_path / "b"), "--inputs", str(tmp_path / "x.h5"), "--timing", "bound"]
    assert CliRunner().invoke(simulate_command, ran).exit_code == 0
