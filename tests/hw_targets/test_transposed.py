"""A spiking autoencoder: transposed convolutions from torch to every engine and back."""

import tempfile
from dataclasses import replace
from pathlib import Path

import nir_interpreter
import numpy as np
import pytest
import torch
from activities import assert_same
from float_nets import images, lif, stateless
from hypothesis import given, settings
from hypothesis import strategies as st
from lava_environment import differences, needs_lava
from strategies import Case, random_inputs, random_lif, random_window, readout

from tssd.calibration.encode import encode
from tssd.calibration.int_network import (
    IntNetwork,
    PopulationKind,
    Projection,
    ProjectionKind,
    Reset,
    constant,
    plain_population,
)
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.simulate import layerwise, pipelined
from tssd.chain.torch_module import FloatModule
from tssd.contracts import require
from tssd.errors import NetworkError
from tssd.export.netx.rules import check_netx
from tssd.export.nir.integers import nodes
from tssd.export.nir.integers.graph import to_nir
from tssd.export.nir.integers.roundtrip import check_file
from tssd.export.nir.integers.write import write_nir
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.lava import engine as lava
from tssd.hw_targets.mapping.fanout import synapses_per_neuron
from tssd.hw_targets.mapping.placement import place
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim import engine as sim
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover import float_run
from tssd.train.handover.float_network import AveragePool, FloatNetwork, FloatProjection
from tssd.train.handover.float_serial import from_arrays, to_arrays
from tssd.train.handover.geometry import matrix, turned

TRANSPOSED = ProjectionKind.CONV2D_TRANSPOSED
SEEDS = st.integers(0, 2**32 - 1)


def enlarging(seed: int) -> Case:
    """input -> transposed -> any convolution -> readout; now and then late."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers((1, 2, 2), (4, 5, 5)))
    populations = [plain_population("input", shape, PopulationKind.INPUT)]
    projections = []
    for name in ("a", "b"):
        drawn = (random_window(rng, shape) for _ in range(1000))
        window = next(w for w in drawn if name == "b" or w.kind is TRANSPOSED)
        weight = rng.integers(-127, 128, window.weight)
        source, late = populations[-1].name, int(rng.integers(0, 2))
        projections.append(window.projection(source, name, weight, delay=late))
        shape = window.output
        populations.append(random_lif(rng, name, shape, list(Reset)[int(rng.integers(3))]))
    populations.append(readout("readout", 3, rng))
    dense = rng.integers(-127, 128, (3, int(np.prod(shape))))
    projections.append(Projection("b", "readout", ProjectionKind.DENSE, dense))
    network = IntNetwork(tuple(populations), tuple(projections), 4)
    return Case(network, random_inputs(network, seed, batch=2))


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_every_engine_equals_the_definition(seed: int) -> None:
    case = enlarging(seed)
    wanted = layerwise(case.network, case.inputs)
    assert_same(gpu.run(case.network, case.inputs, states=True), wanted)
    found = simulate(prepare(case.network), case.inputs, record=True)
    assert_same(activity(case.network, found), wanted)


@pytest.mark.parametrize("seed", range(5))
def test_onnx_equals_the_definition(seed: int) -> None:
    case = enlarging(seed)
    found = onnx.run(case.network, case.inputs, trace=True)
    assert_same(found, layerwise(case.network, case.inputs))


@pytest.mark.lava
@needs_lava("light")
def test_lava_equals_the_definition() -> None:
    """By a process of ours that spreads the spikes out, and Lava's own convolution behind it."""
    cases = [enlarging(seed) for seed in range(60)]
    found = lava.run_many([(c.network, c.inputs) for c in cases], mode="inprocess")
    for case, got in zip(cases, found, strict=True):
        assert differences(pipelined(case.network, case.inputs), got) == []
    one = cases[3]
    runtime = lava.run(one.network, one.inputs, mode="process")
    assert differences(pipelined(one.network, one.inputs), runtime) == []


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_neuron_reaches_those_that_its_weights_say(seed: int) -> None:
    network = enlarging(seed).network
    for j in network.projections[:2]:
        source, target = (network.population(x).shape for x in (j.source, j.target))
        reached = np.count_nonzero(matrix(j, source, target), axis=0)
        np.testing.assert_array_equal(synapses_per_neuron(j, source, target), reached)


