"""Thresholds and biases per channel: the same spikes on every engine, in every file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from activities import assert_same
from float_nets import images, small_residual, small_vgg

from tssd.calibration.encode import encode
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.channels import Granularity
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.quantizing.scales import Exponents, Options
from tssd.calibration.simulate import layerwise, pipelined
from tssd.contracts import require
from tssd.export.netx.rules import check_netx
from tssd.export.nir.integers.read import read_nir
from tssd.export.nir.integers.roundtrip import check_file
from tssd.export.nir.integers.write import write_nir
from tssd.hw_targets.gpu import engine as gpu
from tssd.hw_targets.onnx import engine as onnx
from tssd.hw_targets.sim.functional import activity, simulate
from tssd.hw_targets.sim.program import prepare
from tssd.train.handover.float_network import FloatNetwork, Reset

NETWORKS = {
    "chain": align(fold(small_vgg(3, Reset.HARD, side=8))),
    "skip": align(fold(small_residual(3))),
}


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_every_engine_and_file_holds_a_scale_per_channel(
    network: FloatNetwork, bits: int, tmp_path: Path
) -> None:
    options = Options(granularity=Granularity.CHANNEL)
    seen = observe(network, images(network, 8))
    integers = quantize(network, Precision(weight_bits=bits), seen, options)
    firing = integers.populations[1]
    assert len(np.unique(firing.vth)) > 1
    inputs = encode(integers, images(network, 4, seed=1))
    wanted = layerwise(integers, inputs)
    assert_same(pipelined(integers, inputs), wanted, states=False)
    assert_same(gpu.run(integers, inputs), wanted, states=False)
    assert_same(onnx.run(integers, inputs), wanted, states=False)
    found = activity(integers, simulate(prepare(integers), inputs, record=True))
    assert_same(found, wanted, states=False)
    write_nir(integers, tmp_path / "n.nir")
    require(check_file(integers, tmp_path / "n.nir"))
    assert read_nir(tmp_path / "n.nir").populations[1].channel_scales == firing.channel_scales


def test_lava_s_exchange_file_holds_thresholds_per_channel() -> None:
    network = NETWORKS["chain"]
    options = replace(Options(granularity=Granularity.CHANNEL), exponents=Exponents.NEVER)
    seen = observe(network, images(network, 8))
    assert check_netx(quantize(network, Precision(), seen, options)) == []
