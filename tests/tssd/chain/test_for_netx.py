"""What a .net costs and what keeps to it: `--for-netx`, its note and its refusals."""

from pathlib import Path

import numpy as np
import pytest
from dense_nets import grey, mlp

from tssd.calibration.quantizing.scales import Exponents
from tssd.calibration.quantizing.scales import Options as QuantizeOptions
from tssd.chain.for_netx import exponents_of
from tssd.chain.pipeline import Deployable, ExportOptions, Material, deploy
from tssd.errors import NetworkError
from tssd.export.netx.write import write_netx
from tssd.train.handover.float_network import FloatNetwork, Reset


def deployed(network: FloatNetwork, *, for_netx: bool) -> Deployable:
    images = grey(16)
    material = Material(images, images, np.zeros(16, np.int64), images[:2])
    options = ExportOptions(for_netx=for_netx, tolerance_points=100)
    return deploy(network, material, options)


def test_a_hard_reset_mlp_keeps_its_bits_behind_an_exponent_and_says_what_that_costs(
    tmp_path: Path,
) -> None:
    made = deployed(mlp(Reset.HARD), for_netx=False)
    assert made.weights[0]["kept_bits"] >= 7
    (note,) = (n for n in made.notes if "--for-netx" in n)
    assert note.startswith("hidden: weights keep their bits behind an exponent, so the network can")
    with pytest.raises(NetworkError, match="again with --for-netx, which takes no exponents"):
        write_netx(made.network, tmp_path / "x.net")


def test_for_netx_keeps_to_what_a_net_can_say(tmp_path: Path) -> None:
    made = deployed(mlp(Reset.HARD), for_netx=True)
    assert all(j.weight_exp == 0 for j in made.network.projections)
    assert not any("--for-netx" in note for note in made.notes)
    write_netx(made.network, tmp_path / "x.net")


def test_for_netx_of_a_network_that_no_net_can_say_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"--for-netx: found population hidden: soft reset;"):
        deployed(mlp(Reset.SOFT), for_netx=True)


@pytest.mark.parametrize(
    ("reset", "for_netx", "asked", "right"),
    [
        (Reset.HARD, False, Exponents.ALWAYS, Exponents.WORTH),
        (Reset.SOFT, False, Exponents.ALWAYS, Exponents.ALWAYS),
        (Reset.HARD, False, Exponents.NEVER, Exponents.NEVER),
        (Reset.SOFT, True, Exponents.ALWAYS, Exponents.NEVER),
    ],
)
def test_when_layers_may_be_finer(
    reset: Reset, for_netx: bool, asked: Exponents, right: Exponents
) -> None:
    options = QuantizeOptions(exponents=asked)
    assert exponents_of(mlp(reset), options, for_netx) is right