def autoencoder(seed: int = 0) -> FloatNetwork:
    """8 x 8 pixels -> 3 x 4 x 4 spikes -> 8 x 8 pixels again, as torch's modules say it."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    down, up, last = (
        torch.nn.Conv2d(1, 3, 3, 2, 1),
        torch.nn.ConvTranspose2d(3, 4, 4, 2, 1),
        torch.nn.ConvTranspose2d(4, 1, 3, 1, 1),
    )
    populations = (
        stateless("input", (1, 8, 8), PopulationKind.INPUT),
        lif("code", (3, 4, 4), Reset.SOFT),
        lif("wide", (4, 8, 8), Reset.SOFT),
        stateless("image", (1, 8, 8), PopulationKind.READOUT),
    )
    layers = (("input", "code", down), ("code", "wide", up), ("wide", "image", last))
    projections = tuple(_taken_over(s, t, layer, rng) for s, t, layer in layers)
    return FloatNetwork(populations, projections, 4)


def _taken_over(
    source: str,
    target: str,
    layer: torch.nn.Conv2d | torch.nn.ConvTranspose2d,
    rng: np.random.Generator,
) -> FloatProjection:
    weight = layer.weight.detach().double().numpy() * 10
    plain = isinstance(layer, torch.nn.Conv2d)
    return FloatProjection(
        source,
        target,
        ProjectionKind.CONV2D if plain else TRANSPOSED,
        weight if plain else turned(weight, layer.groups),
        rng.normal(0.3, 0.1, layer.out_channels),
        (layer.stride[0], layer.stride[1]),
        (int(layer.padding[0]), int(layer.padding[1])),
    )


def quantized(network: FloatNetwork) -> IntNetwork:
    folded = align(fold(network))
    return quantize(folded, LOIHI, observe(folded, images(network, 16)))


def test_an_autoencoder_is_deployed() -> None:
    """Trained, folded, quantized, in every file and engine, and placed on a chip."""
    network, shown = autoencoder(), images(autoencoder(), 6, seed=1)
    trained = float_run.run(network, shown, dtype="float64", keep_spikes=True)
    again = from_arrays(*to_arrays(network))
    assert again.projections[1].kind is TRANSPOSED
    with torch.no_grad():
        module = FloatModule(network).double()
        spikes = module.spikes(module.inputs(shown).double())
    np.testing.assert_array_equal(spikes["wide"].numpy(), trained.spikes["wide"])
    integers = quantized(network)
    inputs = encode(integers, shown)
    wanted = layerwise(integers, inputs)
    for name in ("code", "wide"):
        assert 0.02 < trained.spikes[name].mean() < 0.9
        assert np.mean(wanted.spikes[name] != trained.spikes[name]) < 0.05
    assert integers.projections[1].weight.max() > 100  # 4 x 4 taps, of which 4 meet: no bits lost
    assert_same(gpu.run(integers, inputs, states=True), wanted)
    assert_same(onnx.run(integers, inputs, trace=True), wanted)
    chip = load_chip("loihi2")
    done = sim.run(integers, inputs, place(integers, chip), chip)
    fired = np.count_nonzero(wanted.spikes["wide"], axis=(0, 1))
    np.testing.assert_array_equal(done.tally.events["wide"], fired)
    np.testing.assert_array_equal(done.tally.readout, wanted.readout)


def test_nir_alone_fires_the_same_spikes(tmp_path: Path) -> None:
    """NIR has no transposed convolution: pixels become channels, and those a larger image."""
    exact = quantized(autoencoder(1))
    hard = [
        replace(p, reset=Reset.HARD, dv=constant(4096, p.shape)) if p.reset is Reset.SOFT else p
        for p in exact.populations
    ]
    network = replace(exact, populations=tuple(hard))
    write_nir(network, tmp_path / "n.nir")
    require(check_file(network, tmp_path / "n.nir"))
    inputs = encode(network, images(autoencoder(), 1, seed=2))
    wanted = layerwise(network, inputs)
    graph = to_nir(network)
    got = nir_interpreter.run(graph, inputs[:, 0].astype(np.float64), graph.metadata["dt"])
    assert wanted.spikes["wide"].any()
    for name in ("code", "wide"):
        np.testing.assert_array_equal(got[name], wanted.spikes[name][:, 0])
    np.testing.assert_array_equal(got["output"][-1] * 64, wanted.readout[0])


def test_a_map_that_nir_would_blow_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = quantized(autoencoder())
    monkeypatch.setattr(nodes, "MOST_UNROLLED", 1000)
    with pytest.raises(NetworkError, match=r"code -> wide: found a transposed .* 12,288 weights"):
        to_nir(network)


def test_netx_refuses_it_by_name() -> None:
    findings = [str(finding) for finding in check_netx(quantized(autoencoder()))]
    assert any("code -> wide: found a transposed convolution" in text for text in findings)


def test_a_pool_before_it_stays_a_population() -> None:
    """It cannot be folded into weights that enlarge."""
    network = autoencoder()
    first, up, last = network.projections
    pooled = replace(up, pool=AveragePool((2, 2), (2, 2)), padding=(0, 0), stride=(4, 4))
    whole = replace(network, projections=(first, pooled, last))
    folded = fold(whole)
    assert [p.name for p in folded.populations][2] == "code_pool1"
    shown = images(network, 4)
    ours, theirs = (
        float_run.run(n, shown, dtype="float64", keep_spikes=True).spikes["wide"]
        for n in (folded, whole)
    )
    assert ours.any()
    np.testing.assert_array_equal(ours, theirs)


def test_the_file_keeps_the_kind() -> None:
    network = enlarging(1).network
    with tempfile.TemporaryDirectory() as folder:
        write_nir(network, Path(folder) / "n.nir")
        require(check_file(network, Path(folder) / "n.nir"))
