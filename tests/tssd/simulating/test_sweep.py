"""``tssd sweep``: the grid, the points, the table."""

import csv
import json
import re
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import said
from strategies import random_conv_network, random_inputs

from tssd import terminal
from tssd.calibration.int_network import Reset
from tssd.cli import cli, main
from tssd.errors import ConfigError, TargetError
from tssd.export.bundle.folder import write_bundle
from tssd.export.bundle.golden import make_golden
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.mapping.placement import place
from tssd.simulating import sweep
from tssd.simulating.simulation import Request
from tssd.simulating.sweep import (
    MapPoints,
    Point,
    in_processes,
    on_cluster,
    parse_axes,
    requests,
    simulate_point,
    with_setting,
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = random_conv_network(5, Reset.HARD, time_steps=3)
    folder = tmp_path_factory.mktemp("sweep") / "bundle"
    write_bundle(folder, network, golden=make_golden(network, random_inputs(network, 1, 1)))
    return folder


def test_the_grid_holds_every_combination_in_order() -> None:
    axes = parse_axes(["noc.buffer=2,4", "chip=loihi2,loihi2-brief"])
    points = requests(Request(Path("b")), axes)
    assert [(p.settings[0][1], p.chip) for p in points] == [
        (2.0, "loihi2"),
        (2.0, "loihi2-brief"),
        (4.0, "loihi2"),
        (4.0, "loihi2-brief"),
    ]


def test_points_differ_where_the_chips_do_and_a_refusal_is_a_row(bundle: Path) -> None:
    axes = parse_axes(["chip=loihi2,loihi2-brief,loihi1-nahuku"])
    first, second, refused = map(simulate_point, requests(Request(bundle), axes))
    assert first.us_per_step is not None
    assert second.us_per_step is not None
    assert second.us_per_step < first.us_per_step  # 0.2 us instead of 1.77 us of barrier
    assert refused.us_per_step is None
    assert refused.error is not None
    assert "loihi1-nahuku" in refused.error


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="--set: found noc.buffer; allowed: NAME=VALUE"):
        parse_axes(["noc.buffer"])
    with pytest.raises(ConfigError, match="--set: found noc.buffer=deep"):
        requests(Request(Path("b")), parse_axes(["noc.buffer=deep"]))


