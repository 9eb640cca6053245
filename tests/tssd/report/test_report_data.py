"""Report values: they satisfy the schema, survive JSON, and refuse what is not theirs."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known import known
from sample_report import bare_report, full_report, sample_evidence, sample_network, sample_tally

from tssd.errors import ConfigError, FileFormatError
from tssd.report.making.assemble import assemble, stored_bits, synapses
from tssd.report.model import Report
from tssd.report.serial import SCHEMA_FILE, from_json, schema_text, to_json

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FULL = json.loads(to_json(full_report()))


def test_the_published_schema_is_the_declaration() -> None:
    found = SCHEMA_FILE.read_text(encoding="utf-8")
    assert found == schema_text(), "run `make schema` and commit what it writes"


@pytest.mark.parametrize("report", [full_report(), bare_report()], ids=["full", "bare"])
def test_report_satisfies_the_schema_and_survives_json(report: Report) -> None:
    text = to_json(report)
    VALIDATOR.validate(json.loads(text))
    assert from_json(text) == report
    assert to_json(from_json(text)) == text


def test_every_required_field_of_the_schema_is_required_here() -> None:
    required = SCHEMA["$defs"]["Report"]["required"]
    assert {"schema", "network", "layers", "provenance"} < set(required)
    for name in required:
        without = {key: value for key, value in FULL.items() if key != name}
        with pytest.raises(FileFormatError, match=name):
            from_json(json.dumps(without))


def test_a_report_of_schema_1_is_refused() -> None:
    """Its times depended on the number of samples; read as today's they would be wrong."""
    older = json.loads(to_json(full_report())) | {"schema": "tssd-report/1"}
    with pytest.raises(FileFormatError, match="(?s)schema 'tssd-report/1'.*tssd verify writes it"):
        from_json(json.dumps(older))


@pytest.mark.parametrize(
    ("table", "column", "place"),
    [
        ("accuracy", "folded", "report.json.accuracy"),
        ("spikes", "integer", r"report.json.layers\[1\].spikes"),
    ],
)
def test_columns_that_every_report_has_are_required(table: str, column: str, place: str) -> None:
    report = json.loads(to_json(full_report()))
    del (report if table == "accuracy" else report["layers"][1])[table][column]
    with pytest.raises(FileFormatError, match=f"{place}: found no '{column}'"):
        from_json(json.dumps(report))


def test_what_did_not_run_is_null() -> None:
    table = json.loads(to_json(bare_report()))
    assert all(value is None for value in table["accuracy"].values())
    spikes = table["layers"][0]["spikes"]
    assert spikes.pop("integer") is not None
    assert all(value is None for value in spikes.values())
    assert table["totals"]["energy_uj_per_inference"]["static"] is None
    assert table["totals"]["energy_uj_per_inference"]["total"] is None


def test_energy_totals_are_the_sums_of_the_layers() -> None:
    report = full_report()
    energy = report.totals.energy_uj_per_inference
    assert energy.dynamic is not None
    assert energy.static is not None
    assert energy.total is not None
    layers_pj = sum(known(layer.energy_pj).nominal for layer in report.layers)
    assert energy.dynamic.nominal == pytest.approx(layers_pj / 1e6)
    assert energy.total.high == pytest.approx(energy.dynamic.high + energy.static.high)


def test_synapses_are_those_between_neurons_that_exist() -> None:
    """A 3 x 3 kernel over 5 x 5 pixels, padded: along each axis 4 + 5 + 4 pairs of neurons."""
    network = sample_network()
    assert synapses(network, "readout") == np.count_nonzero(network.incoming("readout")[0].weight)
    a = network.incoming("a")[0]
    assert np.all(a.weight)
    assert synapses(network, "a") == 2 * 2 * 13**2
    assert synapses(network, "input") == 0


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(-128, 127, 8), (0, 255, 8), (-256, 254, 8), (-127, 128, 9)]
)
def test_stored_bits(low: int, high: int, bits: int) -> None:
    network = sample_network()
    a = network.incoming("a")[0]
    weight = np.zeros_like(a.weight)
    weight.flat[:2] = low, high
    projections = tuple(replace(j, weight=weight) if j is a else j for j in network.projections)
    assert stored_bits(replace(network, projections=projections), "a") == bits


def test_the_bits_that_a_layer_keeps_are_those_of_its_poorest_projection() -> None:
    network = sample_network()
    found = {layer.name: layer.kept_bits for layer in assemble(sample_evidence()).layers}
    for population in network.populations:
        largest = [int(np.abs(j.weight).max()) for j in network.incoming(population.name)]
        own = bool(largest) and not population.kind.relays
        wanted = np.log2(2 * min(largest) + 1) if own else None
        assert found[population.name] == (wanted and pytest.approx(wanted))
    assert len(set(found.values())) > 2


def test_tallies_of_other_samples_are_refused() -> None:
    evidence = sample_evidence()
    other = replace(sample_tally(sample_network()), samples=9)
    with pytest.raises(ConfigError, match=r"tally of 'gpu': found 9 samples x 4 steps"):
        assemble(replace(evidence, tallies={**evidence.tallies, "gpu": other}))


def test_names_that_fit_nothing_are_refused() -> None:
    evidence = sample_evidence()
    with pytest.raises(ConfigError, match="unknown name 'fpga'"):
        assemble(replace(evidence, accuracy={"fpga": 0.5}))
    with pytest.raises(ConfigError, match="none for 'b'"):
        assemble(replace(evidence, costs={k: c for k, c in evidence.costs.items() if k != "b"}))
    with pytest.raises(ConfigError, match="no 'integer' tally"):
        assemble(replace(evidence, tallies={}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("samples", "8"), "report.json: samples: found '8'; allowed: a whole number"),
        (("layers", {}), "report.json: layers: found an object; allowed: a list"),
        (("accuracy", None), "report.json: accuracy: found null; allowed: an object"),
        (("totals", {}), "report.json: totals: found no cores"),
        (("schema", "tssd-report/9"), "schema 'tssd-report/9'"),
    ],
)
def test_wrong_types_are_named(change: tuple[str, object], message: str) -> None:
    table = json.loads(to_json(full_report()))
    table[change[0]] = change[1]
    with pytest.raises(FileFormatError, match=message):
        from_json(json.dumps(table))


def test_nan_is_refused_by_place() -> None:
    report = full_report()
    broken = replace(report, layers=(replace(report.layers[0], rate=float("nan")),))
    with pytest.raises(FileFormatError, match=r"report.layers\[0\].rate: found NaN"):
        to_json(broken)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value in nested lists and dicts."""
    if not isinstance(value, dict | list):
        return [at]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [at] * bool(at) + [p for key, item in inner for p in places(item, (*at, key))]


STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    1.5,
    -0.5,
    "",
    "cycle",
    [],
    {},
    [1],
    {"low": 1},
    1 << 70,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(places(FULL)), st.sampled_from(STRANGE))
def test_the_reader_takes_what_the_schema_allows(place: tuple[Any, ...], strange: Any) -> None:
    """One value replaced by a strange one: reader and published schema say the same of it."""
    table = json.loads(json.dumps(FULL))
    below = table
    for key in place[:-1]:
        below = below[key]
    below[place[-1]] = strange
    if VALIDATOR.is_valid(table):
        from_json(json.dumps(table))
    else:
        with pytest.raises(FileFormatError, match="found"):
            from_json(json.dumps(table))
