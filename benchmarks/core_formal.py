"""The open core's queues, credits, router and mesh under a SAT solver.

    python -m benchmarks.core_formal                 (also: make core-formal)

``tests/support/core_proofs.py`` says what each proof demands. Circuits that are broken on purpose
must be found.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, same, write

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
MOST_CLOCKS = 16  # in which a broken circuit shows


def main() -> None:
    """All proofs, then the rows."""
    write("core_formal", "make core-formal", list(rows()))


def rows() -> Iterator[Row]:
    """Each proof; then each broken circuit."""
    from core_proofs import BROKEN, PROOFS, proved

    for case in PROOFS:
        top, parts = case.build()
        found = "holds" if proved(top, case.clocks, parts).holds else "broken"
        print(f"{case.name}: {found}", flush=True)
        clocks = (
            "any number of clocks" if case.clocks is None else f"the first {case.clocks} clocks"
        )
        yield same(case.name, found, "holds", f"{case.demands}; {clocks}")
    for name, build in BROKEN.items():
        verdict = proved(build(), MOST_CLOCKS)
        how = f"in clock {verdict.broken_at}"
        yield same(f"on purpose: {name}", "not found" if verdict.holds else "found", "found", how)


if __name__ == "__main__":
    main()
