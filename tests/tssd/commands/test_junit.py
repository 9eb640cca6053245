"""JUnit files say what the command said, and nothing that XML cannot hold."""

from pathlib import Path
from xml.etree import ElementTree

import fixed_chain
import pytest
from click.testing import CliRunner

from tssd.chain.pipeline import ExportOptions, write
from tssd.commands import junit
from tssd.commands.check import command as check_command
from tssd.commands.verify import command as verify_command
from tssd.contracts import Contract
from tssd.train.handover.float_network import Reset


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("junit") / "bundle"
    done, material = fixed_chain.deployed(Reset.SOFT, "loihi2-brief")
    write(done, material, folder, ExportOptions(target="loihi2-brief"), {})
    return str(folder)


def cases(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The attributes of the suite; case to "", or the tag and message of what is in it."""
    root = ElementTree.parse(path).getroot()
    found = {}
    for case in root:
        inner = list(case)
        found[str(case.get("name"))] = f"{inner[0].tag}: {inner[0].get('message')}" if inner else ""
    return dict(root.attrib), found


def test_a_verification_is_a_case_per_contract(bundle: str, tmp_path: Path) -> None:
    out = tmp_path / "verify.xml"
    done = CliRunner().invoke(verify_command, [bundle, "--against", "sim", "--junit", str(out)])
    assert done.exit_code == 0, done.output
    suite, found = cases(out)
    assert suite["failures"] == "0"
    assert int(suite["tests"]) == len(found) > 4
    assert found["golden answers"] == ""


def test_a_check_is_a_case_per_layer_or_broken_rule(bundle: str, tmp_path: Path) -> None:
    out = tmp_path / "check.xml"
    done = CliRunner().invoke(check_command, [bundle, "--target", "loihi2", "--junit", str(out)])
    assert done.exit_code == 0
    suite, found = cases(out)
    assert (suite["failures"], suite["tests"]) == ("0", str(len(found)))
    assert {name.split()[0] for name in found} == {"input", "conv1", "conv2", "readout"}
    words = [bundle, "--target", "loihi1-davies2018", "--junit", str(out)]
    done = CliRunner().invoke(check_command, words)
    suite, found = cases(out)
    assert done.exit_code == 1
    assert int(suite["failures"]) == sum(text.startswith("failure: ") for text in found.values())
    assert int(suite["failures"]) > 0


def test_failures_and_what_was_not_run_say_why(tmp_path: Path) -> None:
    rows = [
        Contract("a", "pass", 1, 1),
        Contract("b", "fail", "2 differ", "0 differ", "layer \x1b[2J<x>"),
        Contract("c", "not run", None, None, "pip install x"),
    ]
    junit.write(tmp_path / "x.xml", "s & t", junit.of_contracts(rows))
    suite, found = cases(tmp_path / "x.xml")
    assert suite == {
        **{"name": "s & t", "tests": "3", "failures": "1", "skipped": "1", "errors": "0"}
    }
    assert found == {
        "a": "",
        "b": r"failure: found 2 differ; allowed: 0 differ; layer \x1b[2J<x>",
        "c": "skipped: pip install x",
    }


def test_a_place_that_cannot_be_written_is_told_before_the_work(bundle: str) -> None:
    for command in (check_command, verify_command):
        done = CliRunner().invoke(command, [bundle, "--junit", "/proc/none/x.xml"])
        assert "--junit" in str(done.exception)
