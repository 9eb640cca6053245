"""The suite is right by two readers that share no code, and tells every wrong one."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import conforming
import numpy as np
import pytest
from snntorch_nets import NETS, REFUSED

from tssd import cli
from tssd.conformance.__main__ import command
from tssd.conformance.judge import VALUE_TOLERANCE, Reader, judge, limited, run
from tssd.conformance.suite import Case, load
from tssd.export.nir.graphs.graph import FIELDS

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 60.0
SUITE = load()
CASES = {case.name: case for case in SUITE.cases}
LIF = CASES["primitive-LIF"]
FEW = (
    *("matrix-synaptic-subtract-True", "matrix-rsynaptic-none", "matrix-conv-scalar-pool"),
    *("primitive-IF-v_reset", "primitive-CubaLIF-v_reset", "primitive-Delay"),
    *("primitive-LIF", "primitive-recurrence"),
)
POOLED = "AvgPool2d", "Conv1d", "Conv2d"  # which the tests' interpreter does not take, or in part


def test_the_suite_holds_the_matrix_and_every_primitive() -> None:
    said = {name.removeprefix("matrix-") for name in CASES if name.startswith("matrix-")}
    assert said | set(SUITE.unsaid) == {net.name for net in NETS}
    assert set(SUITE.unsaid) == set(REFUSED)
    shown = {kind for case in SUITE.cases if case.group == "primitives" for kind in case.nodes}
    assert shown == set(FIELDS) - {"Input", "Output"}


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("dt", [None, 1.0])
def test_our_reader_is_identical(name: str, dt: float | None) -> None:
    verdict = run(CASES[name], conforming.ours, dt, SECONDS)
    assert (verdict.result, verdict.why) == ("identical", "")
    assert verdict.nodes == len(CASES[name].expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_our_reader_is_identical_everywhere(name: str) -> None:
    test_our_reader_is_identical(name, 1e-3)


@pytest.mark.parametrize("name", FEW)
def test_a_reader_that_shares_no_code_is_identical(name: str) -> None:
    if not set(POOLED) & set(CASES[name].nodes):
        assert run(CASES[name], conforming.plain, None, SECONDS).result == "identical"


def test_a_wrong_reset_is_told() -> None:
    verdict = run(LIF, conforming.subtracting, None, SECONDS)
    assert verdict.result == "differs"
    assert verdict.why.startswith("output: ")


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        (conforming.refusing, "KeyError: 'Threshold'"),
        (conforming.endless, "TimeoutError: no end after 0.05 s of CPU time"),
    ],
)
def test_what_is_not_read_says_why(reader: Reader, why: str) -> None:
    before = signal.getsignal(signal.SIGPROF)
    verdict = run(LIF, reader, None, 0.05)
    assert (verdict.result, verdict.why) == ("not read", why)
    assert signal.getsignal(signal.SIGPROF) == before


def test_a_limit_that_is_kept_leaves_nothing_behind() -> None:
    with limited(SECONDS):
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_one_spike_is_named_by_node_step_sample_and_neuron() -> None:
    sent = {name: x.copy() for name, x in LIF.expected.items()}
    sent["neuron"][7, 1, 3] = 1 - sent["neuron"][7, 1, 3]
    verdict = judge(LIF, sent)
    assert verdict.result == "differs"
    assert verdict.why.startswith("neuron: 1 of 960 values differ, first at step 7, sample 1, ")
    assert "neuron [3]" in verdict.why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, "no 'output' among nothing"),
        ({"mine": 1}, "no 'output' among mine"),
        (np.zeros((59, 2, 8)), r"output: found float64 (59, 2, 8); allowed: (60, 2, 8)"),
        (np.zeros((60, 2, 7)), r"output: found shape (60, 2, 7); allowed: (60, 2, 8)"),
        (None, "output: found object (); allowed: (60, 2, 8)"),
        (np.full((60, 2, 8), np.nan), "output: 960 of 960 values differ"),
    ],
)
def test_an_answer_of_another_form_differs(answer: object, why: str) -> None:
    verdict = judge(LIF, answer)
    assert verdict.result == "differs"
    assert verdict.why.startswith(why)


def test_axes_behind_the_batch_may_be_one() -> None:
    image = CASES["primitive-Conv2d"]
    flat = {name: x.reshape(*x.shape[:2], -1) for name, x in image.expected.items()}
    assert judge(image, flat).result == "identical"


def test_a_voltage_may_be_off_by_float32_and_no_more() -> None:
    case = CASES["primitive-LI"]
    (name,) = case.values
    largest = float(np.abs(case.expected[name]).max())
    for factor, result in ((0.99, "identical"), (1.01, "differs")):
        off = case.expected[name].copy()
        off[5, 0, 2] += factor * VALUE_TOLERANCE * largest
        assert judge(case, {**case.expected, name: off}).result == result


def ended(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(list(words), command, "python -m tssd.conformance")
    assert isinstance(end.value.code, int)
    return end.value.code


def test_the_command_judges_a_reader(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("conforming:ours", "--only", "primitive-LIF") == 0
    assert "1 graphs: 1 identical, 0 differs, 0 not read" in capsys.readouterr().out
    assert ended("conforming:subtracting", "--only", "primitive-LIF", "--json") == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["case"], row["result"]) == ("primitive-LIF", "differs")


def test_cases_are_written_and_answers_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "suite"
    names = ["primitive-LIF", "primitive-IF"]
    only = [word for name in names for word in ("--only", name)]
    assert ended("--write", str(folder), "--dt", "1e-3", *only) == 0
    inputs = np.load(folder / "primitive-LIF.inputs.npy")
    answer = conforming.ours(str(folder / "primitive-LIF.nir"), inputs)
    np.savez(folder / "primitive-LIF.answer.npz", **answer)  # type: ignore[arg-type]
    assert ended("--answers", str(folder), *only) == 1
    said = capsys.readouterr().out
    assert "1 identical, 0 differs, 1 not read" in said
    assert "no primitive-IF.answer.npz" in said
    assert ended("--write", str(folder)) == 2
    assert "which exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one of READER, --write and --answers"),
        (["conforming:ours", "--write", "x"], "one of READER, --write and --answers"),
        (["conforming"], "found 'conforming'; allowed: module:function"),
        (["nowhere.at.all:read"], "No module named 'nowhere'"),
        (["conforming:nothing"], "has no attribute 'nothing'"),
        (["conforming:NO_READER"], "a str; allowed: module:function"),
        (["conforming:ours", "--dt", "0"], "--dt: found 0; allowed: seconds above 0"),
        (["conforming:ours", "--dt", "nan"], "--dt: found nan"),
        (["conforming:ours", "--only", "primitive-LIX"], "did you mean 'primitive-LI"),
    ],
)
def test_bad_input_is_one_message(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*words) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_answer_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "primitive-LIF.answer.npz").write_bytes(b"no archive")
    assert ended("--answers", str(tmp_path), "--only", "primitive-LIF") == 2
    assert "found no arrays" in capsys.readouterr().err


def test_it_runs_as_a_module_without_torch(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def read(path, inputs):\n    return inputs\n")
    words = ["-m", "tssd.conformance", "mine:read", "--only", "primitive-LIF", "--json"]
    hidden = f"import sys; sys.path.insert(0, {str(ROOT / 'tests' / 'support')!r})\n"
    hidden += f"import absent, runpy; absent.hide('torch'); sys.argv = {['x', *words[2:]]!r}\n"
    hidden += "runpy.run_module('tssd.conformance', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-c", hidden],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "allowed: (60, 2, 8)" in json.loads(done.stdout)[0]["why"]


def test_a_case_is_written_at_any_dt(tmp_path: Path) -> None:
    """A file whose times count in other steps holds the same network."""
    case: Case = CASES["primitive-IF"]
    for dt in (None, 1e-3):
        case.write(tmp_path / "x.nir", dt)
        sent = conforming.ours(str(tmp_path / "x.nir"), case.inputs)
        np.testing.assert_array_equal(sent["neuron"], case.expected["neuron"])
