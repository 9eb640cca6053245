"""Whoever comes new finds the way: files that pages name exist and hold what is said of them."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tssd import __version__

ROOT = Path(__file__).resolve().parents[1]
EXTEND = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = (
    "A chip",
    "An engine",
    "A neuron",
    "A layer",
    "A loss",
    "An exporter",
    "A figure of the report",
)
PLACE = re.compile(
    r"`((?:train|calibration|export|hw_targets|tssd|tests|docs|benchmarks|\.github)/[\w./-]*)`"
)
ROW = re.compile(r"^\| ([^|]+) \| `([\w./]+)`[^|]* \| `(\w+)` \|$", re.M)


def section(page: str, title: str) -> str:
    """The text under a heading of the second rank."""
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_lists_its_files_and_runs(title: str) -> None:
    text = section(EXTEND, title)
    assert text.lstrip().startswith("| file | ")
    assert PLACE.findall(text)
    assert "```python" in text  # test_docs runs it
    assert "assert " in text


def test_there_is_no_recipe_that_this_test_does_not_know() -> None:
    assert tuple(re.findall(r"^## (.+)$", EXTEND, re.M)) == RECIPES


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("where the bias is folded", "calibration/quantizing/fold.py"),
        ("the latency of a link, and so of a message", "hw_targets/sim/machine.py"),
        ("the NIR profile of norse, sinabs, ...", "export/nir/graphs/profiles.py"),
    ],
)
def test_a_stranger_is_sent_to_the_right_file(question: str, file: str) -> None:
    assert {asked: where for asked, where, _ in ROW.findall(CONTRIBUTING)}[question] == file


def test_every_file_of_the_table_defines_what_is_looked_for() -> None:
    rows = ROW.findall(CONTRIBUTING)
    assert len(rows) == section(CONTRIBUTING, "Where things belong").count("\n| ") - 1
    for question, file, name in rows:
        assert name in defined(ROOT / file), f"{question}: no {name} in {file}"


def test_the_reading_order_is_ten_files_that_exist() -> None:
    text = section(CONTRIBUTING, "Ten files, in this order")
    files = re.findall(r"^\| `([^`]+)` \|", text, re.M)
    assert len(files) == 10
    assert all((ROOT / file).is_file() for file in files)


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", changes, re.M)[:2] == ["Unreleased", __version__]


def test_hosted_checks_run_what_a_developer_runs() -> None:
    """Every command of the hosted file, but Debian's packages, is a target of the Makefile,
    `make check` among them."""
    text = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    commands = re.findall(r"- run: (.+)", text)
    assert "make check" in commands
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    ours = {c.removeprefix("make ") for c in commands if not c.startswith("sudo apt-get ")}
    assert ours <= set(targets)
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    versions = re.findall(r'"(3\.\d+)"', text.split("python: [")[1].split("]")[0])
    assert required == f">={versions[0]},<3.{int(versions[-1].split('.')[1]) + 1}"


def defined(source: Path) -> set[str]:
    """Names of a module's top level."""
    names: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case _:
                pass
    return names


def test_every_module_of_the_reference_exists_and_speaks() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    modules = re.findall(r"^::: tssd\.([\w.]+)$", page, re.M)
    assert modules
    for module in modules:
        place = ROOT / module.replace(".", "/")
        source = place.with_suffix(".py")
        source = source if source.exists() else ROOT / "tssd" / f"{module.replace('.', '/')}.py"
        assert ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))), module
