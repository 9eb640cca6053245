"""Run a FloatNetwork in torch: the float reference of every later comparison."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tssd.train.handover.float_activity import (
    PIXEL_MAX,
    QUANTILES,
    FloatActivity,
    ImageArray,
    ValueRange,
    check_images,
    presented,
)
from tssd.train.handover.float_layers import layers, read_of
from tssd.train.handover.float_network import FloatArray, FloatNetwork

Dtype = Literal["float32", "float64"]

KEPT_VALUES = 200_000  # values kept per population and batch for the quantiles


def run(
    network: FloatNetwork,
    images: ImageArray | FloatArray,
    *,
    dtype: Dtype = "float32",
    batch: int = 128,
    device: str = "cpu",
    keep_spikes: bool = False,
    keep_ranges: bool = False,
) -> FloatActivity:
    """Present ``images`` (N, C, H, W), or frames (N, T, C, H, W), for all time steps: uint8 levels,
    or numbers as the network takes them."""
    check_images(network, images)
    kind = torch.float64 if dtype == "float64" else torch.float32
    record = _Record(network, keep_spikes, keep_ranges)
    for first in range(0, len(images), batch):
        chunk = torch.tensor(presented(network, images[first : first + batch]), device=device)
        with torch.inference_mode():
            levels = chunk.to(kind) / (PIXEL_MAX if images.dtype == np.uint8 else 1)
            for name, current, membrane, sent in layers(network, levels):
                record.add(name, current, membrane, sent)
    return record.result(len(images))


class _Record:
    """Sums over batches; the only mutable thing of a run."""

    def __init__(self, network: FloatNetwork, keep_spikes: bool, keep_ranges: bool) -> None:
        self.network, self.keep_spikes, self.keep_ranges = network, keep_spikes, keep_ranges
        self.events = {p.name: np.zeros(p.shape) for p in network.populations}
        self.spikes: dict[str, list[FloatArray]] = {p.name: [] for p in network.populations}
        self.membranes: dict[str, list[FloatArray]] = {p.name: [] for p in network.populations}
        self.values: dict[str, list[tuple[FloatArray, FloatArray]]] = {
            p.name: [] for p in network.populations[1:]
        }
        self.logits: list[FloatArray] = []

    def add(self, name: str, current: Tensor | None, membrane: Tensor | None, sent: Tensor) -> None:
        steps = self.network.time_steps
        repeats = steps // len(sent)  # a static tensor stands for every step
        binary = self.network.population(name).kind.fires
        events = sent.sum((0, 1)) if binary else torch.count_nonzero(sent, (0, 1))
        self.events[name] += _numpy(events) * repeats
        if self.keep_spikes:
            self.spikes[name].append(_numpy(sent.expand(steps, *sent.shape[1:])))
            if membrane is not None:
                self.membranes[name].append(_numpy(membrane.expand(steps, *membrane.shape[1:])))
        if self.keep_ranges and current is not None and membrane is not None:
            self.values[name].append((_sorted_sample(current), _sorted_sample(membrane)))
        if name == self.network.populations[-1].name and membrane is not None:
            read = read_of(self.network.populations[-1], membrane)
            self.logits.append(_numpy(read.flatten(1)) / steps)

    def result(self, samples: int) -> FloatActivity:
        return FloatActivity(
            samples,
            self.network.time_steps,
            np.concatenate(self.logits),
            self.events,
            {name: _range(parts) for name, parts in self.values.items() if parts},
            *(
                {name: np.concatenate(p, axis=1) for name, p in kept.items() if p}
                for kept in (self.spikes, self.membranes)
            ),
        )


def _numpy(x: Tensor) -> FloatArray:
    return x.double().cpu().numpy()


def _sorted_sample(x: Tensor) -> FloatArray:
    """|x| thinned evenly to about KEPT_VALUES, with the exact maximum as the last value."""
    flat = x.abs().flatten()
    thinned = flat[:: max(1, flat.numel() // KEPT_VALUES)]
    return np.append(np.sort(_numpy(thinned)), float(flat.max()))


def _range(parts: list[tuple[FloatArray, FloatArray]]) -> ValueRange:
    current, membrane = (np.concatenate(values) for values in zip(*parts, strict=True))
    return ValueRange(
        float(current.max()),
        float(membrane.max()),
        tuple(float(q) for q in np.quantile(current, QUANTILES)),
        tuple(float(q) for q in np.quantile(membrane, QUANTILES)),
    )
