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


def main() -> None:
    """All proofs, then the rows."""
    write("core_formal", "make core-formal", list(rows()))


def rows() -> Iterator[Row]:
    """Each proof, for any number of clocks; then each broken circuit."""
    from core_proofs import BROKEN, PROOFS, proved

    for case in PROOFS:
        top, parts = case.build()
        found = "holds" if proved(top, None, parts).holds else "broken"
        print(f"{case.name}: {found}", flush=True)
        yield same(case.name, found, "holds", f"{case.demands}; any number of clocks")
    for name, build in BROKEN.items():
        verdict = proved(build(), None)
        how = f"shortest way that was seen: {verdict.broken_at} clocks"
        yield same(f"on purpose: {name}", "not found" if verdict.holds else "found", "found", how)


if __name__ == "__main__":
    main()
