"""The docs are true: their Python runs, their commands exist with those options, links lead on."""

import re
import shlex
from pathlib import Path

import click
import pytest
from docs_lines import PAGES, ROOT, commands, fences

from tssd.cli import cli

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
STAGES = "train|calibration|export|hw_targets|tssd|tests|docs|benchmarks"
PLACE = re.compile(rf"`((?:{STAGES})/[\w./-]*)`")
NAMES = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@NAMES
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one page share their names, as a reader would type them one after the other, in a
    folder where what they write may lie."""
    monkeypatch.chdir(tmp_path)
    blocks = [code for kind, code in fences(page) if kind == "python"]
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


@NAMES
def test_commands_exist_with_their_options(page: Path) -> None:
    for line in commands(page):
        parses(line)


@NAMES
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target, _ in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target and not target.startswith("mailto:"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/extend.md"])
def test_every_file_that_is_named_exists(name: str) -> None:
    """A module may stand without its suffix."""
    places = PLACE.findall((ROOT / name).read_text(encoding="utf-8"))
    assert places
    missing = [x for x in places if not (ROOT / x).exists() and not (ROOT / f"{x}.py").exists()]
    assert not missing


def test_every_page_is_in_the_navigation_once() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r": ([\w/-]+\.md)$", text, re.M)
    pages = [x.relative_to(ROOT / "docs").as_posix() for x in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tssd nonsense", "no command 'nonsense'"),
        ("tssd doctor --jsonn", "No such option"),
        ("tssd report --json", "bundle missing"),
        ("tssd report a b", "left over"),
    ],
)
def test_a_wrong_command_line_is_found(line: str, message: str) -> None:
    with pytest.raises((AssertionError, click.UsageError), match=message):
        parses(line)


def parses(line: str) -> None:
    """Follow the command line through click's own parser, without running or opening anything."""
    words = shlex.split(line.split(" |")[0], comments=True)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="tssd")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"no command {name!r} in: {line}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    if words and "--help" not in words:  # a bare name only speaks of the command
        check_arguments(command, context, words, line)


def check_arguments(
    command: click.Command, context: click.Context, words: list[str], line: str
) -> None:
    """Nothing left over, every required argument given, every choice one of those offered."""
    values, rest, _ = command.make_parser(context).parse_args(list(words))
    assert not rest, f"left over {rest} in: {line}"
    for parameter in command.params:
        given = values.get(parameter.name or "")
        if isinstance(parameter, click.Argument) and parameter.required:
            there = isinstance(given, str | tuple) and len(given) > 0
            assert there, f"argument {parameter.name} missing in: {line}"
        if isinstance(parameter.type, click.Choice) and isinstance(given, str):
            assert given in [str(c) for c in parameter.type.choices], f"{given!r} in: {line}"
