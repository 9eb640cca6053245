"""Tests of one part in a fork of a warm process, with one changed source in the place of its file.

The first run of a part, unchanged, tells which foreign modules its tests import; they are imported
before the next fork. Ours never are: every fork imports them itself, the changed one from memory.
It tells, too, which tests call which functions of its files: a mutant is tested by those that call
its function, the quickest first. Nothing on the disk changes, and nothing that a fork compiles is
kept. A fork has limits of CPU time and memory: one that does not come to its end within them is
noticed, too.
"""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
OURS = ("tssd", "tests", "benchmarks", "__main__", "__mp_main__")
UNCHANGED_CPU_S = 900.0
CPU_S = 20  # of a fork at least; else so many times what the part takes unchanged:
TIMES = 5
PATIENCE = 20  # seconds of waiting for one of CPU time: a busy machine is no hanging mutant
DATA_BYTES = 6 << 30
INTERPRETED = "hw_targets/sim/kernels/"  # kernels run as Python: compiling takes longer than they
READERS = "export/"  # read in this process: the guard's would read with the file as it is
Fate = Literal["killed", "hung", "survived"]


@dataclass(frozen=True)
class Ended:
    """What became of a run, by which test, and the CPU seconds that it took."""

    fate: Fate
    test: str
    cpu_s: float


@dataclass(frozen=True)
class Calls:
    """``lines``: test -> first lines of the functions that it calls; ``seconds``: how long it
    takes."""

    lines: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def tests_of(self, function: int | None) -> list[str]:
        """The tests that call the function that begins at a line, the quickest first; all of them
        for what no function holds (None), and for a function that none was seen to call: it may
        have been called when a file was imported."""
        found = [t for t, lines in self.lines.items() if function in lines]
        return sorted(found or self.lines, key=lambda test: self.seconds[test])


class Planted(importlib.abc.MetaPathFinder):
    """Imports *name* from *source*, as if it stood in *path*."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        loader = _Loader(fullname, str(self.path))
        loader.source = self.source
        return importlib.util.spec_from_file_location(fullname, self.path, loader=loader)


class _Loader(importlib.machinery.SourceFileLoader):
    source: bytes

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class Stem:
    """The process that forks; it learns what the tests need from those that ran."""

    def __init__(self) -> None:
        clash = [name for name in sys.modules if name.partition(".")[0] == "tssd"]
        if clash:
            raise ImportError(f"imported before the first fork: {', '.join(sorted(clash))}")

    def unchanged(
        self, files: Sequence[str], tests: Sequence[str]
    ) -> tuple[Ended, dict[str, Calls]]:
        """Run *tests* with everything as it is: what became of them, and what of each of *files*
        they call."""
        ended, answer = self._forked(_Task(tuple(files), None, tuple(tests), None, UNCHANGED_CPU_S))
        _import(answer.get("modules", ()))
        lines, seconds = answer.get("lines", {}), answer.get("seconds", {})
        return ended, {file: Calls(lines.get(file, {}), seconds) for file in files}

    def run(
        self, file: str, source: bytes, tests: Sequence[str], chosen: Sequence[str], cpu_s: float
    ) -> Ended:
        """Run those of *tests* that are *chosen*, in that order, with *source* as *file*."""
        return self._forked(_Task((file,), source, tuple(tests), tuple(chosen), cpu_s))[0]

    def _forked(self, task: "_Task") -> tuple[Ended, dict[str, Any]]:
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            _fork(told, task)
        os.close(told)
        text = _listened(heard, child, PATIENCE * task.cpu_s)
        _, status, used = os.wait4(child, 0)
        spent = used.ru_utime + used.ru_stime
        if text is None or os.WIFSIGNALED(status):
            return Ended("hung", "", spent), {}
        answer: dict[str, Any] = json.loads(text) if text else {"test": "the end of the process"}
        fate: Fate = "survived" if os.WEXITSTATUS(status) == 0 else "killed"
        return Ended(fate, str(answer["test"]), spent), answer


@dataclass(frozen=True)
class _Task:
    """What a fork does: *source* None leaves the files as they are, else it stands for the one
    that there is; *chosen* None runs all *tests*."""

    files: tuple[str, ...]
    source: bytes | None
    tests: tuple[str, ...]
    chosen: tuple[str, ...] | None
    cpu_s: float


def limit_of(unchanged: Ended) -> float:
    """CPU seconds that a mutant may take, where the tests take as long as *unchanged*."""
    return max(CPU_S, TIMES * unchanged.cpu_s)


def module_of(file: str) -> str:
    """``calibration/neuron.py`` -> ``tssd.calibration.neuron``."""
    return "tssd." + file.removesuffix(".py").replace("/", ".")


def _listened(heard: int, child: int, seconds: float) -> str | None:
    """All that a fork says before its end; None if it had to be ended."""
    parts: list[bytes] = []
    while select.select([heard], [], [], seconds)[0]:
        part = os.read(heard, 1 << 16)
        if not part:
            os.close(heard)
            return b"".join(parts).decode()
        parts.append(part)
    os.close(heard)
    os.killpg(child, signal.SIGKILL)
    return None


def _fork(told: int, task: _Task) -> None:
    """The rest of a fork's life."""
    code = 70
    try:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        _limited(task.cpu_s)
        code, answer = _tested(task)
        with os.fdopen(told, "w") as out:
            json.dump(answer, out)
    finally:
        os._exit(code)


