"""Notebooks run as their readers do: cells in order, in one folder, ``!`` lines by the shell."""

import contextlib
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTEBOOKS = DOCS / "notebooks"


def cells(name: str) -> list[str]:
    """The code of *name*; what was left of an earlier run would be a lie."""
    notebook = json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    code = [c["source"] for c in notebook["cells"] if c["cell_type"] == "code"]
    return ["".join(lines).replace("\\\n", " ") for lines in code]


def run(name: str) -> tuple[dict[str, Any], str]:
    """What the cells leave, and what their commands said; runs in the working folder."""
    names: dict[str, Any] = {"__name__": "__main__"}
    said = io.StringIO()
    for cell in cells(name):
        for line in cell.splitlines():
            if line.startswith("!"):
                said.write(_command(line[1:]))
        code = "\n".join(line for line in cell.splitlines() if not line.startswith("!"))
        with contextlib.redirect_stdout(said):
            exec(compile(code, name, "exec"), names)
    return names, said.getvalue()


def _command(line: str) -> str:
    first, *words = shlex.split(line)
    assert first == "tssd"
    command = [sys.executable, "-m", "tssd", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout
