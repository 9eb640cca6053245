"""``--optimise``: what a bundle keeps of it, and where it cannot act."""

import json
from pathlib import Path
from typing import Any

import front_nets
import numpy as np
import pytest
from command_line import ran
from netx_files import small_image_network, write_net

import tssd
from tssd.calibration.int_network import InputCoding
from tssd.chain.importing import ImportOptions, import_bundle
from tssd.chain.pipeline import ExportOptions
from tssd.errors import ConfigError
from tssd.export.bundle.folder import Bundle, read_bundle
from tssd.hw_targets.mapping.choices import Choices, InputFrom, SynapseFormat
from tssd.hw_targets.optimising.goal import Goal

FAST = "placed for time: "
CHIP = """name = "prompt"
title = "Loihi 2 with next to no barrier, which would hide the work of a small network"
calibrated_on = []
extends = "loihi2"
[time_ns]
barrier = [{ count = 1, value = 1, unit = "ns", kind = "assumed", source = "for a test" }]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small integer network, and samples that keep it busy."""
    rng, made = np.random.default_rng(4), tmp_path_factory.mktemp("placing")
    write_net(made / "trained.net", small_image_network(rng))
    np.save(made / "x.npy", rng.integers(0, 2, (3, 1, 6, 6)))
    (made / "prompt.toml").write_text(CHIP)
    return made


@pytest.fixture(scope="module")
def bundles(folder: Path) -> dict[Goal, Bundle]:
    def made(goal: Goal) -> Bundle:
        export = ExportOptions(target=str(folder / "prompt.toml"), optimise=goal)
        options = ImportOptions(4, samples=folder / "x.npy", export=export)
        return import_bundle(folder / "trained.net", folder / str(goal), options)

    return {goal: made(goal) for goal in (Goal.CORES, Goal.TIME)}


def cores(bundle: Bundle) -> int:
    assert bundle.placement is not None
    found: list[Any] = bundle.placement["cores"]
    return len(found)


def test_a_bundle_keeps_what_its_placement_bought(bundles: dict[Goal, Bundle]) -> None:
    plain, fast = bundles[Goal.CORES], bundles[Goal.TIME]
    assert "placed" not in plain.manifest
    placed = fast.manifest["placed"]
    assert placed["for"] == "time"
    assert placed["samples"] == 3
    assert placed["taken"]["cores"] == cores(fast) > cores(plain) == placed["smallest"]["cores"]
    assert placed["taken"]["us_per_step"] <= placed["smallest"]["us_per_step"]
    assert [note for note in fast.manifest["notes"] if note.startswith(FAST)]


def test_the_answers_do_not_depend_on_the_placement(bundles: dict[Goal, Bundle]) -> None:
    plain, fast = bundles[Goal.CORES].golden, bundles[Goal.TIME].golden
    assert plain is not None
    assert fast is not None
    for name, counts in plain.counts.items():
        assert np.array_equal(counts, fast.counts[name])
    assert np.array_equal(plain.readout, fast.readout)


def test_simulate_and_report_take_it_as_it_is(bundles: dict[Goal, Bundle]) -> None:
    fast = bundles[Goal.TIME]
    done = json.loads(ran("simulate", str(fast.folder), "--json").output)
    assert done["totals"]["cores"] == cores(fast)
    assert ran("verify", str(fast.folder), "--against", "sim", "--samples", "2").exit_code == 0
    assert FAST in ran("report", str(fast.folder)).output + "".join(
        path.read_text(encoding="utf-8") for path in fast.folder.rglob("report.md")
    )


def test_check_says_what_a_placement_would_take(bundles: dict[Goal, Bundle]) -> None:
    folder = str(bundles[Goal.CORES].folder)
    prompt = str(bundles[Goal.CORES].folder / "chip.toml")
    table = json.loads(ran("check", folder, "--optimise", "energy", "--json").output)
    assert table["placed"]["for"] == "energy"
    assert (
        table["placed"]["taken"]["uj_per_inference"]
        <= (table["placed"]["smallest"]["uj_per_inference"])
    )
    assert FAST in ran("check", folder, "--optimise", "time", "--target", prompt).output


