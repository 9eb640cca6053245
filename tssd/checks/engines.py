"""The engines that `tssd verify` holds against the integer definition, by name.

An engine's module is imported only when it is asked for. Lava has two ways: a graph of its
processes, which can say every network, and lava-dl's netx loader, which reads the bundle's own
``network.net``.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

from tssd.calibration.int_network import Activity, IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import alone, joined, recurrent
from tssd.checks.evaluation import Engine, EngineUnderTest
from tssd.checks.verify import Quantity
from tssd.config import unknown_name
from tssd.contracts import Contract, not_run
from tssd.errors import TargetError
from tssd.export.bundle.folder import NETX, Bundle
from tssd.hw_targets.lava import environment

NAMES = ("gpu", "onnx", "lava", "netx", "sim")
Ready = TypeVar("Ready")  # a network as an engine wants it
STATES: tuple[Quantity, ...] = ("spikes", "u", "v")


def engines_of(
    bundle: Bundle, names: tuple[str, ...], device: str
) -> tuple[tuple[EngineUnderTest, ...], tuple[Contract, ...]]:
    """The engines called *names*, and a row for each way of them that cannot be gone here.

    ``lava`` is both ways of Lava: netx joins where the bundle holds a network.net.
    """
    missing: tuple[Contract, ...] = ()
    if "lava" in names and NETX in bundle.manifest["files"]:
        if environment.existing("full"):
            names = (*names, "netx")
        elif "netx" not in names:
            missing = (not_run(f"netx: {NETX} in lava-dl", environment.install_line("full")),)
    return tuple(_engine(name, bundle, device) for name in dict.fromkeys(names)), missing


def _engine(name: str, bundle: Bundle, device: str) -> EngineUnderTest:
    builders: dict[str, Callable[[], Engine]] = {
        "gpu": lambda: gpu(device),
        "onnx": _onnx,
        "lava": _lava,
        "netx": lambda: _netx(bundle),
        "sim": _sim,
    }
    if name not in builders:
        raise unknown_name("--against", f"engine {name!r}", name, NAMES)
    return EngineUnderTest(name, builders[name](), STATES)


def gpu(device: str) -> Engine:
    """The torch reference."""
    from tssd.hw_targets.gpu import engine

    return lambda network, inputs: engine.run(network, inputs, device=device, states=True)


def _prepared(
    prepare: Callable[[IntNetwork], Ready], run: Callable[[Ready, IntArray], Activity]
) -> Engine:
    """An engine that gets a network ready with its first batch, not with every one."""
    ready = functools.lru_cache(maxsize=1)(prepare)
    return lambda network, inputs: run(ready(network), inputs)


def _onnx() -> Engine:
    from tssd.export.onnx.graph import scan_bytes
    from tssd.hw_targets.onnx.engine import Model, open_model, run_model

    def opened(network: IntNetwork) -> Model:
        return open_model(scan_bytes(network, trace=True))

    return _prepared(opened, run_model)


def _lava() -> Engine:
    from tssd.hw_targets.lava import engine

    environment.locate("light")

    def run(network: IntNetwork, inputs: IntArray) -> Activity:
        if not recurrent(network):
            return engine.run(network, inputs)
        return joined(engine.run_many([(network, x) for x in alone(inputs)], mode="process"))

    return run


def _netx(bundle: Bundle) -> Engine:
    from tssd.hw_targets.lava import engine

    if NETX not in bundle.manifest["files"]:
        reason = str([*bundle.manifest["netx"]["reasons"], "left out"][0])
        raise TargetError(
            f"{bundle.folder}: netx",
            found=f"no {NETX}: {reason.splitlines()[0]}",
            hint="--against lava runs every network in Lava's processes",
        )
    environment.locate("full")
    options = engine.Options(nets=(bundle.file(NETX),))

    def run(network: IntNetwork, inputs: IntArray) -> Activity:
        return engine.run(network, inputs, mode="netx", options=options)

    return run


def _sim() -> Engine:
    from tssd.hw_targets.sim import functional
    from tssd.hw_targets.sim.program import Program, prepare

    def run(program: Program, inputs: IntArray) -> Activity:
        samples = functional.simulate(program, inputs, record=True)
        return functional.activity(program.network, samples)

    return _prepared(prepare, run)
