"""Make ``fixed_chain.json`` from what the chain gives now.

Run: ``python tests/golden/make_fixed_chain.py``, and only when a change is meant to change what is
deployed; the commit says which hashes and why. A change that only moves code must leave it alone.
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parents[1])]
    import fixed_chain

    with tempfile.TemporaryDirectory() as folder:
        table = fixed_chain.hashes(Path(folder))
    text = json.dumps(table, indent=1) + "\n"
    (HERE / "fixed_chain.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
