"""A user's own module on the command line: read as it acts, proved equal, asked where unclear."""

import json
import re
from pathlib import Path
from typing import Any

import front_nets
import numpy as np
import pytest
import snntorch as snn
import torch
from command_line import ran
from torch import nn
from written_networks import lively

from tssd.chain.own_module import ModuleReading, take_over
from tssd.errors import ConfigError, DataError, NetworkError, TssdError
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.to_float import to_float
from tssd.train.handover import float_run

IMAGES = front_nets.samples()


def given(folder: Path, labels: Any = None, inputs: Any = IMAGES) -> Path:
    known: dict[str, Any] = {} if labels is None else {"labels": np.asarray(labels)}
    np.savez(folder / "x.npz", inputs=inputs, **known)
    return folder / "x.npz"


def export(name: str, folder: Path, *more: object, labels: Any = None) -> dict[str, Any]:
    told = ("--model", f"front_nets:{name}", "--samples", given(folder, labels), *more)
    done = ran("export", *told, "--tolerance", 100, "--out", folder / "b", "--json")
    found: dict[str, Any] = json.loads(done.output)
    return found


def own(labels_of: str = "Looped", groups: int | None = None) -> list[int]:
    return list(front_nets.classes(getattr(front_nets, labels_of)(), IMAGES, groups))


def test_a_module_with_its_own_loop_is_deployed_and_proved(tmp_path: Path) -> None:
    """Weights of torch.save, T from the loop, the class by spike count, contract 0 first."""
    torch.save({"state_dict": front_nets.Looped().state_dict()}, tmp_path / "model.pt")
    found = export("Looped", tmp_path, "--weights", tmp_path / "model.pt", labels=own())
    assert found["source"]["read_out"] == "spike count of fc2/lif2, 3 classes"
    assert found["source"]["time_steps"] == front_nets.STEPS
    first, second = found["contracts"][:2]
    assert first["name"].startswith("your snnTorch module")
    assert (first["status"], str(first["found"])[:4]) == ("pass", "0 of")
    assert second["found"] == "100.00 %"
    rows = json.loads(ran("verify", tmp_path / "b", "--against", "gpu,onnx", "--json").output)
    assert rows[0] == first
    report = json.loads((tmp_path / "b" / "report" / "report.json").read_text())
    assert report["contracts"][0] == first


def test_what_is_read_is_printed(tmp_path: Path) -> None:
    told = ("--model", "front_nets:Looped", "--samples", given(tmp_path), "--out", tmp_path / "b")
    shown = ran("export", *told).output
    assert "6 time steps; read-out: spike count of fc2/lif2, 3 classes" in shown
    assert re.search(r"lif1 +lif +\d+ +keeps \d\.\d of 8 bits\n", shown)
    assert "your snnTorch module" in shown


def test_a_hook_is_part_of_the_module(tmp_path: Path) -> None:
    export("Hooked", tmp_path, labels=own("Hooked"))
    from tssd.chain.torch_module import load

    module = front_nets.Hooked()
    module.load_state_dict(front_nets.Looped().state_dict())
    deployed = load(tmp_path / "b")
    with torch.no_grad():
        counts = module(torch.tensor(IMAGES) / 255)[0].sum(0)
        found = deployed(deployed.inputs(IMAGES)) * front_nets.STEPS
    torch.testing.assert_close(found, counts)


def test_state_in_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TssdError, match=r"step|lif"):
        export("Counted", tmp_path, "--time-steps", 6)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("output", [None, "output[0]", "output[1]"])
def test_two_outputs_are_asked_about(output: str | None, tmp_path: Path) -> None:
    """Layers called readout, and outside ASCII: names are the author's own affair."""
    steps = ("--time-steps", 4)
    if output is None:
        with pytest.raises(ConfigError, match=r"--output.*output\[1\]"):
            export("TwoLayers", tmp_path, *steps)
        return
    found = export("TwoLayers", tmp_path, *steps, "--output", output)
    path, classes = {"output[0]": ("fc1/readout", 8), "output[1]": ("fc2/überträger", 3)}[output]
    assert found["source"]["read_out"] == f"spike count of {path}, {classes} classes"
    assert found["populations"][-1]["shape"] == [classes]


def test_a_population_code_is_asked_about_and_read_in_groups(tmp_path: Path) -> None:
    labels = own("population", 3)
    assert set(labels) == {0, 1, 2}
    with pytest.raises(ConfigError, match=r"12 outputs for the labels 0 .. 2; .*--population 3"):
        export("population", tmp_path, labels=labels)
    found = export("population", tmp_path, "--population", 3, labels=labels)
    assert found["populations"][-1]["shape"] == [3]
    assert "3 classes" in found["source"]["read_out"]
    assert found["contracts"][1]["found"] == "100.00 %"


def test_an_encoder_inside_is_left_outside_the_chip(tmp_path: Path) -> None:
    """Its frames enter; later samples are asked for as frames, not taken for them."""
    found = export("Encoded", tmp_path)
    assert "bernoulli" in found["source"]["encoder"]
    assert any("what enters is what bernoulli" in note for note in found["notes"])
    golden = read_bundle(tmp_path / "b").golden
    assert golden is not None
    assert golden.inputs.shape[0] == front_nets.STEPS
    assert (golden.inputs[0] != golden.inputs[1]).any()
    assert ran("verify", tmp_path / "b", "--samples", 2).exit_code == 0
    with pytest.raises(DataError, match="found still samples; allowed: what enters: the frames"):
        ran("verify", tmp_path / "b", "--data", tmp_path / "x.npz")


