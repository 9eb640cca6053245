"""The engines of this package as targets: a function ``run(network, inputs) -> Activity`` each.

They compute spikes, not places: nothing to cut, nothing to count. What an engine needs (torch,
onnxruntime, Lava's environment) is loaded when it runs.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.tally import Tally
from tssd.errors import TargetError
from tssd.hw_targets.mapping.rules import Finding
from tssd.hw_targets.target import Placed, Run


@dataclass(frozen=True)
class EngineTarget:
    """An engine named by "module:function"."""

    name: str
    function: str

    def check(self, network: IntNetwork) -> list[Finding]:
        """Engines have no limits that show before they run."""
        return []

    def place(self, network: IntNetwork, tally: Tally | None = None) -> Placed:
        return Placed(network, None)

    def run(self, placed: Placed, events: IntArray) -> Run:
        """Spikes of inputs (T, B, *input shape); TargetError where a library is missing."""
        module, _, name = self.function.partition(":")
        try:
            function: Any = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise TargetError(
                f"target {self.name}", found=str(error), hint="tssd doctor says what is missing"
            ) from None
        return Run(function(placed.network, events))


def definition() -> EngineTarget:
    """The living definition in numpy: slow, the reference."""
    return EngineTarget("definition", "tssd.calibration.simulate:layerwise")


def gpu() -> EngineTarget:
    """torch, on the processor unless asked otherwise."""
    return EngineTarget("gpu", "tssd.hw_targets.gpu.engine:run")


def onnx() -> EngineTarget:
    """The exported graph in onnxruntime."""
    return EngineTarget("onnx", "tssd.hw_targets.onnx.engine:run")


def lava() -> EngineTarget:
    """Intel's Lava in its own environment."""
    return EngineTarget("lava", "tssd.hw_targets.lava.engine:run")
