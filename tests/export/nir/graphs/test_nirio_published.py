"""NIR's published graphs: each reads and behaves as published, or is refused with the reason."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tssd.calibration.encode import encode
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import layerwise
from tssd.errors import ConfigError, FileFormatError, NetworkError
from tssd.export.nir.graphs.profiles import PROFILES, Answers
from tssd.export.nir.graphs.read import read_graph
from tssd.export.nir.graphs.run import run
from tssd.export.nir.graphs.to_float import to_float
from tssd.train.handover import float_run

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "nir"
SNNTORCH = Answers(profile="snntorch")


def trace(platform: str) -> npt.NDArray[np.float64]:
    """Columns input, membrane, output of a published run."""
    return np.loadtxt(GOLDEN / f"lif_{platform}.csv", delimiter=",")


def steps(output: npt.NDArray[np.float64]) -> list[int]:
    return [int(t) for t in np.nonzero(output[:, 0, 0])[0]]


@pytest.mark.parametrize(
    ("platform", "answers", "unit", "tolerance"),
    [
        ("snntorch", SNNTORCH, 25.0, 1e-6),  # snnTorch divides the threshold by r dt / tau
        ("norse", Answers(profile="norse", dt_seconds=1e-4), 1.0, 1e-6),
        ("nengo", Answers(profile="nengo", dt_seconds=1e-4), 10.0, 1e-12),
    ],
)
def test_lif_spikes_and_membrane_as_published(
    platform: str, answers: Answers, unit: float, tolerance: float
) -> None:
    published = trace(platform)
    drive = trace("snntorch")[:, 0].reshape(-1, 1, 1)
    got = run(read_graph(GOLDEN / "lif_norse.nir"), drive, answers, record=["1"])
    assert steps(got.output) == [460, 510, 710, 760]
    np.testing.assert_allclose(unit * got.v["1"][:, 0, 0], published[:, 1], atol=tolerance)


def test_spinnaker2_sends_four_spikes_as_published() -> None:
    """It counts the input as it is and divides the threshold by the gain; not both undone."""
    drive = trace("snntorch")[:, 0].reshape(-1, 1, 1)
    got = run(read_graph(GOLDEN / "lif_norse.nir"), drive, Answers(profile="spinnaker2"))
    assert steps(got.output) == [460, 510, 710, 760]


def test_rockpool_graph_as_snntorch_and_as_rockpool_run_it() -> None:
    drive = trace("snntorch")[:, 0].reshape(-1, 1, 1)
    graph = read_graph(GOLDEN / "lif_rockpool.nir")
    assert steps(run(graph, drive, SNNTORCH).output) == [460, 520, 720, 780]
    rockpool = Answers(profile="rockpool", dt_seconds=1e-4)
    assert steps(run(graph, drive, rockpool).output) == [460, 510, 710, 760]


def test_a_leak_voltage_above_threshold_fires_without_input() -> None:
    graph = read_graph(GOLDEN / "two_lif_neurons.nir")
    told = Answers(dt_seconds=1e-3, rule="exact", reset="zero")
    silent = np.zeros((60, 1, 1))
    got = run(graph, silent, told, record=["lif1"])
    # v(n) = 1.2 (1 - exp(-n dt / tau)) > 1 first at n = ceil(10 ln 6) = 18, then every 18 steps
    assert steps(got.nodes["lif1"]) == [17, 35, 53]


def test_published_cnn_imports_runs_and_quantizes() -> None:
    graph, told = read_graph(GOLDEN / "cnn_sinabs.nir"), Answers(profile="sinabs")
    rng = np.random.default_rng(0)
    seen = rng.random((1, 2, 34, 34)) < 0.3
    images: npt.NDArray[np.uint8] = np.where(seen, 200, 0).astype(np.uint8)
    network = to_float(graph, 4, told)
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True)
    inputs = np.repeat(images[None] / 255, 4, axis=0)
    theirs = run(graph, inputs, told, record=["1", "3", "6", "10", "12"])
    for name, spikes in theirs.nodes.items():
        np.testing.assert_array_equal(ours.spikes[f"lif_{name}"], spikes, err_msg=name)
    assert theirs.nodes["6"].any()
    folded = align(fold(network))
    integers = quantize(folded, Precision(), observe(folded, images))
    fired = layerwise(integers, encode(integers, images)).spikes["lif_1"]
    assert abs(fired.sum() / theirs.nodes["1"].sum() - 1) < 0.1


def test_if_neurons_keep_their_charge() -> None:
    """An import that leaks (beta 0.9) fires far less: 3739 against 1575 in the first layer."""
    graph = read_graph(GOLDEN / "cnn_sinabs.nir")
    inputs = (np.random.default_rng(1).random((4, 1, 2, 34, 34)) < 0.05).astype(np.float64)
    told = Answers(dt_seconds=1.0, rule="euler", reset="zero")
    v = run(graph, inputs, told, record=["1"]).v["1"]
    quiet = np.concatenate([inputs, np.zeros_like(inputs[:1])])
    again = run(graph, quiet, told, record=["1"]).v["1"]
    np.testing.assert_array_equal(again[-1], v[-1])


@pytest.mark.parametrize("name", ["bias_zero", "noBias_subtract"])
def test_recurrent_braille_graphs_run_and_quantize(name: str) -> None:
    """Synaptic current and recurrence: the float network is the graph, the integers follow it."""
    graph = read_graph(GOLDEN / f"braille_noDelay_{name}.nir")
    told = Answers(dt_seconds=1e-4, rule="euler", reset="zero")
    images = np.random.default_rng(0).integers(0, 256, (4, 12)).astype(np.uint8)
    inputs = np.repeat(images[None] / 255, 40, axis=0)
    expected = run(graph, inputs, told, record=["lif1.lif"]).nodes["lif1.lif"]
    network = to_float(graph, 40, told)
    ours = float_run.run(network, images, dtype="float64", keep_spikes=True).spikes["lif1.lif"]
    np.testing.assert_array_equal(ours, expected)
    assert expected.any()
    folded = align(fold(network))
    assert ("constant" in [p.name for p in folded.populations]) == (name == "bias_zero")
    integers = quantize(folded, Precision(), observe(folded, images))
    assert any(j.is_loop for j in integers.projections)
    fired = layerwise(integers, encode(integers, images)).spikes["lif1.lif"]
    assert abs(fired.sum() / expected.sum() - 1) < 0.1


@pytest.mark.parametrize("name", ["bias_zero", "noBias_subtract"])
def test_dangling_sub_graph_files_are_refused(name: str) -> None:
    with pytest.raises(FileFormatError, match="lif1.input -> lif: found no node 'lif'"):
        read_graph(GOLDEN / f"braille_noDelay_{name}_subgraph.nir")


def test_what_the_graph_does_not_say_is_asked_for() -> None:
    graph = read_graph(GOLDEN / "lif_norse.nir")
    with pytest.raises(ConfigError, match="does not say its dt, reset, rule.*--dt SECONDS") as info:
        run(graph, np.zeros((1, 1, 1)))
    assert all(name in str(info.value) for name in PROFILES)
    with pytest.raises(ConfigError, match="does not say its reset"):
        run(graph, np.zeros((1, 1, 1)), Answers(dt_seconds=1e-4, rule="euler"))
    with pytest.raises(ConfigError, match="unknown 'snn'"):
        run(graph, np.zeros((1, 1, 1)), Answers(profile="snn"))
    with pytest.raises(NetworkError, match="tau down to 0.0025 with dt 1"):
        run(graph, np.zeros((1, 1, 1)), Answers(dt_seconds=1.0, rule="euler", reset="zero"))
