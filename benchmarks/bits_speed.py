"""What an update with few bits costs beside one in float: the same network, batch and loss.

    python -m benchmarks.bits_speed [MODEL ...]

Cross-entropy, T = 4, a batch of 128 images of 28 x 28; both sides take turns in one process, on one
thread; CPU seconds, the least of some repeats. Networks of stages are trained with few bits as
stages, and as whole graphs, as users' modules and residual networks are.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.harness import Row, at_most, cpu_seconds, report, write
from benchmarks.training_speed import CLASSES, SHAPE
from tssd.train.config import Method, TrainConfig
from tssd.train.loop.memory import keep_freed_pages
from tssd.train.losses.distill import losses
from tssd.train.networks.models import neuron_of
from tssd.train.networks.network import (
    READOUT,
    SpikingNet,
    Unrolled,
    Unrolling,
    scale_to_unit_current,
)
from tssd.train.networks.strip import strip
from tssd.train.quantization.build import build
from tssd.train.quantization.graph.network import QuantizedGraph
from tssd.train.quantization.network import QuantizedNet
from tssd.train.quantization.widths import chip_of

BATCH, GOAL, REPEATS = 128, 1.5, 5
WIDTHS = ("", "4", "ternary")
WHOLE = "4 as a whole graph"
WIDTH = {"resnet-18": 0.25}  # of the networks that are trained here: the rest as they are


def update(net: Unrolled, config: TrainConfig, images: torch.Tensor) -> Callable[[], None]:
    """One training iteration."""
    labels = torch.randint(0, CLASSES, (BATCH,), generator=torch.Generator().manual_seed(0))
    optimizer, run = torch.optim.Adam(net.parameters(), 1e-3), Unrolling(BATCH, 4)

    def work() -> None:
        logits = net.run(images, run)[READOUT]
        total = losses(logits, None, labels, 4, config).total
        optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return work


def side(model: str, bits: str) -> Callable[[], None]:
    """The update of *model* with *bits*, in float, or with 4 bits as a whole graph."""
    whole = bits == WHOLE
    config = replace(TrainConfig(model=model, method=Method.CE), width=WIDTH.get(model, 1.0))
    images = torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(0))
    net = build(config if whole else replace(config, bits=bits), SHAPE, CLASSES).train()
    assert isinstance(net, SpikingNet)
    scale_to_unit_current(net, images, 4)
    if whole:
        return update(_as_graph(net, images, config), config, images)
    if isinstance(net, QuantizedNet):
        net.begin(images)
    return update(net, config, images)


def _as_graph(net: SpikingNet, images: torch.Tensor, config: TrainConfig) -> QuantizedGraph:
    with torch.no_grad():  # normalisation needs moments before it can be folded
        net.run(images, Unrolling(BATCH, 4))
    network = strip(net.eval(), (255 * images[:4]).byte().numpy(), 4)
    graph = QuantizedGraph(network, "4", chip_of(config), neuron_of(config))
    graph.begin(images)
    return graph.train()


def rows(models: list[str], repeats: int = REPEATS) -> list[Row]:
    """The ratio of each width, and what both sides took."""
    torch.set_num_threads(1)
    keep_freed_pages()
    found: list[Row] = []
    for model in models:
        widths = (*(WIDTHS if model not in WIDTH else WIDTHS[:1]), WHOLE)  # stages: where measured
        works = {bits: side(model, bits) for bits in widths}
        spent: dict[str, list[float]] = {bits: [] for bits in widths}
        for _ in range(repeats + 1):
            for bits, work in works.items():
                spent[bits].append(cpu_seconds(work))
        best = {bits: min(times[1:]) for bits, times in spent.items()}  # the first warms up
        how = f"CPU s, 1 thread, batch {BATCH}, T 4, same process, {repeats} turns"
        how += f"; width {WIDTH[model]:g}" if model in WIDTH else ""
        for bits in widths[1:]:
            said = bits.replace("4", "4 bits") if bits == WHOLE else f"{bits} bits"
            name = f"training {model}, {said} over float"
            found.append(at_most(name, best[bits] / best[""], GOAL, "x", how))
        found += [
            report(f"training {model}, {bits or 'float'}", 1000 * best[bits], "ms", how)
            for bits in widths
        ]
    return found


if __name__ == "__main__":
    write(
        "bits_speed",
        "python -m benchmarks.bits_speed",
        rows(sys.argv[1:] or ["tiny", "vgg-small", "resnet-18"]),
    )
