"""Data flows one way: a stage imports itself, earlier stages and the ground floor."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("train", "calibration", "export", "hw_targets")  # earliest first
GROUND_FLOOR = {"errors", "config", "contracts", "atomic", "__version__"}


def imported(source: Path) -> set[str]:
    """First component after ``tssd.`` of every import in *source*."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("tssd.")}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_imports_only_earlier_stages(stage: str) -> None:
    allowed = set(STAGES[: STAGES.index(stage) + 1]) | GROUND_FLOOR
    for source in sorted((ROOT / stage).rglob("*.py")):
        broken = imported(source) - allowed
        assert not broken, f"{source.relative_to(ROOT)} imports {sorted(broken)}"


def test_only_the_lava_folder_imports_lava() -> None:
    for folder in ("tssd", *STAGES):
        for source in sorted((ROOT / folder).rglob("*.py")):
            if "hw_targets/lava" in source.as_posix():
                continue
            roots = {
                name.split(".")[0]
                for node in ast.walk(ast.parse(source.read_text()))
                for name in _modules(node)
            }
            assert "lava" not in roots, source


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
