"""Tests of one part in a fork of a warm process, with one changed source in the place of its file.

The first run of a part tells which foreign modules its tests import; they are imported before the
next fork. Ours never are: every fork imports them itself, the changed one from memory. Nothing on
the disk changes, and nothing that a fork compiles is kept. A fork has limits of CPU time and
memory: one that does not come to its end within them is noticed, too.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
OURS = ("tssd", "tests", "benchmarks", "__main__", "__mp_main__")
CPU_S = 20  # of a fork at least; else so many times what the part takes unchanged:
TIMES = 5
PATIENCE = 20  # seconds of waiting for one of CPU time: a busy machine is no hanging mutant
DATA_BYTES = 6 << 30
INTERPRETED = "hw_targets/sim/kernels/"  # kernels run as Python: compiling takes longer than they
Fate = Literal["killed", "hung", "survived"]


@dataclass(frozen=True)
class Ended:
    """What became of a run, by which test, and the CPU seconds that it took."""

    fate: Fate
    test: str
    cpu_s: float


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

    def run(self, file: str, source: bytes | None, tests: Sequence[str], cpu_s: float) -> Ended:
        """Run *tests* with *source* as the text of *file*, or as it is without one."""
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            _fork(told, file, source, tests, cpu_s)
        os.close(told)
        text = _listened(heard, child, PATIENCE * cpu_s)
        _, status, used = os.wait4(child, 0)
        spent = used.ru_utime + used.ru_stime
        if text is None or os.WIFSIGNALED(status):
            return Ended("hung", "", spent)
        nothing: dict[str, Any] = {"test": "the end of the process", "modules": []}
        answer: dict[str, Any] = json.loads(text) if text else nothing
        if source is None:
            _import(answer["modules"])
        code = os.WEXITSTATUS(status)
        return Ended("survived" if code == 0 else "killed", str(answer["test"]), spent)


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


def _fork(told: int, file: str, source: bytes | None, tests: Sequence[str], cpu_s: float) -> None:
    """The rest of a fork's life."""
    code = 70
    try:
        os.setsid()
        os.set_inheritable(told, False)
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1):
            os.dup2(quiet, stream)
        _limited(cpu_s)
        code, answer = _tested(file, source, tests)
        os.write(told, json.dumps(answer).encode())
    finally:
        os._exit(code)


def _limited(cpu_s: float) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))


def _tested(file: str, source: bytes | None, tests: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """pytest's exit code; the first test that failed, and all foreign modules imported."""
    import hypothesis
    import pytest

    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(ROOT)
    sys.path.insert(0, str(ROOT))
    _compile_nothing_for_others(interpreted=file.startswith(INTERPRETED))
    if source is not None:
        sys.meta_path.insert(0, Planted(module_of(file), ROOT / file, source))
    quick = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a first failure is enough
    hypothesis.settings.register_profile(
        "mutants", phases=quick, derandomize=True, deadline=None, database=None
    )
    first = _First()
    words = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants"]
    words += [
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]  # what was imported before the fork
    code = int(pytest.main([*words, *tests], plugins=[first]))
    if module_of(file) not in sys.modules and code == 0:
        return 71, {"test": f"no test imports {file}", "modules": []}
    return code, {"test": first.failed, "modules": _foreign() if source is None else []}


def _compile_nothing_for_others(*, interpreted: bool) -> None:
    """Code compiled around a mutant must not be kept where others would find it."""
    import numba
    from numba.core import caching

    settings: Any = getattr(numba, "config")  # noqa: B009 - its stubs do not know it
    settings.DISABLE_JIT = int(interpreted)
    cache: Any = caching.Cache
    cache.save_overload = lambda self, sig, data: None


class _First:
    """A plugin that remembers the first failure."""

    failed = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


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
