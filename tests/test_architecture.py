"""Data flows one way: a stage imports itself, earlier stages, the ground floor; its rooms too."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("train", "calibration", "export", "hw_targets")  # earliest first
# the rooms of a stage (folders, and files beside them), earliest first; one row is one rank
ROOMS = {
    "train": (
        ("data",),
        ("handover",),
        ("recording",),
        ("config",),
        ("networks",),
        ("quantization",),
        ("losses",),
        ("loop",),
        ("study",),
    ),
    "train/recording": (
        ("tape",),
        ("steps",),
        ("recording",),
        ("outputs",),
        ("watch",),
        ("feeding", "describe", "checks"),
        ("record",),
        ("network",),
        ("convert", "answers"),
        ("agree",),
    ),
    "calibration": (("quantizing",), ("comparing",)),
    "export": (("reading",), ("nir",), ("c", "netx", "onnx"), ("bundle",)),
    "export/nir": (("integers",), ("graphs",), ("from_float",)),
    "hw_targets": (
        ("chip",),
        ("mapping",),
        ("costs", "measured"),
        ("c", "gpu", "lava", "onnx", "sim"),
        ("engines", "optimising"),
        ("rtl",),
    ),
    "tssd": (
        ("report",),
        ("chain",),
        ("simulating",),
        ("budget",),
        ("checks",),
        ("comparison",),
        ("inspecting",),
        ("live",),
        ("demo",),
        ("commands",),
        ("cli",),
        ("conformance",),
        ("__main__",),
    ),
}
MOST_ENTRIES = 14  # of a folder, its own __init__ not counted
GROUND_FLOOR = {
    *("arrays", "errors", "config", "contracts", "atomic", "compiling", "interrupts", "typed"),
    *("guard", "optional"),
    "__version__",
}


def dotted(source: Path) -> set[str]:
    """Every name that *source* imports, in full."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported(source: Path) -> set[str]:
    """First component after ``tssd.`` of every import in *source*."""
    return {name.split(".")[1] for name in dotted(source) if name.startswith("tssd.")}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_imports_only_earlier_stages(stage: str) -> None:
    allowed = set(STAGES[: STAGES.index(stage) + 1]) | GROUND_FLOOR
    for source in sorted((ROOT / stage).rglob("*.py")):
        broken = imported(source) - allowed
        assert not broken, f"{source.relative_to(ROOT)} imports {sorted(broken)}"


@pytest.mark.parametrize("place", ROOMS)
def test_a_room_imports_only_earlier_rooms(place: str) -> None:
    """A file that is in no room is the ground of its folder and imports none of them."""
    ranks = {room: rank for rank, rooms in enumerate(ROOMS[place]) for room in rooms}
    prefix = "tssd." if place == "tssd" else f"tssd.{place.replace('/', '.')}."
    for source in own_sources(ROOT / place):
        room = source.relative_to(ROOT / place).parts[0].removesuffix(".py")
        rank = ranks.get(room, -1)
        used = {
            n.removeprefix(prefix).split(".")[0] for n in dotted(source) if n.startswith(prefix)
        }
        later = {name for name in used - {room} if ranks.get(name, -1) >= max(rank, 0)}
        assert room == "__init__" or not later, (
            f"{source.relative_to(ROOT)} imports {sorted(later)}"
        )


KINDS = (
    *("ProjectionKind", "PopulationKind", "Reset", "InputCoding", "Readout"),
    *("Search", "Schedule", "Optimizer"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_switched_on_with_match_alone(kind: str) -> None:
    """So that mypy lists every place that a new kind must be told of (``assert_never``); what is
    common to several kinds is a property of the kind."""
    member = re.compile(rf"(?<!\w){kind}\.[A-Z]")
    for place in (*STAGES, "tssd"):
        for source in own_sources(ROOT / place):
            text = source.read_text()
            for node in ast.walk(ast.parse(text)) if member.search(text) else ():
                if isinstance(node, ast.Compare):
                    parts = [ast.unparse(part) for part in (node.left, *node.comparators)]
                    compared = [part for part in parts if member.search(part)]
                    assert not compared, f"{source.relative_to(ROOT)}:{node.lineno}: {compared}"


def test_arrays_of_one_kind_have_one_name() -> None:
    """Those of ``tssd.arrays``; another name is another meaning of one of them."""
    named = re.compile(r"\bNDArray\[(np\.(int64|float64|uint8|bool_)|Any)\]")
    for place in (*STAGES, "tssd"):
        for source in own_sources(ROOT / place):
            if source != ROOT / "tssd" / "arrays.py":
                found = named.search(source.read_text())
                assert found is None, f"{source.relative_to(ROOT)}: {found}"


def test_a_class_name_means_one_thing() -> None:
    """Over the whole package, but for the scripts that run in Lava's own environment."""
    homes: dict[str, list[str]] = {}
    for place in (*STAGES, "tssd"):
        for source in own_sources(ROOT / place):
            for node in ast.walk(ast.parse(source.read_text())):
                if isinstance(node, ast.ClassDef):
                    homes.setdefault(node.name, []).append(str(source.relative_to(ROOT)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def own_sources(folder: Path) -> list[Path]:
    """The modules below *folder*, not those of the linked stages nor Lava's own scripts."""
    linked = [path for path in folder.iterdir() if path.is_symlink()]
    found = sorted(folder.rglob("*.py"))
    return [p for p in found if "runner" not in p.parts and not set(linked) & set(p.parents)]


@pytest.mark.parametrize("place", STAGES)
def test_a_folder_shows_about_a_dozen_entries_and_says_what_they_are(place: str) -> None:
    for folder in sorted({source.parent for source in own_sources(ROOT / place)}):
        entries = [x for x in folder.iterdir() if x.name not in ("__init__.py", "__pycache__")]
        assert len(entries) <= MOST_ENTRIES, f"{folder.relative_to(ROOT)}: {len(entries)} entries"
        module = ast.parse((folder / "__init__.py").read_text())
        assert ast.get_docstring(module), f"{folder.relative_to(ROOT)} has no map"


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


WITHOUT_TORCH = (  # what ``pip install tssd`` alone brings: docs/index.md
    *("tssd.checks.verification", "tssd.simulating.simulation", "tssd.simulating.sweep"),
    *("tssd.chain.importing", "tssd.chain.conversion", "tssd.comparison.tables"),
    *("tssd.live.bundles", "tssd.live.comparing", "tssd.report.store", "tssd.conformance"),
)


def test_what_runs_a_bundle_is_imported_without_torch() -> None:
    support = str(ROOT / "tests" / "support")
    code = f"import sys; sys.path.insert(0, {support!r})\nimport absent, importlib\n"
    code += "absent.hide('torch', 'snntorch')\n"
    code += f"for name in {WITHOUT_TORCH!r}:\n    importlib.import_module(name)\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-1500:]
