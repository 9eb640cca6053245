"""``tssd simulate`` on a small bundle: tables, files, options, refusals."""

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import said
from spike_records import write_record
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.cli import cli
from tssd.errors import ConfigError, FileFormatError
from tssd.export.bundle.folder import read_bundle, write_bundle
from tssd.export.bundle.golden import make_golden
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.sim.record import SpikeRecord
from tssd.simulating.simulation import Request, simulate_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = random_conv_network(5, Reset.SOFT, time_steps=6)
    placement = place(network, load_chip("loihi2")).to_table()
    folder = tmp_path_factory.mktemp("sim") / "bundle"
    golden = make_golden(network, random_inputs(network, 1, 3))
    write_bundle(folder, network, placement=placement, golden=golden)
    return folder


def simulate(*arguments: str | Path) -> str:
    return said("simulate", *arguments)


def test_json_holds_totals_layers_time_line_and_mesh(bundle: Path) -> None:
    table = json.loads(simulate(bundle, "--samples", "2", "--json"))
    assert table["samples"] == 2
    assert len(table["timeline"]) == table["steps"]
    assert sum(layer["time_share"] for layer in table["layers"]) == pytest.approx(1)
    whole = sum(layer["energy_pj"]["nominal"] for layer in table["layers"])
    totals = table["totals"]
    assert totals["stepping_pj"]["nominal"] > 0
    assert totals["dynamic_pj"]["nominal"] == pytest.approx(
        whole + totals["stepping_pj"]["nominal"]
    )
    assert len(table["mesh"]) == 32
    assert max(cell["value"] for cell in table["mesh"]) > 0
    assert table["timeline"][0]["bottleneck"] == "barrier"  # a small network hides below the floor


def test_trace_is_valid_and_shows_cores_and_links(bundle: Path, tmp_path: Path) -> None:
    simulate(bundle, "--trace", tmp_path / "t.json", "--trace-from", "2", "--trace-steps", "2")
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert {e["ph"] for e in events} == {"X", "M"}
    for e in slices:  # what Chromium's format asks of a complete event
        assert isinstance(e["pid"], int)
        assert isinstance(e["tid"], int)
        assert isinstance(e["name"], str)
        assert e["ts"] >= 0
        assert e["dur"] >= 0
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert processes == {1: "cores", 2: "links", 3: "steps"}
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in slices if e["pid"] != 3} == named
    names = " ".join(e["args"]["name"] for e in events if e["ph"] == "M")
    assert "(conv0): synapses" in names
    assert "-> router (" in names
    assert [e["name"] for e in slices if e["pid"] == 3] == ["step 2", "step 3"]
    by_track: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for e in slices:
        by_track.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))
    for spans in by_track.values():  # no two slices of a track overlap
        spans.sort()
        assert all(a[1] <= b[0] + 1e-9 for a, b in zip(spans, spans[1:], strict=False))


def test_counters_as_csv_cover_every_core_and_step(bundle: Path, tmp_path: Path) -> None:
    table = json.loads(simulate(bundle, "--json", "--counters", tmp_path / "c.csv"))
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert len(rows) == table["steps"] * table["totals"]["cores"]
    assert all(float(r["finish_ns"]) <= float(r["step_ns"]) for r in rows)
    assert {r["layer"] for r in rows} == {layer["name"] for layer in table["layers"]}


def test_a_saved_run_is_priced_again_without_simulating(bundle: Path, tmp_path: Path) -> None:
    saved = tmp_path / "run.npz"
    first = json.loads(simulate(bundle, "--json", "--save", saved))
    same = json.loads(simulate(saved, "--price", "loihi2", "--json"))
    assert same["dynamic_pj"] == pytest.approx(first["totals"]["dynamic_pj"])
    assert same["static_pj"] == pytest.approx(first["totals"]["static_pj"])
    other = json.loads(simulate(saved, "--price", "loihi2-brief", "--json"))
    assert other["dynamic_pj"]["nominal"] != same["dynamic_pj"]["nominal"]
    with pytest.raises(FileFormatError, match="no saved run"):
        simulate(bundle / "golden.npz", "--price", "loihi2")


def test_a_run_says_which_command_makes_it_again(bundle: Path, tmp_path: Path) -> None:
    options = ["--samples", "2", "--timing", "bound", "--set", "noc.buffer=4"]
    saved = tmp_path / "run.npz"
    table = json.loads(simulate(bundle, *options, "--save", saved, "--json"))
    command = table.pop("command")
    again = json.loads(simulate(saved, "--price", "loihi2", "--json"))
    assert again["command"] == command
    program, subcommand, *words = shlex.split(command)
    assert (program, subcommand) == ("tssd", "simulate")
    same = json.loads(simulate(*words, "--json"))
    assert same.pop("command") == command
    assert same == table
    assert Request(bundle).command == f"tssd simulate {bundle}"


def test_settings_change_the_machine_and_bound_is_below_cycle(bundle: Path) -> None:
    fast = simulate_bundle(Request(bundle, mode="bound"))
    slow = simulate_bundle(Request(bundle, settings=(("time_ns.synop_conv", 100.0),)))
    assert slow.timing.us_per_step > 3 * fast.timing.us_per_step
    assert slow.timing.bottleneck() == "synapse"
    shallow = simulate_bundle(Request(bundle, settings=(("noc.buffer", 1.0),)))
    assert shallow.plan.machine.buffer_flits * 16 == fast.plan.machine.buffer_flits