def _limited(cpu_s: float) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))


def _tested(task: _Task) -> tuple[int, dict[str, Any]]:
    """pytest's exit code and what was seen on the way."""
    import hypothesis
    import pytest

    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(ROOT)
    sys.path.insert(0, str(ROOT))
    first = task.files[0]  # all of them are called by the same tests
    _compile_nothing_for_others(interpreted=first.startswith(INTERPRETED))
    if task.source is not None:
        sys.meta_path.insert(0, Planted(module_of(first), ROOT / first, task.source))
    if first.startswith(READERS):
        importlib.import_module("tssd.guard")._Here.is_guard = True
    quick = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a first failure is enough
    hypothesis.settings.register_profile(
        "mutants", phases=quick, derandomize=True, deadline=None, database=None
    )
    seen = _Seen(task.files, task.chosen)
    words = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants"]
    words += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # what was imported before the fork
    if first.startswith(INTERPRETED):  # compiled, 64 bits wrap as they are meant to
        words += ["-W", "ignore:overflow encountered:RuntimeWarning"]
    given = files_of(task.chosen) if task.chosen else task.tests
    code = int(pytest.main([*words, *given], plugins=[seen]))
    unread = [file for file in task.files if module_of(file) not in sys.modules]
    if unread and code == 0:
        return 71, {"test": f"no test imports {', '.join(unread)}"}
    if task.source is not None:
        return code, {"test": seen.failed}
    lines = {
        file: {test: sorted(found) for test, found in of_tests.items()}
        for file, of_tests in seen.lines.items()
    }
    return code, {
        "test": seen.failed, "modules": _foreign(), "lines": lines, "seconds": seen.seconds
    }  # fmt: skip


def files_of(tests: Sequence[str]) -> list[str]:
    """The files that hold *tests*: to read the others would cost more than to run these."""
    return list(dict.fromkeys(name.partition("::")[0] for name in tests))


def _compile_nothing_for_others(*, interpreted: bool) -> None:
    """Code compiled around a mutant must not be kept where others would find it."""
    import numba
    from numba.core import caching

    settings: Any = getattr(numba, "config")  # noqa: B009 - its stubs do not know it
    settings.DISABLE_JIT = int(interpreted)
    cache: Any = caching.Cache
    cache.save_overload = lambda self, sig, data: None


class _Seen:
    """A plugin that remembers the first failure; without a choice of tests what each of them calls
    in *files*, and how long it takes, with one it runs these in their order."""

    def __init__(self, files: Sequence[str], chosen: Sequence[str] | None) -> None:
        self.places = {str(ROOT / below / file): file for file in files for below in ("", "tssd")}
        self.chosen = chosen
        self.failed, self.test = "", ""
        self.lines: dict[str, dict[str, set[int]]] = {file: {} for file in files}
        self.seconds: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        if self.chosen is not None:
            by_name = {item.nodeid: item for item in items}
            items[:] = [by_name[name] for name in self.chosen if name in by_name]

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.test, self.started = nodeid, time.process_time()
        if self.chosen is None:
            threading.settrace(self._called)
            sys.settrace(self._called)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        sys.settrace(None)
        self.seconds[nodeid] = time.process_time() - self.started

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def _called(self, frame: Any, event: str, argument: object) -> None:
        file = self.places.get(frame.f_code.co_filename)
        if file is not None:
            found = self.lines[file].setdefault(self.test, set())
            found.add(frame.f_code.co_firstlineno)


def _foreign() -> list[str]:
    """Modules from files that are not ours, in the order of their import."""
    found = []
    for name, module in list(sys.modules.items()):
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        ours = name.partition(".")[0] in OURS or (
            origin.startswith(str(ROOT)) and "site-packages" not in origin
        )
        if origin and not ours:
            found.append(name)
    return found


def _import(names: Sequence[str]) -> None:
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(ImportError, AttributeError):
                importlib.import_module(name)
