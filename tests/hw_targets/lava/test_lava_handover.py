"""The hand-over script: stands alone, and on the CPU configuration logs the expected counts."""

import ast
import subprocess
from pathlib import Path

import pytest
from lava_environment import needs_lava
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import InputCoding, IntNetwork, Reset
from tssd.calibration.simulate import layerwise
from tssd.calibration.tally import tally
from tssd.checks.measured import compare_log, read_log
from tssd.export.bundle.golden import make_golden, to_bytes
from tssd.export.netx.write import write_netx
from tssd.hw_targets.lava import environment
from tssd.hw_targets.lava.handover import SCRIPT, handover_script, reset_interval


def kit(folder: Path, network: IntNetwork) -> Path:
    """What a bundle holds of it: network.net, golden.npz and the script."""
    write_netx(network, folder / "network.net")
    golden = make_golden(network, random_inputs(network, 1, batch=3))
    (folder / "golden.npz").write_bytes(to_bytes(golden))
    (folder / SCRIPT).write_text(handover_script(network), encoding="utf-8")
    return folder / SCRIPT


def test_the_script_is_python_that_needs_nothing_of_tssd() -> None:
    network = random_conv_network(1, Reset.HARD)
    tree = ast.parse(handover_script(network), feature_version=(3, 10))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    roots = {alias.name.split(".")[0] for n in imports for alias in n.names}
    roots |= {(n.module or "").split(".")[0] for n in imports if isinstance(n, ast.ImportFrom)}
    assert "lava" in roots
    assert "tssd" not in roots


@pytest.mark.parametrize(("steps", "interval"), [(4, 4), (5, 8), (16, 16), (17, 32)])
def test_the_chip_resets_at_powers_of_two(steps: int, interval: int) -> None:
    network = random_conv_network(1, Reset.HARD, time_steps=steps)
    assert reset_interval(network) == interval


@pytest.mark.lava
@needs_lava("full")
@pytest.mark.parametrize("coding", [InputCoding.GRADED, InputCoding.SPIKES])
def test_on_the_cpu_it_logs_the_expected_counts(tmp_path: Path, coding: InputCoding) -> None:
    network = random_conv_network(3, Reset.HARD, time_steps=5, coding=coding)
    script = kit(tmp_path, network)
    python = environment.locate("full").python
    done = subprocess.run([python, script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    log = read_log(tmp_path / "measured.csv")
    counted = tally(layerwise(network, random_inputs(network, 1, batch=3)))
    spikes = {name: counted.spikes(name) for name in counted.events}
    rows = compare_log(log, spikes, 3, {})
    assert [row.status for row in rows if row.name.endswith("spikes")].count("pass") == len(
        log.spikes
    )
    assert log.samples == 3
    assert sum(log.spikes.values()) > 0
