"""An image as files: what they say; what is said of damaged ones and those of other meshes."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import mlp
from open_cores import replayed, scattered, small_chip
from strategies import random_inputs

from tssd.calibration.simulate import reference
from tssd.cli import main
from tssd.errors import FileFormatError, TargetError
from tssd.export.nir.integers.write import write_nir
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.rtl import build
from tssd.hw_targets.rtl.image import Image, image_of
from tssd.hw_targets.rtl.image_file import check_fits, read_image, write_image
from tssd.hw_targets.rtl.sizing import build_of

DEPTHS = {"link": 1, "axon_in": 1, "spike_out": 1, "synapse": 0}  # as in test_mesh: one build


def written(folder: Path) -> tuple[Image, np.ndarray]:
    """A small image in ``folder/image``, with two samples."""
    network = mlp(12, 20, 5)
    chip = small_chip(folder, (2, 2, 1), DEPTHS)
    image = image_of(network, scattered(network, chip, 1), chip)
    inputs = random_inputs(network, 1, batch=2)
    (folder / "image").mkdir()
    write_image(image, inputs, folder / "image")
    return image, inputs


def code_of(line: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(line)
    return ended.value.code


def test_what_is_read_is_what_the_definition_sends(tmp_path: Path) -> None:
    image, inputs = written(tmp_path)
    kept, network = read_image(tmp_path / "image"), image.network
    assert [place for word, place, _ in kept.load if word == "w"][: len(image.words)] == (
        image.words[:, 0].tolist()
    )
    neurons = sum(p.neurons for p in network.populations)
    values = [value for word, _, value in kept.samples if word == "r"]
    by_step = np.array(values).reshape(kept.steps, 1 + image.sizes.cores + neurons)
    assert (by_step[:, 0] > image.sizes.barrier).all()
    sent = by_step[:, 1 + image.sizes.cores :].sum(axis=0)
    spikes = reference(network, inputs).spikes
    wanted = np.concatenate([spikes[p.name].sum(axis=(0, 1)) for p in network.populations])
    assert sent.tolist() == wanted.tolist()
    assert sent.sum() > 50


def test_a_clear_run_precedes_the_first_sample(tmp_path: Path) -> None:
    """Two steps in which no population works: sums of before are gone."""
    written(tmp_path)
    last = read_image(tmp_path / "image").load[-4:]
    assert last == [
        ("w", 0xFFC00002, 0),
        ("w", 0xFFC00000, 2),
        ("go", 0, 0),
        ("w", 0xFFC00002, mlp(12, 20, 5).time_steps),
    ]


def test_a_changed_or_shortened_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "image" / "load.txt"
    text = path.read_text()
    for damaged in (text.replace("w 0", "w 1", 1), text[:-20], ""):
        path.write_text(damaged)
        with pytest.raises(FileFormatError, match=r"load.txt: found sha256 .*changed or cut off"):
            read_image(tmp_path / "image")
    path.unlink()
    with pytest.raises(FileFormatError, match=r"load.txt: found no such file"):
        read_image(tmp_path / "image")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("w 00000000", "line 1: found 'w 00000000'; allowed: w or r"),
        ("x 00000000 00000000", "line 1: found 'x"),
        ("w 01000000 00000000", "line 1: found core 4; allowed: 0 .. 3"),
        ("w 00000000 0x000000", "line 1: found 'w"),
    ],
)
def test_a_line_that_is_no_order_is_named(line: str, said: str, tmp_path: Path) -> None:
    """Its checksum may be right: whoever writes images can be wrong."""
    written(tmp_path)
    folder = tmp_path / "image"
    (folder / "load.txt").write_text(line + "\n")
    table = json.loads((folder / "image.json").read_text())
    table["files"]["load.txt"]["sha256"] = hashlib.sha256(f"{line}\n".encode()).hexdigest()
    (folder / "image.json").write_text(json.dumps(table))
    with pytest.raises(FileFormatError, match=said):
        read_image(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", 2, "found format 2; allowed: 1"),
        ("steps", 0, "found steps 0; allowed: 1 or more"),
        ("sizes", {"width": 2}, "found other sizes; allowed: whole numbers width"),
        ("files", {}, "allowed: the one in image.json"),
    ],
)
def test_a_description_of_something_else_is_refused(
    key: str, value: object, said: str, tmp_path: Path
) -> None:
    written(tmp_path)
    path = tmp_path / "image" / "image.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(FileFormatError, match=said):
        read_image(tmp_path / "image")


def test_a_mesh_of_other_parameters_or_smaller_memories_says_which_and_by_how_much(
    tmp_path: Path,
) -> None:
    image, _ = written(tmp_path)
    kept = read_image(tmp_path / "image")
    check_fits(kept, image.sizes, "its own")
    check_fits(kept, replace(image.sizes, synapses=1 << 15, neurons=512), "a deeper one")
    used = {name: most for name, (most, _) in kept.used.items()}
    small = replace(image.sizes, axons=used["axons"] - 3, width=3, barrier=9)
    with pytest.raises(
        TargetError,
        match=r"found 3 numbers that do not fit:\n  - width: 2; the mesh has 3"
        r"\n  - barrier: 8; the mesh has 9\n  - core \d: \d+ axons; limit \d+; 3 too many",
    ):
        check_fits(kept, small, "small")


def test_convert_writes_it_and_check_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, bundle, out = tmp_path / "network.nir", tmp_path / "bundle", tmp_path / "image"
    write_nir(mlp(12, 20, 5), source)
    made = ["import", str(source), "--target", "open-core", "--out", str(bundle)]
    for line in (made, ["convert", str(bundle), "--rtl", str(out)], ["check", str(out)]):
        capsys.readouterr()
        assert code_of(line) == 0
    assert "whole; fits open-core" in capsys.readouterr().out
    assert code_of(["convert", str(bundle), "--rtl", str(out)]) == 2
    assert "an existing file" in capsys.readouterr().err
    assert code_of(["check", str(out), "--traffic"]) == 2
    assert (
        "--traffic: found an image of the open core; allowed: --target" in capsys.readouterr().err
    )
    assert code_of(["check", str(out), "--target", "loihi2"]) == 2
    assert "numbers that the open core does not have" in capsys.readouterr().err


def test_the_builtin_chip_is_a_build() -> None:
    sizes = build_of(load_chip("open-core"))
    assert (sizes.cores, sizes.neurons, sizes.synapses, sizes.barrier) == (16, 512, 32768, 8)


@pytest.mark.slow
@pytest.mark.skipif(build.presence().state == "missing", reason="no Verilator")
def test_the_circuits_answer_what_the_files_say(tmp_path: Path) -> None:
    """Replayed on the mesh; an answer that was changed is found."""
    written(tmp_path)
    kept = read_image(tmp_path / "image")
    assert replayed(kept) == []
    at = next(i for i, (word, _, value) in enumerate(kept.samples) if word == "r" and value == 1)
    kept.samples[at] = (*kept.samples[at][:2], 0)
    assert replayed(kept) == [at]
