"""The choices of one export, and integers that are placed -> their bundle; without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tssd.calibration.int_network import InputCoding, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.quantizing.fold import Pooling
from tssd.calibration.quantizing.options import Options as QuantizeOptions
from tssd.errors import ConfigError
from tssd.export.bundle.folder import Bundle, write_bundle
from tssd.export.bundle.golden import make_golden
from tssd.export.nir.integers.graph import NirMode
from tssd.hw_targets.chip.chip_copy import chip_files
from tssd.hw_targets.chip.chips import load_chip
from tssd.hw_targets.lava.handover import kit_files
from tssd.hw_targets.mapping.choices import NO_CHOICE, Choices
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.optimising.goal import Goal
from tssd.train.handover.devices import check_device

Step = Callable[[str], None]


@dataclass(frozen=True)
class ExportOptions:
    """Choices of one export. ``tolerance_points``: how many points of accuracy the integers may
    cost on ``check_samples`` validation samples; calibration samples come from the training split.
    ``input_coding`` None: as samples and chip allow. ``weight_bits`` None: the chip's.
    ``for_netx``: only what a .net can say.
    """

    target: str = "loihi2"
    pooling: Pooling = "fold"
    weight_bits: int | None = None
    input_coding: InputCoding | None = None
    calibration_samples: int = 256
    check_samples: int = 2000
    tolerance_points: float = 1.0
    seed: int = 0
    device: str = "cpu"
    placement: Path | None = None
    optimise: Goal = Goal.CORES
    layout: Choices = NO_CHOICE
    nir_mode: str = NirMode.COMPATIBLE
    onnx: str = "integer"  # "float": the float network's graphs too
    quantize: QuantizeOptions = QuantizeOptions()
    for_netx: bool = False
    command: str | None = None  # that made these choices, for the report

    def __post_init__(self) -> None:
        check_device(self.device)
        if self.placement is not None and self.optimise is not Goal.CORES:
            raise ConfigError(
                f"--optimise {self.optimise}",
                found="a placement of your own",
                allowed="one of both: --placement, or --optimise",
            )
        if self.placement is not None and self.layout != NO_CHOICE:
            raise ConfigError(
                "--input-from, --format",
                found="a placement of your own",
                allowed="a placement file says both itself: input_from, formats",
            )


def write_placed(
    network: IntNetwork,
    placement: Placement,
    inputs: IntArray,
    out: Path,
    options: ExportOptions,
    *,
    about: Mapping[str, Any],
    files: Mapping[str, bytes] | None = None,
    force: bool = False,
) -> Bundle:
    """A bundle with golden answers to *inputs* and all that its chip needs; *about* goes into the
    manifest."""
    return write_bundle(
        out,
        network,
        placement=placement.to_table(),
        golden=make_golden(network, inputs),
        manifest_extra={
            "target": load_chip(options.target).name,
            "seed": options.seed,
            **({} if options.command is None else {"command": options.command}),
            **about,
        },
        extra_files={**(files or {}), **kit_files(network), **chip_files(options.target)},
        nir_mode=NirMode(options.nir_mode),
        force=force,
    )
