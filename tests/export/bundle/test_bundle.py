"""The bundle: whole or not at all, the same bytes, every damage named."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from strategies import random_conv_network, random_inputs, residual_network

from tssd import atomic
from tssd.calibration.int_network import Activity, IntNetwork, Reset
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import layerwise, pipelined
from tssd.contracts import require
from tssd.errors import ConfigError, ContractError, FileFormatError, NetworkError
from tssd.export.bundle import golden
from tssd.export.bundle.folder import Bundle, check_golden, read_bundle, write_bundle
from tssd.export.nir.integers.graph import NirMode
from tssd.export.nir.integers.roundtrip import first_difference

PLACEMENT = {"chip": "loihi2", "cores": [{"population": "conv0", "neurons": [0, 9]}]}


def network_of(reset: Reset = Reset.HARD) -> IntNetwork:
    return random_conv_network(3, reset, memory=True)


def export(folder: Path, network: IntNetwork | None = None, **options: Any) -> Bundle:
    network = network or network_of()
    records = golden.make_golden(network, random_inputs(network, 1))
    return write_bundle(
        folder,
        network,
        placement=PLACEMENT,
        golden=records,
        manifest_extra={"config": {"bits": 8}, "seed": 7},
        extra_files={"network.onnx": b"graph"},
        **options,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_written_bundle_reads_back(tmp_path: Path) -> None:
    export(tmp_path / "b")
    bundle = read_bundle(tmp_path / "b")
    assert first_difference(bundle.network, network_of()) is None
    assert bundle.placement == PLACEMENT
    assert (bundle.manifest["seed"], bundle.manifest["config"]) == (7, {"bits": 8})
    assert bundle.manifest["netx"] == {"written": True, "reasons": []}
    assert bundle.file("network.onnx").read_bytes() == b"graph"
    assert set(contents(tmp_path / "b")) == {*bundle.manifest["files"], "manifest.json"}
    require(check_golden(bundle, pipelined))


def test_same_inputs_same_bytes(tmp_path: Path) -> None:
    export(tmp_path / "a")
    time.sleep(1.1)  # formats with a clock stamp whole seconds
    export(tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_netx_refusal_is_in_the_manifest(tmp_path: Path) -> None:
    bundle = export(tmp_path / "b", network_of(Reset.SOFT))
    assert not (tmp_path / "b" / "network.net").exists()
    assert not bundle.manifest["netx"]["written"]
    assert any("soft reset" in reason for reason in bundle.manifest["netx"]["reasons"])


def test_golden_contract_names_population_and_place(tmp_path: Path) -> None:
    bundle = export(tmp_path / "b")

    def wrong(network: IntNetwork, inputs: IntArray) -> Activity:
        activity = layerwise(network, inputs)
        spikes = {name: s.copy() for name, s in activity.spikes.items()}
        spikes["conv0"][2, 0, 0, 1, 1] ^= 1
        return replace(activity, spikes=spikes, readout=activity.readout + 1)

    failed = [row for row in check_golden(bundle, wrong) if row.status == "fail"]
    assert [(row.name, row.found) for row in failed] == [
        ("golden: spike counts", "1 differ"),
        ("golden: spikes of sample 0", "1 differ"),
        ("golden: membranes", "15 differ"),
    ]
    assert failed[1].where == "conv0 at (2, 0, 1, 1)"
    with pytest.raises(ContractError, match=r"golden: spike counts \(conv0 at \(0, 0, 1, 1\)\)"):
        require(failed)


def test_populations_that_an_engine_hides_are_not_run(tmp_path: Path) -> None:
    bundle = export(tmp_path / "b")

    def terse(network: IntNetwork, inputs: IntArray) -> Activity:
        activity = layerwise(network, inputs)
        spikes = {name: s for name, s in activity.spikes.items() if name != "input"}
        return replace(activity, spikes=spikes)

    rows = check_golden(bundle, terse)
    assert [row.where for row in rows if row.status == "not run"] == [
        "input: the engine does not report it"
    ]
    assert not [row for row in rows if row.status == "fail"]


def test_golden_records_survive_their_file() -> None:
    network = residual_network(1, Reset.SOFT)
    records = golden.make_golden(network, random_inputs(network, 0))
    again = golden.from_bytes(golden.to_bytes(records), network, "g")
    np.testing.assert_array_equal(again.inputs, records.inputs)
    np.testing.assert_array_equal(again.readout, records.readout)
    for name, counts in records.counts.items():
        np.testing.assert_array_equal(again.counts[name], counts)
        np.testing.assert_array_equal(again.spikes[name], records.spikes[name])
    assert golden.to_bytes(again) == golden.to_bytes(records)


def test_golden_inputs_in_another_memory_order_survive_too() -> None:
    """Samples of a user come as they are: a transposed image, say."""
    network = residual_network(1, Reset.SOFT)
    inputs = random_inputs(network, 0)
    records = golden.make_golden(network, np.asfortranarray(inputs))
    again = golden.from_bytes(golden.to_bytes(records), network, "g")
    np.testing.assert_array_equal(again.inputs, inputs)


def test_golden_damage_is_named() -> None:
    network = network_of()
    data = golden.to_bytes(golden.make_golden(network, random_inputs(network, 0)))
    middle = len(data) // 3
    flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
    for broken in (b"", data[:200], data[: len(data) // 2], flipped):
        with pytest.raises(FileFormatError, match="g: found damaged golden records"):
            golden.from_bytes(broken, network, "g")
    with pytest.raises(FileFormatError, match="no item named 'counts/a.npy'"):
        golden.from_bytes(data, residual_network(0, Reset.HARD), "g")


def test_existing_folder_is_refused_then_replaced(tmp_path: Path) -> None:
    export(tmp_path / "b")
    with pytest.raises(ConfigError, match="something that exists already"):
        export(tmp_path / "b")
    export(tmp_path / "b", network_of(Reset.SOFT), force=True, nir_mode=NirMode.EXACT)
    assert read_bundle(tmp_path / "b").network.populations[1].reset is Reset.SOFT
    assert "conv0_reset" in nir.read(tmp_path / "b" / "network.nir", type_check=False).nodes
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_force_is_advised_only_where_it_helps(tmp_path: Path) -> None:
    export(tmp_path / "b")
    with pytest.raises(ConfigError, match="something that exists") as caught:
        export(tmp_path / "b")
    assert caught.value.hint == "choose another name, or use --force to replace the bundle there"
    (tmp_path / "b" / "mine.txt").touch()
    with pytest.raises(ConfigError, match="something that exists") as caught:
        export(tmp_path / "b")
    assert caught.value.hint == "choose another name"


def test_replacing_works_without_an_atomic_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(tmp_path / "b")
    monkeypatch.setattr(atomic, "_rename_exchange", lambda a, b: False)
    export(tmp_path / "b", network_of(Reset.SOFT), force=True)
    assert read_bundle(tmp_path / "b").network.populations[1].reset is Reset.SOFT
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_failing_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="Circular|not JSON|plain JSON"):
        write_bundle(tmp_path / "b", network_of(), placement={"a": object()})
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, "tests/support")
from strategies import random_conv_network
from tssd.calibration.int_network import Reset
from tssd.export.bundle import folder as bundle
real = bundle.write_netx
def slow(network, path):
    real(network, path)
    print("ready", flush=True)
    time.sleep(60)
bundle.write_netx = slow
bundle.write_bundle(Path(sys.argv[1]), random_conv_network(3, Reset.HARD))
"""


