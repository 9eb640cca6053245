"""The one subprocess that runs Lava: its last words are shown, its time is bounded, its children
end with it. Plain Python scripts stand for Lava here."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.errors import TargetError
from tssd.hw_targets.lava import engine, environment
from tssd.hw_targets.lava.engine import LavaOptions

NETWORK = random_conv_network(1, Reset.HARD)


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    runner = folder / "runner.py"
    runner.write_text(script)
    here = environment.Environment("full", Path(sys.executable), {})
    monkeypatch.setattr(environment, "locate", lambda flavour: here)
    monkeypatch.setattr(engine, "RUNNER", runner)


def test_a_failure_shows_the_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    words = "import sys; [print('line', i) for i in range(99)]; sys.exit('No compiler found')"
    stand_in(monkeypatch, tmp_path, words)
    with pytest.raises(TargetError, match=r"(?s)exit 1\n.*line 98\nNo compiler found") as told:
        engine.run(NETWORK, random_inputs(NETWORK, 2))
    assert "line 50" not in str(told.value)


def test_past_its_time_it_is_ended_with_its_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lava is a process per node: none may stay behind."""
    note = tmp_path / "child"
    script = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"part = pathlib.Path({str(note)!r} + '.part'); part.write_text(str(child.pid))\n"
        f"part.rename({str(note)!r})\n"
        "print('step 3 of 9', flush=True); time.sleep(600)\n"
    )
    stand_in(monkeypatch, tmp_path, script)
    with pytest.raises(TargetError, match=r"no result after 5 s\nstep 3 of 9"):
        engine.run(NETWORK, random_inputs(NETWORK, 2), options=LavaOptions(limit_s=5))
    assert ends(int(note.read_text()))


STARTER = """
import json, os, pathlib, subprocess, sys
runner, job, data = sys.argv[1:]
pathlib.Path(job).write_text(json.dumps({"parent": os.getpid(), "data": data}))
runner = subprocess.Popen([sys.executable, runner, job], start_new_session=True)
print(runner.pid, flush=True)
runner.wait()
"""


def test_the_runner_ends_when_tssd_is_killed(tmp_path: Path) -> None:
    """It waits for its data here, as it may for a node that hangs."""
    job, data = tmp_path / "job.json", tmp_path / "data"
    os.mkfifo(data)
    command = [sys.executable, "-c", STARTER, str(engine.RUNNER), str(job), str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        runner = int(starter.stdout.readline())
        assert _alive(runner)
        starter.kill()
    assert ends(runner)


def ends(pid: int, within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not _alive(pid)


def _alive(pid: int) -> bool:
    """A zombie that nobody has waited for yet is not alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_child_that_outlives_a_failure_delays_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A node of Lava that hangs holds standard error open; the reason is told all the same."""
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    stand_in(monkeypatch, tmp_path, f"import subprocess, sys; {child}; sys.exit('broken graph')")
    with pytest.raises(TargetError, match=r"exit 1\nbroken graph"):
        engine.run(NETWORK, random_inputs(NETWORK, 2), options=LavaOptions(limit_s=60))


def test_netx_needs_a_file_for_each_network() -> None:
    with pytest.raises(TargetError, match=r"0 netx file\(s\); allowed: 1"):
        engine.run(NETWORK, random_inputs(NETWORK, 2), mode="netx")
