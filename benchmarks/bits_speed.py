"""What an update with few bits costs beside one in float: the same network, batch and loss.

    python -m benchmarks.bits_speed [MODEL ...]

Cross-entropy, T = 4, a batch of 128 images of 28 x 28; both sides take turns in one process, on one
thread; CPU seconds, the least of some repeats.
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
from tssd.train.networks.network import READOUT, Unrolled, Unrolling, scale_to_unit_current
from tssd.train.quantization.build import build
from tssd.train.quantization.network import QuantizedNet

BATCH, GOAL, REPEATS = 128, 1.5, 5
WIDTHS = ("", "4", "ternary")


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
    """The update of *model* with *bits*, or in float."""
    config = replace(TrainConfig(model=model, method=Method.CE), bits=bits)
    images = torch.rand(BATCH, *SHAPE, generator=torch.Generator().manual_seed(0))
    net = build(config, SHAPE, CLASSES).train()
    assert isinstance(net, Unrolled)
    scale_to_unit_current(net, images, 4)  # type: ignore[arg-type]
    if isinstance(net, QuantizedNet):
        net.begin(images)
    return update(net, config, images)


def rows(models: list[str], repeats: int = REPEATS) -> list[Row]:
    """The ratio of each width, and what both sides took."""
    torch.set_num_threads(1)
    keep_freed_pages()
    found: list[Row] = []
    for model in models:
        works = {bits: side(model, bits) for bits in WIDTHS}
        spent: dict[str, list[float]] = {bits: [] for bits in WIDTHS}
        for _ in range(repeats + 1):
            for bits, work in works.items():
                spent[bits].append(cpu_seconds(work))
        best = {bits: min(times[1:]) for bits, times in spent.items()}  # the first warms up
        how = f"CPU s, 1 thread, batch {BATCH}, T 4, same process, {repeats} turns"
        for bits in WIDTHS[1:]:
            name = f"training {model}, {bits} bits over float"
            found.append(at_most(name, best[bits] / best[""], GOAL, "x", how))
        found += [
            report(f"training {model}, {bits or 'float'}", 1000 * best[bits], "ms", how)
            for bits in WIDTHS
        ]
    return found


if __name__ == "__main__":
    write(
        "bits_speed", "python -m benchmarks.bits_speed", rows(sys.argv[1:] or ["tiny", "vgg-small"])
    )
