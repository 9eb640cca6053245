"""A circuit stepped clock by clock in Amaranth's own simulator."""

from collections.abc import Awaitable, Callable
from typing import Any

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator


def stepped(circuit: Elaboratable, bench: Callable[[Any], Awaitable[None]]) -> None:
    """Run *bench*, which gets the simulator's context, to its end."""
    simulator = Simulator(circuit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