def test_a_dask_cluster_gives_the_same_points_in_order(bundle: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    points = requests(Request(bundle), parse_axes(["chip=loihi2,loihi1-nahuku", "noc.buffer=1,8"]))
    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": False}
    with distributed.LocalCluster(**settings, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert list(on_cluster(address)(simulate_point, points)) == [*map(simulate_point, points)]
        arguments = ["sweep", str(bundle), "--set", "noc.buffer=1,8", "--cluster", address]
        result = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    assert [row["noc.buffer"] for row in json.loads(result.stdout)] == [1.0, 8.0]


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with pytest.raises(ConfigError, match=r"--cluster: found nonsense://x .*allowed: the address"):
        list(on_cluster("nonsense://x")(simulate_point, []))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(TargetError, match=r"(?s)no package distributed.*pip install 'tssd\[dask"):
        on_cluster("tcp://127.0.0.1:8786")


def test_whatever_stops_a_point_is_its_row(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(request: Request) -> str:
        point = simulate_point(request)
        assert point.us_per_step is None
        return point.error or ""

    assert refusal(Request(tmp_path / "none")).startswith(f"{tmp_path / 'none' / 'manifest.json'}:")
    zero = with_setting(Request(bundle), "noc.buffer", "0")
    assert "1 mistake: - buffers.link: found 0; allowed: above 0" in refusal(zero)

    def full(request: Request) -> None:
        raise MemoryError

    monkeypatch.setattr(sweep, "prepared", full)
    assert refusal(Request(bundle)) == "MemoryError"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--set noc.bufer=2,4", "found no number 'noc.bufer'"),
        ("--set buffers.link=2 --set time_ns.spik=1", "did you mean 'time_ns.spike'"),
        ("--set chip=loihi2,loihi3", "'loihi2'"),
        ("--set chip=loihi2,loihi1 --board vpx", "board of chip loihi1-nahuku: found 'vpx'"),
        ("--set noc.buffer=2 --workers 0", "Invalid value for '--workers'"),
        ("--set noc.buffer=2 --samples 0", "Invalid value for '--samples'"),
        ("--set noc.buffer=2 --csv /proc/none/x.csv", "--csv /proc/none/x.csv: found no folder"),
    ],
)
def test_mistyped_settings_are_messages_before_the_work(
    words: str,
    said: str,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sweep, "in_processes", None)  # no worker is asked for anything
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", str(bundle), *words.split()])
    heard = capsys.readouterr().err
    assert (stopped.value.code, said in heard) == (2, True), heard


def test_the_csv_grows_row_by_row(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.csv"
    grown: list[int] = []

    def here(workers: int | None) -> MapPoints:
        def points(
            function: Callable[[Request], Point], asked: Sequence[Request]
        ) -> Generator[Point, None, None]:
            for request in asked:
                yield function(request)
                grown.append(len(out.read_text().splitlines()))
            raise KeyboardInterrupt

        return points

    monkeypatch.setattr(sweep, "in_processes", here)
    words = ["sweep", str(bundle), "--set", "buffers.link=1,0,16", "--csv", str(out)]
    CliRunner().invoke(cli, words)
    assert grown == [2, 3, 4]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [bool(row["error"]) for row in rows] == [False, True, False]


def test_host_and_board_act_on_every_point_and_are_told(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "in_processes", lambda workers: _one_by_one)
    given = ["sweep", str(bundle), "--set", "host.spike_in=9000,90000", "--timing", "bound"]
    plain, both = (
        CliRunner().invoke(cli, [*given, *options], catch_exceptions=False).stdout
        for options in ((), ("--board", "vpx", "--host"))
    )
    assert "times are without I/O\n" in plain
    assert "times are with the host's I/O, static energy with board vpx\n" in both
    assert "--board vpx --host --set host.spike_in=9000" in both
    rows = json.loads(CliRunner().invoke(cli, [*given, "--host", "--json"]).stdout)
    assert rows[0]["host_pj"] == 0  # power_per_chip is not given
    assert 5 < rows[1]["us_per_step"] / rows[0]["us_per_step"] <= 10


GONE = "90 % interval, cores"  # of a window of 80 columns


def test_in_a_narrow_window_a_point_is_one_line_and_a_reason_stands_below_once(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "in_processes", lambda workers: _one_by_one)
    words = ["sweep", bundle, "--set", "noc.buffer=2,4", "--set", "chip=loihi2,loihi1-nahuku"]
    shown, told = {}, {}
    for width in (80, 200):
        monkeypatch.setattr(terminal, "window_width", lambda width=width: width)
        _, head, _, *rows = said(*words, "--csv", tmp_path / "x.csv").splitlines()
        assert max(map(len, [head, *rows[:4]])) <= width
        assert [row.split()[:2] for row in rows[:4]] == [
            [buffer, chip] for buffer in ("2.0", "4.0") for chip in ("loihi2", "loihi1-nahuku")
        ]
        assert [row.split()[-2:] for row in rows[1:4:2]] == [["✘", "1"]] * 2
        shown[width], told[width] = set(re.split(r" {2,}", head.strip())), rows[4:]
    assert shown[200] - shown[80] == set(GONE.split(", "))
    assert set(told[80]) - set(told[200]) == {
        f"no room here for: {GONE}; --csv and --json have them"
    }
    [reason] = [line for line in told[200] if line.startswith("✘")]
    assert reason.startswith("✘ 1: target loihi1-nahuku: found 1 broken rule")
    [first, *_] = csv.DictReader((tmp_path / "x.csv").read_text().splitlines())
    assert float(first["dynamic_low_pj"]) < float(first["dynamic_high_pj"])
    assert int(first["cores"]) > 0


def test_points_on_another_chip_say_that_they_are_placed_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "in_processes", lambda workers: _one_by_one)
    network = random_conv_network(5, Reset.HARD, time_steps=3)
    placement = place(network, load_chip("loihi2")).to_table()
    golden = make_golden(network, random_inputs(network, 1, 1))
    write_bundle(tmp_path / "b", network, placement=placement, golden=golden)
    words = ["sweep", str(tmp_path / "b"), "--set", "chip=loihi2,loihi2-n3c"]
    told = CliRunner().invoke(cli, words, catch_exceptions=False).stdout
    assert "1 of 2 points placed afresh, on the fewest cores: " in told


def _one_by_one(
    function: Callable[[Request], Point], points: Sequence[Request]
) -> Generator[Point, None, None]:
    yield from map(function, points)


@pytest.mark.slow
def test_processes_give_the_same_points_and_the_command_prints_one_row_each(bundle: Path) -> None:
    points = requests(Request(bundle), parse_axes(["buffers.link=1,16"]))
    assert list(in_processes(2)(simulate_point, points)) == [simulate_point(p) for p in points]
    arguments = ["sweep", str(bundle), "--set", "buffers.link=1,16", "--json"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert [row["buffers.link"] for row in json.loads(result.stdout)] == [1.0, 16.0]
