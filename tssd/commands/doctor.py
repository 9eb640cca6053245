"""``tssd doctor``: what is installed, what can run here, and the lines that fix the rest."""

import json
from collections.abc import Iterable
from dataclasses import asdict

import click

from tssd import terminal
from tssd.checks.diagnosis import Condition, Diagnosis, diagnose

MARKS = {"ready": "✔", "missing": "✘"}


@click.command(
    epilog="Example: tssd doctor --json",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(as_json: bool) -> None:
    """Say what is installed, which targets can run here, and what supplies the rest."""
    found = diagnose()
    click.echo(json.dumps(asdict(found), indent=1) if as_json else text(found))


def text(found: Diagnosis) -> str:
    """The diagnosis for people."""
    machine = ", ".join(f"{name} {value}" for name, value in found.machine.items())
    chips = ", ".join(found.chips) or "none"
    parts = [
        machine,
        f"\nEngines\n{_table(found.engines)}",
        f"\nPackages\n{_table(found.packages)}",
        f"\nChip files: {chips}",
    ]
    fixes = [finding for finding in (*found.engines, *found.packages) if finding.fix]
    if fixes:
        parts.append("\nTo add what is missing")
        parts += [f"  {finding.fix:<40} # {finding.name}" for finding in fixes]
    return "\n".join(parts)


def _table(findings: Iterable[Condition]) -> str:
    rows = [(MARKS[f.state], f.name, f.state, f.detail) for f in findings]
    return terminal.to_text(terminal.plain_table(("", "name", "state", "detail"), rows))
