"""A general NIR graph becomes a bundle: read, converted, calibrated, quantized, placed.

The graph brings weights but no data: the samples that the scales are fitted to come from the user
(``.npy``, uint8, (N, C, H, W) or (N, inputs)).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tssd.calibration.encode import encode
from tssd.calibration.fold import align, fold
from tssd.calibration.observe import observe
from tssd.calibration.precision import Precision
from tssd.calibration.quantize import quantize
from tssd.errors import DataError
from tssd.export.bundle import Bundle, write_bundle
from tssd.export.golden import make_golden
from tssd.export.nirio.read import read_graph
from tssd.export.nirio.rules import Answers, resolve
from tssd.export.nirio.to_float import to_float
from tssd.export.onnx_graph import onnx_bytes
from tssd.hw_targets.chips import load_chip
from tssd.hw_targets.gpu.engine import count
from tssd.hw_targets.placement import place
from tssd.train.float_run import ImageArray

GOLDEN_SAMPLES = 4


@dataclass(frozen=True)
class NirOptions:
    """``answers``: what the graph does not say about time; ``samples``: the calibration file."""

    answers: Answers
    samples: Path
    time_steps: int
    target: str = "loihi2"
    seed: int = 0


def import_graph(path: Path, out: Path, options: NirOptions, *, force: bool = False) -> Bundle:
    """The bundle of the NIR graph in *path*."""
    graph = read_graph(path)
    rule = resolve(graph, options.answers)
    network = align(fold(to_float(graph, options.time_steps, rule)))
    images = load_samples(options.samples, network.populations[0].shape)
    integers = quantize(network, Precision(), observe(network, images))
    chip = load_chip(options.target)
    traffic = count(integers, encode(integers, images))
    placement = place(integers, chip, traffic, options.seed)
    return write_bundle(
        out,
        integers,
        placement_json=json.loads(placement.to_json()),
        golden=make_golden(integers, encode(integers, images[:GOLDEN_SAMPLES])),
        manifest_extra={
            "source": {"nir": path.name, "rule": f"{rule}"},
            "target": options.target,
            "seed": options.seed,
        },
        extra_files=onnx_bytes(integers),
        force=force,
    )


def load_samples(path: Path, shape: tuple[int, ...]) -> ImageArray:
    """uint8 samples (N, *shape); anything else raises DataError."""
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(str(path), found=f"no readable .npy ({error})") from None
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or not len(images):
        raise DataError(
            str(path), found=f"{getattr(images, 'dtype', 'several arrays')}", allowed="uint8"
        )
    if images.shape[1:] != shape:
        raise DataError(
            str(path),
            found=f"shape {images.shape}",
            allowed=f"(samples, {', '.join(map(str, shape))})",
        )
    return images
