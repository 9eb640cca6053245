"""The command lines of the docs, as their readers see them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
INLINE = re.compile(r"`(tssd [^`\n]+)`")


def fences(page: Path) -> list[tuple[str, str]]:
    return [(kind.strip(), code) for kind, code in FENCE.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[str]:
    """Every `tssd ...` line of the fences that are not code of another language, and inline."""
    lines = [
        line.strip().removeprefix("$ ")
        for kind, code in fences(page)
        if kind in ("", "console", "sh", "bash", "text")
        for line in code.replace("\\\n", " ").splitlines()
    ]
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [line for line in lines if re.match(r"tssd [a-z]", line)] + INLINE.findall(text)
    return [line for line in found if "..." not in line]