@pytest.fixture
def halfway(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """An export that sleeps in the middle."""
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", KILLED, str(tmp_path / "b")]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_a_killed_export_leaves_no_bundle(tmp_path: Path, halfway: "subprocess.Popen[str]") -> None:
    export(tmp_path / "c")
    assert any(path.name.startswith(".b.") for path in tmp_path.iterdir())
    os.kill(halfway.pid, signal.SIGKILL)
    halfway.wait()
    assert not (tmp_path / "b").exists()
    with pytest.raises(FileFormatError, match="no such file"):
        read_bundle(tmp_path / "b")
    export(tmp_path / "b")  # and the next one clears what the killed one left
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]


@pytest.mark.parametrize("name", ["network.nir", "network.net", "golden.npz", "placement.json"])
def test_changed_file_is_named(tmp_path: Path, name: str) -> None:
    export(tmp_path / "b")
    path = tmp_path / "b" / name
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(FileFormatError, match=rf"{name}: found SHA-256"):
        read_bundle(tmp_path / "b")
    path.unlink()
    with pytest.raises(FileFormatError, match=rf"{name}: found no such file"):
        read_bundle(tmp_path / "b")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("{", "no valid JSON"),
        ("[]", "found a list; allowed: an object"),
        ('{"schema": "tssd-bundle/9"}', "found schema 'tssd-bundle/9'"),
        ({"files": {"../x": "0"}}, r"file name '\.\./x'"),
        ({"files": {"x": 0}}, r"files\[...\]: found a whole number; allowed: a text"),
        ({"files": {}}, "a manifest without network.nir"),
        ({"netx": {"written": 1}}, "netx.written: found 1; allowed: true or false"),
        ({"notes": "a"}, "notes: found 'a'; allowed: a list"),
        ({"target": ["a"]}, "target: found a list; allowed: a text"),
        ({"contracts": [{"name": "a"}]}, r"contracts\[0\]: found no status"),
    ],
)
def test_damaged_manifest(tmp_path: Path, manifest: str | dict[str, Any], words: str) -> None:
    export(tmp_path / "b")
    path = tmp_path / "b" / "manifest.json"
    table = json.loads(path.read_text())
    path.write_text(manifest if isinstance(manifest, str) else json.dumps(table | manifest))
    with pytest.raises(FileFormatError, match=words):
        read_bundle(tmp_path / "b")


def test_bundle_without_records(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", network_of())
    bundle = read_bundle(tmp_path / "b")
    assert bundle.golden is None
    assert bundle.placement is None
    with pytest.raises(FileFormatError, match=r"no golden\.npz"):
        check_golden(bundle, layerwise)
    with pytest.raises(FileFormatError, match=r"no network\.onnx; allowed: network\.net"):
        bundle.file("network.onnx")


def test_names_of_extra_files_are_checked(tmp_path: Path) -> None:
    for name in ("a/b", "..", ".hidden", ""):
        with pytest.raises(FileFormatError, match="a plain file name"):
            write_bundle(tmp_path / "b", network_of(), extra_files={name: b""})
    with pytest.raises(FileFormatError, match=r"found network\.nir"):
        write_bundle(tmp_path / "b", network_of(), extra_files={"network.nir": b""})
    with pytest.raises(NetworkError, match="extra key 'files'"):
        write_bundle(tmp_path / "b", network_of(), manifest_extra={"files": {}})
    assert list(tmp_path.iterdir()) == []


def test_manifest_has_no_clock(tmp_path: Path) -> None:
    export(tmp_path / "b")
    table = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert set(table) == {"schema", "files", "netx", "network", "versions", "config", "seed"}
