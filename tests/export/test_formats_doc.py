"""The examples of docs/formats.md run as they stand, in one go."""

import re
from pathlib import Path


def test_examples_of_the_format_page_run() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    exec(compile("\n".join(blocks), str(page), "exec"), names)
    assert names["weight"] is not None
