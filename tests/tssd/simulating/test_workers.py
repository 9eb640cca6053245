"""Worker processes: what dies is known, the others go on, none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tssd.errors import ConfigError, TssdError
from tssd.simulating.workers import Worker, answers


def act(what: str) -> str | TssdError | tuple[str, int]:
    """In the worker."""
    match what:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            os._exit(3)
        case "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        case "refuse":
            return ConfigError("--set", found="x", allowed="y", hint="z")
    return what, os.getpid()


def test_a_dead_worker_is_its_request_s_answer_alone() -> None:
    asked = ["a", "die", "b", "leave", "interrupt", "refuse"]
    found = list(answers(act, asked, 1, lambda end: f"died: {end}"))
    assert [f[0] if isinstance(f, tuple) else str(f).split("\n")[0] for f in found] == [
        "a",
        "died: signal SIGKILL",
        "b",
        "died: exit code 3",
        "interrupt",
        "--set: found x; allowed: y",
    ]
    refused = found[-1]
    assert isinstance(refused, ConfigError)
    assert (refused.found, refused.hint) == ("x", "z")


def test_a_worker_killed_while_it_starts_answers_nothing() -> None:
    """An interrupt may come when its process is not there yet: nothing else would ever end it."""
    worker = Worker(act)
    worker.kill()
    assert worker.ask("a") == "signal SIGKILL"
    worker.close()


def test_a_worker_that_has_nothing_to_do_takes_leave() -> None:
    worker = Worker(act)
    found = worker.ask("a")
    process = worker.process
    assert found == ("a", process.pid)
    worker.close()
    assert process.exitcode == 0


PARENT = """
import sys, time
sys.path.insert(0, {here!r})
from test_workers_of import busy
from tssd.simulating.workers import answers
if __name__ == "__main__":
    for pid in answers(busy, [0, 1], 1, str):
        print(pid, flush=True)
"""
PLAIN = """
import sys
sys.path.insert(0, {here!r})
from test_workers_of import busy
from tssd.simulating.workers import answers
print("script")
print(*{{type(found).__name__ for found in answers(busy, [0, 0], 2, str)}}, __file__)
"""
BUSY = """
import os, time
def busy(n):
    if n:
        time.sleep(600)
    return os.getpid()
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat") as file:
        return file.read().split()[2] == "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(number: int, tmp_path: "os.PathLike[str]") -> None:
    here = os.fspath(tmp_path)
    with open(os.path.join(here, "test_workers_of.py"), "w") as file:
        file.write(BUSY)
    script = os.path.join(here, "parent.py")
    with open(script, "w") as file:
        file.write(PARENT.format(here=here))
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert not gone(worker)
        os.kill(parent.pid, number)
        parent.wait()
        for _ in range(500):
            if gone(worker):
                break
            time.sleep(0.02)
        assert gone(worker)


@pytest.mark.parametrize("as_module", [False, True])
def test_a_script_of_plain_lines_may_start_workers(as_module: bool, tmp_path: Path) -> None:
    """Without ``if __name__ == "__main__"``, as people and the documentation write them."""
    here = os.fspath(tmp_path)
    (tmp_path / "test_workers_of.py").write_text(BUSY)
    script = tmp_path / "plain.py"
    script.write_text(PLAIN.format(here=here))
    way = ["-m", "plain"] if as_module else [os.fspath(script)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    ran = subprocess.run(
        [sys.executable, *way], capture_output=True, text=True, cwd=here, env=environment
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    once, found = ran.stdout.splitlines()
    assert once == "script"
    assert found.startswith("int ")  # process ids, not words about an end
    assert found.endswith("plain.py")
