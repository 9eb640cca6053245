"""The engine register: what an entry may say, what is found, and that no other list exists."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from acme_engine import ACME, PLACES, announce
from strategies import random_conv_network, random_inputs

from tssd.calibration.int_network import Reset
from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, TargetError
from tssd.export.bundle.folder import NETX
from tssd.hw_targets import engines
from tssd.hw_targets.engine import RESERVED, Engine, Setting, look, missing_modules, start
from tssd.hw_targets.engines import ENGINES, engine_names, find_engine
from tssd.report.model import MEASURED, NETWORKS, STAGES

ROOT = Path(__file__).resolve().parents[2]
HERE = ("gpu", "onnx", "sim")  # those that every installation can run


@pytest.mark.parametrize("name", HERE)
def test_every_engine_keeps_the_same_contract(name: str) -> None:
    network = random_conv_network(7, Reset.SOFT)
    inputs, engine = random_inputs(network, 1), find_engine(name)
    assert look(engine).state == "ready"
    nothing: Any = None  # of these none reads the bundle
    found = start(engine, Setting(nothing))(network, inputs)
    wanted = layerwise(network, inputs)
    for population in network.populations:
        for record in ("spikes", *population.states):
            got = found.recorded(record)[population.name]
            assert np.array_equal(got, wanted.recorded(record)[population.name])
    assert np.array_equal(found.readout, wanted.readout)


def test_the_names_of_the_register_stand_in_no_other_list() -> None:
    """Three engines side by side in a literal would be a second register."""
    for folder in ("train", "calibration", "export", "hw_targets", "tssd"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            if source.is_relative_to(ROOT / "hw_targets" / "engines.py"):
                continue
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                strings = {x.value for x in _members(node) if isinstance(x, ast.Constant)}
                listed = strings & set(ENGINES)
                assert len(listed) < 3, f"{source.relative_to(ROOT)}: {sorted(map(str, listed))}"


def _members(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Tuple() | ast.List() | ast.Set():
            return node.elts
        case ast.Dict():
            return [key for key in node.keys if key is not None]
        case _:
            return []


def test_the_columns_of_a_report_are_no_names_of_engines() -> None:
    assert {*STAGES, *NETWORKS, MEASURED} == set(RESERVED)
    for name in (*RESERVED, "Acme", "a,b", ""):
        with pytest.raises(TargetError, match="that name; allowed: small letters"):
            replace(ACME, name=name)


def test_an_entry_that_cannot_act_is_refused() -> None:
    with pytest.raises(TargetError, match="engine 'acme': found 'acme_engine'; allowed: \"module"):
        replace(ACME, opens="acme_engine")
    network = random_conv_network(7, Reset.SOFT)
    assert ACME.records(network) == ("v",)
    with pytest.raises(TargetError, match="engine 'acme': found state 'w'; allowed: u, v"):
        replace(ACME, states=("v", "w")).records(network)


def test_unknown_engines_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        find_engine("onx")


def test_installed_packages_add_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, PLACES)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert engine_names() == (*ENGINES, *sorted(PLACES))
    assert find_engine("acme") == ACME


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("NOTHING", "acme_engine:NOTHING cannot be loaded"),
        ("announce", "acme_engine:announce, 'function'; allowed: an Engine named 'mine'"),
        ("ACME", "acme_engine:ACME, 'acme'; allowed: an Engine named 'mine'"),
    ],
)
def test_a_package_that_does_not_keep_its_word_is_told(
    attribute: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(tmp_path, {"mine": attribute})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TargetError, match=message):
        find_engine("mine")


def test_a_name_of_this_package_cannot_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(tmp_path, {"gpu": "ACME"})
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_engine("gpu") is engines.ENGINES["gpu"]
    assert engine_names() == tuple(ENGINES)


def test_what_is_missing_is_said_with_the_line_that_supplies_it() -> None:
    bare = Engine("mine", "t", "no_such_library.engine:run")
    nothing: Any = None
    with pytest.raises(TargetError, match="engine mine: found no_such_library.engine:run cannot"):
        start(bare, Setting(nothing))
    assert look(bare).detail == "t"
    found = look(replace(bare, needs=("no_such_library",)))
    assert (found.state, found.fix) == ("missing", "pip install no_such_library")


def test_modules_are_found_without_importing_them() -> None:
    names = ["json", "no_such_module", "tssd.calibration.neuron", "tssd.no_such.part"]
    assert missing_modules(names) == ["no_such_module", "tssd.no_such.part"]


def test_netx_reads_a_file_that_bundles_have() -> None:
    assert ENGINES["netx"].reads == NETX
