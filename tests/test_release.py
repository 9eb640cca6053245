"""What a release and another repository's workflow run is there."""

import re
import shlex
from pathlib import Path

import click
import pytest

from benchmarks.release_notes import CHANGELOG, notes
from tssd.cli import cli

ROOT = Path(__file__).resolve().parents[1]
COMMAND = re.compile(r"^\s*(?:run: )?(tssd .+)$", re.M)
MAKE = re.compile(r"^\s*- run: make ([a-z-]+)$", re.M)


def test_the_commands_of_the_action_are_ours() -> None:
    lines = COMMAND.findall((ROOT / "action.yml").read_text())
    assert {line.split()[1] for line in lines} == {"check", "verify"}
    for line in lines:
        name, *words = shlex.split(line)[1:]
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        _, rest, _ = command.make_parser(click.Context(command)).parse_args(words)
        assert not rest


def test_the_targets_that_workflows_make_are_there() -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        targets = MAKE.findall(path.read_text())
        assert targets
        assert set(targets) <= set(known), path


def test_notes_are_what_stands_below_the_heading() -> None:
    text = "# C\n\n## Unreleased\n\n## [0.2.0] - 2026-01-02\n\n- two\n\n## 0.1.0\n- one\n"
    assert notes(text, "0.2.0") == "- two\n"
    assert notes(text, "0.1.0") == "- one\n"
    with pytest.raises(LookupError, match="no version '0.3.0' among Unreleased, 0.2.0, 0.1.0"):
        notes(text, "0.3.0")
    with pytest.raises(LookupError, match="nothing is said of version Unreleased"):
        notes(text, "Unreleased")


def test_the_changelog_has_notes() -> None:
    assert "### Added" in notes(CHANGELOG.read_text(encoding="utf-8"), "Unreleased")