def test_times_say_whether_a_host_is_in_them(bundle: Path) -> None:
    plain = simulate(bundle, "--samples", "1")
    assert "answer, without I/O" in plain
    assert "back to back, without I/O" in plain
    assert "host, beside these" not in plain
    known = ("--set", "host.spike_in=5400", "--set", "host.power_per_chip=0.02")
    found = simulate(bundle, "--samples", "1", "--host", *known)
    assert "answer, with the host's I/O" in found
    assert "limited by input from the host" in found
    assert "host, beside these" in found
    assert "--host" in Request(bundle, host=True).command
    with pytest.raises(ConfigError, match="found no figure of a host"):
        simulate(bundle, "--host", "--set", "host.spike_in=0")


def test_a_board_is_named_beside_its_power(bundle: Path) -> None:
    found = simulate(bundle, "--samples", "1", "--board", "vpx")
    assert "board vpx included" in found
    assert Request(bundle, board="vpx").command.endswith("--board vpx")


def test_another_chip_is_placed_afresh_and_that_is_said(bundle: Path) -> None:
    own, other = (
        simulate(bundle, "--samples", "1", "--timing", "bound", "--chip", chip)
        for chip in ("loihi2", "loihi2-n3c")
    )
    assert "placed afresh" not in own
    assert "placed afresh, on the fewest cores: the bundle's own placement is for" in other


def test_a_spike_record_is_timed_instead_of_simulated(bundle: Path, tmp_path: Path) -> None:
    names = [p.name for p in simulate_bundle(Request(bundle)).network.populations]
    nothing = {name: np.zeros((0, 2), np.int64) for name in names}
    spikes = {**nothing, "input": np.array([[0, 0], [2, 1]])}
    write_record(tmp_path / "r.npz", SpikeRecord(4, spikes, {}))
    table = json.loads(simulate(bundle, "--spikes", tmp_path / "r.npz", "--json"))
    assert table["steps"] == 4
    assert table["layers"][0]["spikes"] == 2


def test_bad_requests_are_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--samples: found 9; allowed: 1 .. 3"):
        simulate(bundle, "--samples", "9")
    with pytest.raises(ConfigError, match="--set: found buffers.link=deep"):
        simulate(bundle, "--set", "buffers.link=deep")
    with pytest.raises(ConfigError, match=r"no number 'buffers.lnk'"):
        simulate(bundle, "--set", "buffers.lnk=3")
    with pytest.raises(ConfigError, match=r"buffers.link: found 0; allowed: above 0"):
        simulate(bundle, "--set", "buffers.link=0")
    with pytest.raises(FileFormatError, match="no inputs"):
        simulate(bundle, "--inputs", tmp_path / "none.npz")
    with pytest.raises(ConfigError, match="trace: found 4 steps from 99"):
        simulate(bundle, "--trace", tmp_path / "t.json", "--trace-from", "99")


def test_a_run_is_saved_under_the_very_name_that_is_told(bundle: Path, tmp_path: Path) -> None:
    said = simulate(bundle, "--save", tmp_path / "run")
    assert f"wrote {tmp_path / 'run'}\n" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert "dynamic" in simulate(tmp_path / "run", "--price", "loihi2")


@pytest.mark.parametrize("option", ["--trace", "--counters", "--save"])
def test_outputs_are_tried_before_the_simulation(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"{option} .*: found no folder .*none"):
        simulate(tmp_path / "no bundle", option, tmp_path / "none" / "x")


def test_input_from_outside_and_formats_are_options(bundle: Path, tmp_path: Path) -> None:
    own = json.loads(simulate(bundle, "--samples", "1", "--json"))
    options = ("--input-from", "outside", "--format", "input->conv0=sparse", "--timing", "bound")
    found = json.loads(simulate(bundle, "--samples", "1", *options, "--json"))
    assert found["placement"] == "afresh"
    assert found["totals"]["cores"] == own["totals"]["cores"] - own["layers"][0]["cores"]
    assert found["layers"][0]["cores"] == 0
    assert all(words in found["command"] for words in ("outside", "'input -> conv0=sparse'"))
    saved = tmp_path / "run.npz"
    simulate(bundle, "--samples", "1", *options, "--save", saved)
    again = json.loads(simulate(saved, "--price", "loihi2", "--json"))
    for name in ("dynamic_pj", "static_pj"):
        assert again[name]["nominal"] == pytest.approx(found["totals"][name]["nominal"])
    placement = ("--placement", bundle / "placement.json")
    with pytest.raises(ConfigError, match="--input-from, --format: found a placement of your own"):
        simulate(bundle, *options, *placement)


def test_check_honours_what_a_bundle_was_laid_out_by(bundle: Path, tmp_path: Path) -> None:
    def check(*arguments: str | Path) -> str:
        return CliRunner().invoke(cli, ["check", *map(str, arguments)]).output

    out = tmp_path / "p.json"
    told = check(bundle, "--input-from", "outside", "--out", out)
    assert "input comes from outside, through a port" in told
    network = read_bundle(bundle).network
    golden = make_golden(network, random_inputs(network, 1, 1))
    placed = json.loads(out.read_text())
    write_bundle(tmp_path / "b", network, placement=placed, golden=golden)
    assert "through a port" in check(tmp_path / "b")
    assert "through a port" not in check(tmp_path / "b", "--input-from", "cores")
    wrong = ["check", str(bundle), "--input-from", "outside", "--placement", str(out)]
    refused = CliRunner().invoke(cli, wrong).exception
    assert "a placement file says both itself" in str(refused)
    assert "fits loihi2-n3b" in check(bundle, "--placement", out)


def test_check_counts_compartments_on_loihi_1(bundle: Path) -> None:
    told = CliRunner().invoke(cli, ["check", str(bundle), "--target", "loihi1"]).output
    assert "takes 2 compartments a neuron on loihi1-nahuku" in told
    assert " of 1,024" in told
    assert "compartments" not in CliRunner().invoke(cli, ["check", str(bundle)]).output
