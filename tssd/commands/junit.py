"""JUnit's XML, which continuous integration shows: one case per contract, or per layer of a fit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import click

from tssd.atomic import write_bytes
from tssd.contracts import Contract, Status
from tssd.errors import visible

if TYPE_CHECKING:
    from tssd.hw_targets.mapping.fit import Fit

TAGS: dict[Status, str | None] = {"pass": None, "fail": "failure", "not run": "skipped"}


def option(command: Any) -> Any:
    """``--junit FILE``."""
    kind = click.Path(path_type=Path)
    return click.option("--junit", type=kind, help="Write a JUnit XML file too.")(command)


@dataclass(frozen=True)
class JUnitCase:
    """One case, and the line that says why it failed or was not run."""

    name: str
    status: Status
    why: str = ""


def of_contracts(contracts: Iterable[Contract]) -> tuple[JUnitCase, ...]:
    """A case per contract."""
    return tuple(JUnitCase(row.name, row.status, _why(row)) for row in contracts)


def _why(row: Contract) -> str:
    found = "" if row.found is None else f"found {row.found}; allowed: {row.allowed}"
    return "; ".join(text for text in (found, row.where or "") if text)


def of_fit(result: "Fit") -> tuple[JUnitCase, ...]:
    """A case per broken rule, and one per layer without any."""
    broken = {finding.layer for finding in result.findings}
    good = [layer.name for layer in result.layers if layer.name not in broken]
    return (
        *(JUnitCase(f"{name} fits {result.chip}", "pass") for name in good),
        *(JUnitCase(f"{f.layer}: {f.rule}", "fail", str(f)) for f in result.findings),
    )


def write(path: Path, suite: str, cases: Sequence[JUnitCase]) -> None:
    """The file, whole or not at all; what XML cannot hold of a foreign name is written out."""
    counts = {
        tag: sum(TAGS[case.status] == tag for case in cases) for tag in ("failure", "skipped")
    }
    root = ElementTree.Element(
        "testsuite",
        name=visible(suite),
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        skipped=str(counts["skipped"]),
        errors="0",
    )
    for case in cases:
        element = ElementTree.SubElement(
            root, "testcase", classname=visible(suite), name=visible(case.name)
        )
        tag = TAGS[case.status]
        if tag is not None:
            ElementTree.SubElement(element, tag, message=visible(case.why))
    write_bytes(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