def test_a_series_enters_and_is_verified(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", inputs=IMAGES.reshape(24, 2, 8))
    told = ("--model", "front_nets:Series", "--samples", tmp_path / "x.npz", "--time-steps", 4)
    assert ran("export", *told, "--out", tmp_path / "b").exit_code == 0
    shown = ("--data", tmp_path / "x.npz", "--samples", 3)
    assert ran("verify", tmp_path / "b", *shown).exit_code == 0


def test_a_pool_of_currents_is_swapped_only_where_asked(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="module pool: found a maximum pool of currents"):
        export("Pooled", tmp_path, "--time-steps", 6)
    found = export("Pooled", tmp_path, "--time-steps", 6, "--swap-max-pool")
    assert "swapped" in found["contracts"][0]["name"]
    assert any("of the samples keep their class" in note for note in found["notes"])


def test_labels_beyond_the_outputs_are_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label 7, and 3 outputs: spike count of fc2/lif2"):
        export("Looped", tmp_path, labels=np.arange(24) % 8)


def test_nothing_right_is_asked_about(tmp_path: Path) -> None:
    wrong = [(label + 1) % 3 for label in own()]
    with pytest.raises(ConfigError, match="0 of 24 samples classified as labelled"):
        export("Looped", tmp_path, labels=wrong)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Raising", "raised by your module.*no such layer"),
        ("Noisy", "random"),
        ("Silent", "nothing|None"),
        ("needs_an_argument", r"raised by your module: TypeError.*def build\(\)"),
        ("nothing_there", "--model: found 'front_nets:nothing_there'"),
    ],
)
def test_what_is_no_network_is_refused_once_and_leaves_nothing(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises((NetworkError, ConfigError), match=f"(?s){message}"):
        export(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_steps_other_than_the_loops_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="6"):
        export("Looped", tmp_path, "--time-steps", 9)


def test_samples_of_another_shape_name_the_axis(tmp_path: Path) -> None:
    path = given(tmp_path, inputs=IMAGES[:, 0, :, :3])
    told = ("--model", "front_nets:Looped", "--samples", path, "--out", tmp_path / "b")
    with pytest.raises(DataError, match=r"axis 3 is 3, not 4|2 axes|3 axes"):
        ran("export", *told, "--input-shape", "1,4,4")
    with pytest.raises(NetworkError, match="raised by your module"):
        ran("export", *told)


def test_missing_samples_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--samples: found a module and no samples"):
        ran("export", "--model", "front_nets:Looped", "--out", tmp_path / "b")


@pytest.mark.parametrize("samples", [True, False])
def test_a_module_leaves_as_a_file_that_fires_as_it_does(samples: bool, tmp_path: Path) -> None:
    """On samples, or on some that are drawn."""
    entering = ("--samples", given(tmp_path)) if samples else ("--input-shape", "1,4,4")
    out = tmp_path / "n.nir"
    told = ("convert", "--model", "front_nets:Looped", "--nir", "exact", *entering, "--out", out)
    assert "your snnTorch module" in ran(*told).output
    network = to_float(read_graph(out), front_nets.STEPS)
    counts = float_run.run(network, IMAGES, dtype="float64").logits * front_nets.STEPS
    with torch.no_grad():
        expected = front_nets.Looped()(torch.tensor(IMAGES) / 255)[0].sum(0)
    np.testing.assert_allclose(counts, expected.numpy())


def test_options_of_a_module_need_a_module(tmp_path: Path) -> None:
    for more in (("--population", 3), ("--output", "x"), ("--samples", "x"), ("--time-steps", 2)):
        assert "not with a run folder" in ran("export", tmp_path, *more, "--out", "b").output
        assert "only with --model" in ran("convert", tmp_path, *more, "--out", "b.nir").output


def test_the_same_module_and_samples_give_the_same_bytes(tmp_path: Path) -> None:
    export("Looped", tmp_path, labels=own())
    before = {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()}
    export("Looped", tmp_path, "--force", labels=own())
    assert {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()} == before
    assert read_bundle(tmp_path / "b").network.time_steps == front_nets.STEPS


SEEN = (IMAGES / 255).astype(np.float32)


def reset_now(threshold: float) -> nn.Module:
    """Its second layer, whose input comes and goes."""
    told: dict[str, Any] = {"init_hidden": True, "reset_delay": False, "threshold": threshold}
    first = (nn.Flatten(), nn.Linear(16, 12), snn.Leaky(beta=0.8, threshold=0.4, init_hidden=True))
    return lively(nn.Sequential(*first, nn.Linear(12, 3), snn.Leaky(beta=0.8, **told)))


def test_a_reset_now_is_refused_with_the_slots_that_it_changes() -> None:
    reading = ModuleReading(time_steps=6)
    words = (
        r"^module 4: found reset_delay=False with 'subtract', which .*: on these samples "
        r"(?P<off>[1-9]\d*) of 2,160 slots fire otherwise"
    )
    with pytest.raises(NetworkError, match=words) as refused:
        take_over(reset_now(0.4), SEEN, reading)
    assert "reset_delay=True" in str(refused.value.hint)


def test_a_reset_now_that_changes_no_slot_is_taken_with_a_note() -> None:
    taken = take_over(reset_now(30.0), SEEN, ModuleReading(time_steps=6))
    assert taken.agreement.differing == 0
    assert taken.agreement.reset_now == (("4", 0),)
    (note,) = taken.notes(None)
    assert note.startswith("4: reset_delay=False with 'subtract' is a plain subtraction as long as")
