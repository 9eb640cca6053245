"""Queues, credits, router and mesh under a SAT solver: all input sequences, not drawn ones."""

import shutil

import pytest
from core_proofs import BROKEN, INSTALL, PROOFS, Case, proved, tool

from tssd.errors import TargetError

needs_abc = pytest.mark.skipif(shutil.which("yosys-abc") is None, reason=f"no yosys-abc: {INSTALL}")
QUICK = ("queue of 2", "credits of 2")


@needs_abc
@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c.name in QUICK else pytest.mark.slow) for c in PROOFS],
    ids=lambda case: case.name,
)
def test_it_holds(case: Case) -> None:
    top, parts = case.build()
    assert proved(top, case.clocks, parts).holds


@needs_abc
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if "queue" in n else pytest.mark.slow) for n in BROKEN]
)
def test_a_broken_circuit_is_found(name: str) -> None:
    verdict = proved(BROKEN[name](), 16)
    assert not verdict.holds
    assert verdict.broken_at is not None
    assert 0 < verdict.broken_at < 16


def test_without_the_solver_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(TargetError, match="yosys-abc: found not installed\\s+try: apt-get install"):
        tool("yosys-abc")