def test_check_writes_the_placement_that_it_speaks_of(
    bundles: dict[Goal, Bundle], tmp_path: Path
) -> None:
    folder, out = str(bundles[Goal.CORES].folder), tmp_path / "p.json"
    target = ("--target", str(bundles[Goal.CORES].folder / "chip.toml"))
    ran("check", folder, "--optimise", "time", "--out", str(out), *target)
    assert len(json.loads(out.read_text())["cores"]) == cores(bundles[Goal.TIME])
    assert "fits prompt" in ran("check", folder, "--placement", str(out), *target).output


def test_without_samples_there_is_no_activity_to_go_by(
    folder: Path, bundles: dict[Goal, Bundle], tmp_path: Path
) -> None:
    options = ImportOptions(4, export=ExportOptions(optimise=Goal.ENERGY))
    with pytest.raises(ConfigError, match=r"--optimise energy: found no samples.*\n.*--inputs"):
        import_bundle(folder / "trained.net", tmp_path / "b", options)
    network = bundles[Goal.CORES].folder / "network.nir"
    with pytest.raises(ConfigError, match="--optimise time: found no samples"):
        ran("check", str(network), "--optimise", "time")


def test_a_placement_of_ones_own_is_not_optimised(
    bundles: dict[Goal, Bundle], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--optimise time: found a placement of your own"):
        ExportOptions(placement=tmp_path / "p.json", optimise=Goal.TIME)
    folder = bundles[Goal.CORES].folder
    with pytest.raises(ConfigError, match="--optimise time: found a placement of your own"):
        ran("check", str(folder), "--placement", str(folder / "placement.json"), "--optimise",
             "time")  # fmt: skip


def test_a_layout_of_ones_own_is_optimised_too_and_told(folder: Path, tmp_path: Path) -> None:
    """The port takes no core; the format stays; simulation and report have both."""
    layout = Choices({"conv1 -> fc1": SynapseFormat.SPARSE}, InputFrom.OUTSIDE)
    export = ExportOptions(target=str(folder / "prompt.toml"), optimise=Goal.TIME, layout=layout)
    options = ImportOptions(4, InputCoding.SPIKES, samples=folder / "x.npy", export=export)
    made = import_bundle(folder / "trained.net", tmp_path / "b", options)
    assert made.placement is not None
    assert made.placement["input_from"] == "outside"
    assert made.placement["formats"] == {"conv1 -> fc1": "sparse"}
    told = " ".join(made.manifest["notes"])
    assert "through a port at the first chip's corner" in told
    assert FAST in told
    done = json.loads(ran("simulate", str(made.folder), "--json").output)
    assert (done["placement"], done["layers"][0]["cores"]) == ("own", 0)
    assert ran("verify", str(made.folder), "--against", "sim").exit_code == 0
    assert "through a port" in (made.folder / "report" / "report.md").read_text(encoding="utf-8")


def test_a_placement_of_ones_own_has_its_own_layout(tmp_path: Path) -> None:
    layout = Choices(input_from=InputFrom.OUTSIDE)
    with pytest.raises(ConfigError, match="--input-from, --format: found a placement of your own"):
        ExportOptions(placement=tmp_path / "p.json", layout=layout)


def test_from_python(tmp_path: Path) -> None:
    images = front_nets.samples()
    made = tssd.export(  # type: ignore[operator]
        front_nets.Looped(), images, target="loihi2", out=tmp_path / "x", optimise="time"
    )
    assert read_bundle(made.folder).manifest["placed"]["for"] == "time"
    assert "placed for time" in repr(made)
    with pytest.raises(ConfigError, match="unknown goal 'tme'.*\n.*did you mean 'time'"):
        tssd.export(  # type: ignore[operator]
            front_nets.Looped(), images, target="loihi2", out=tmp_path / "y", optimise="tme"
        )
