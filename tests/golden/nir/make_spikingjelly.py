"""Makes spikingjelly.nir and spikingjelly.npz beside it: what SpikingJelly 2.0.0 itself does.

Run in an environment with spikingjelly 2.0.0, nir and nirtorch. Weights, biases and inputs are
multiples of powers of two, so that membranes often equal their threshold: SpikingJelly fires then.
``module`` is the module's own output over 40 steps, ``imported`` that of SpikingJelly's import of
the file; ``back`` is its import of spikingjelly_back.nir, which recurs through an Affine with bias.
"""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir, import_from_nir
from torch import nn

HERE = Path(__file__).parent
DT = 1e-4


def module() -> nn.Sequential:
    """Each kind of neuron that it exports, with a reset voltage where that differs from rest."""
    torch.manual_seed(3)
    cells = [
        neuron.IFNode(v_threshold=0.5, v_reset=0.25),
        neuron.CUBALIFNode(0.25, 0.5, 0.25, v_reset=0.125),
        neuron.LIFNode(tau=2.0, v_threshold=0.5, v_reset=-0.25),
        neuron.LIFNode(tau=4.0, decay_input=False),
    ]
    sizes = (6, 8, 8, 8, 4)
    layers: list[nn.Module] = []
    for inputs, outputs, cell in zip(sizes[:-1], sizes[1:], cells, strict=True):
        linear = nn.Linear(inputs, outputs)
        for values in (linear.weight, linear.bias):
            values.data = torch.round(values.data * 8) / 4
        layers += [linear, cell]
    return nn.Sequential(*layers).double()


def recurrent() -> nir.NIRGraph:
    """input -> Affine -> IF with an Affine back to itself, whose bias matters."""
    rng = np.random.default_rng(0)
    nodes = {
        "input": nir.Input(np.array([5])),
        "fc": nir.Affine(rng.normal(0, 1, (6, 5)), rng.normal(0, 0.2, 6)),
        "if": nir.IF(np.full(6, 1 / DT), np.full(6, 0.8), np.zeros(6)),
        "back": nir.Affine(rng.normal(0, 0.5, (6, 6)), rng.normal(0.3, 0.5, 6)),
        "output": nir.Output(np.array([6])),
    }
    edges = [("input", "fc"), ("fc", "if"), ("if", "back"), ("back", "if"), ("if", "output")]
    return nir.NIRGraph(nodes, edges)


def stepped(model: Any, frames: torch.Tensor) -> Any:
    """The imported model, its state handed on."""
    state, out = None, []
    for frame in frames:
        value, state = model(frame, state)
        out.append(value)
    return torch.stack(out).detach().numpy()


def main() -> None:
    net = module()
    frames = (torch.rand(40, 3, 6) < 0.5).double()
    export_to_nir(net, frames[0], HERE / "spikingjelly.nir", dt=DT)
    functional.reset_net(net)
    with torch.no_grad():
        own = torch.stack([net(frame) for frame in frames]).numpy()
    again = import_from_nir(HERE / "spikingjelly.nir", dt=DT, dtype=torch.float64)
    nir.write(HERE / "spikingjelly_back.nir", recurrent())
    back = import_from_nir(HERE / "spikingjelly_back.nir", dt=DT, dtype=torch.float64)
    np.savez_compressed(
        HERE / "spikingjelly.npz",
        inputs=frames.numpy().astype(np.uint8),
        module=own.astype(np.uint8),
        imported=stepped(again, frames).astype(np.uint8),
        back=stepped(back, frames[..., :5]).astype(np.uint8),
    )


if __name__ == "__main__":
    main()
