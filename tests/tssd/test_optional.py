"""What needs no torch runs without it; what needs a package that is absent says how to get it."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import fixed_chain
import nir
import numpy as np
import pytest
from strategies import random_conv_network

from tssd.calibration.int_network import InputCoding
from tssd.chain.pipeline import ExportOptions, write
from tssd.contracts import FOLDED_SLOTS
from tssd.export.bundle.folder import read_bundle
from tssd.export.nir.integers.write import write_nir
from tssd.optional import OPTIONAL, install_line, not_installed
from tssd.train.handover.float_network import Reset

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("train", "calibration", "export", "hw_targets", "tssd")
COMES_ALONG = {"google", "llvmlite"}  # of protobuf, which onnx brings; of the numba that names it
WITHOUT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import absent
absent.hide(*json.loads(sys.argv[2]))
from tssd import cli
codes = []
for words in json.loads(sys.argv[3]):
    try:
        cli.main(words)
    except SystemExit as end:
        codes.append(end.code)
print(json.dumps(codes))
print(sorted({"torch", "snntorch"} & set(sys.modules)))
"""


def ran(hidden: list[str], *lines: list[str]) -> tuple[list[int], str, str]:
    """The exit codes of *lines* in one process without the packages *hidden*; what it said."""
    support = str(ROOT / "tests" / "support")
    given = [support, json.dumps(hidden), json.dumps(lines)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *given],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    *said, codes, loaded = done.stdout.strip().splitlines()
    assert loaded == "[]"
    return json.loads(codes), "\n".join(said), done.stderr


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("optional") / "bundle"
    chip = "loihi2-brief"
    done, material = fixed_chain.deployed(Reset.SOFT, chip)
    write(done, material, folder, ExportOptions(target=chip), {})
    return str(folder)


def test_a_bundle_lives_without_torch(bundle: str, tmp_path: Path) -> None:
    samples = str(tmp_path / "x.npz")
    np.savez(samples, inputs=fixed_chain.images(4))
    codes, said, errors = ran(
        ["torch", "snntorch", "matplotlib", "pandas", "sklearn", "PIL"],
        ["simulate", bundle, "--samples", "1"],
        ["check", bundle],
        ["verify", bundle, "--against", "sim,onnx", "--data", samples],
        ["report", bundle],
        ["compare", bundle, bundle, "--html", str(tmp_path / "compare.html")],
        ["inspect", bundle],
        ["diff", bundle, bundle],
        ["targets", "list"],
        ["doctor"],
    )
    assert codes == [0] * 9, errors
    assert "latency" in said
    assert said.count("pip install 'tssd[train]'") > 1  # of the float network, and the doctor's
    rows = json.loads((Path(bundle) / "report" / "report.json").read_text())["contracts"]
    (folded,) = [row for row in rows if row["name"] == FOLDED_SLOTS]
    assert (folded["status"], folded["where"]) == ("not run", "pip install 'tssd[train]'")


def test_integers_are_converted_and_taken_over_without_torch(bundle: str, tmp_path: Path) -> None:
    hard = random_conv_network(1, Reset.HARD, coding=InputCoding.SPIKES)  # which a .net can say
    graph, netx, c = (str(tmp_path / name) for name in ("x.nir", "x.net", "c"))
    taken = [str(tmp_path / name) for name in ("from-bundle", "from-nir", "from-net")]
    write_nir(hard, tmp_path / "x.nir")
    codes, _, errors = ran(
        ["torch", "snntorch", "sklearn", "matplotlib", "pandas"],
        ["convert", graph, "--out", netx],
        ["convert", graph, "--c", c],
        ["convert", bundle, "--out", str(tmp_path / "y.nir")],
        ["convert", bundle, "--events", str(tmp_path / "x.h5")],
        ["import", str(tmp_path / "y.nir"), "--out", taken[0]],
        ["import", graph, "--out", taken[1]],
        ["import", netx, "--time-steps", "4", "--out", taken[2]],
        ["simulate", taken[2], "--samples", "1"],
    )
    assert codes == [0] * 8, errors
    for folder, wanted in zip(taken, (read_bundle(Path(bundle)).network, hard, hard), strict=True):
        found = read_bundle(Path(folder)).network
        assert [j.weight.tolist() for j in found.projections] == [
            j.weight.tolist() for j in wanted.projections
        ]


def test_what_needs_torch_says_the_line_that_installs_it(bundle: str, tmp_path: Path) -> None:
    floats = str(tmp_path / "floats.nir")
    one = np.ones(2)
    lif = nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one)
    nodes = {"input": nir.Input(np.array([2])), "fc": nir.Linear(np.eye(2)), "lif": lif}
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    nir.write(floats, nir.NIRGraph({**nodes, "output": nir.Output(np.array([2]))}, edges))
    codes, _, errors = ran(
        ["torch", "snntorch"],
        ["train", "--dataset", "digits", "--out", str(tmp_path / "run")],
        ["export", "--model", "a:b", "--samples", "x.npz", "--out", str(tmp_path / "b")],
        ["import", floats, "--out", str(tmp_path / "c")],
        ["convert", bundle, "--for", "norse", "--out", str(tmp_path / "d.nir")],
        ["verify", bundle, "--against", "gpu"],
    )
    Path(floats).unlink()
    assert codes == [2] * 5
    assert errors.count("pip install 'tssd[train]'") == 5
    assert errors.count("no package torch, needed for networks in floats") >= 2
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_another_missing_module_is_a_fault_of_ours() -> None:
    assert not_installed(ModuleNotFoundError("x", name="tssd.nowhere")) is None
    assert install_line("acme_driver") == "pip install acme_driver"
    assert install_line("torch.nn") == "pip install 'tssd[train]'"


def project() -> dict[str, object]:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def names(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    return {str(line).partition(">=")[0].partition("[")[0].lower() for line in requirements}


def test_every_optional_package_is_in_the_extra_that_it_names() -> None:
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    for module, optional in OPTIONAL.items():
        assert optional.distribution.lower() in names(extras[optional.extra]), module
        alone = optional.extra == "neurobench"  # which brings frameworks of its own
        assert alone or optional.extra in str(extras["all"]), optional.extra


def test_every_imported_package_is_declared() -> None:
    declared = names(project()["dependencies"]) | set(OPTIONAL) | COMES_ALONG | {"tssd"}
    for place in PLACES:
        for source in (ROOT / place).rglob("*.py"):
            if "runner" not in source.parts:  # scripts of Lava's own environment
                unknown = set(imported(source)) - declared - sys.stdlib_module_names
                assert not unknown, f"{source}: {unknown}"


def imported(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom():
                yield (node.module or "").partition(".")[0]
            case _:
                pass
