"""The integer neuron as a pipeline of three stages.

    stage 1   pu = u keep_u                     pv = v keep_v
    stage 2   u' = wrap(tz(pu) + (a << 6))      w = tz(pv) + u' + bias
    stage 3   v' = clip(w), spike = v' > threshold, reset      (no register behind it)

``calibration.neuron`` is the definition; tz drops 12 bits toward zero. Inputs must hold still for
three clocks; what they give stands at the outputs in the third.
"""

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from tssd.calibration.integer import DECAY_ONE, STATE_LIMIT, WEIGHT_SHIFT
from tssd.hw_targets.rtl.units.modes import NeuronMode, ResetMode
from tssd.hw_targets.rtl.units.widths import (
    CURRENT_BITS,
    DECAY_BITS,
    LEVEL_BITS,
    MEMBRANE_BITS,
    PAYLOAD_BITS,
    SUM_BITS,
)

DECAY_SHIFT = DECAY_ONE.bit_length() - 1


class Neuron(Component):
    """One update. ``a``: the accumulated sum; ``sent``: the payload of its message, 0 for none."""

    def __init__(self) -> None:
        super().__init__(
            {
                "u": In(signed(CURRENT_BITS)),
                "v": In(signed(MEMBRANE_BITS)),
                "a": In(signed(SUM_BITS)),
                "keep_u": In(DECAY_BITS),
                "keep_v": In(DECAY_BITS),
                "threshold": In(signed(LEVEL_BITS)),
                "subtracted": In(signed(LEVEL_BITS)),
                "bias": In(signed(LEVEL_BITS)),
                "mode": In(2),
                "reset": In(2),
                "next_u": Out(signed(CURRENT_BITS)),
                "next_v": Out(signed(MEMBRANE_BITS)),
                "sent": Out(signed(PAYLOAD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        product_u = Signal(signed(CURRENT_BITS + DECAY_BITS))
        product_v = Signal(signed(MEMBRANE_BITS + DECAY_BITS))
        m.d.sync += [
            product_u.eq(self.u * self.keep_u),
            product_v.eq(self.v * self.keep_v),
        ]
        current = Signal(signed(CURRENT_BITS))
        membrane = Signal(signed(CURRENT_BITS + 2))
        wrapped = wrap_current(m, toward_zero(product_u) + (self.a << WEIGHT_SHIFT))
        m.d.sync += [
            current.eq(wrapped),
            membrane.eq(toward_zero(product_v) + wrapped + self.bias),
        ]
        clipped, fired = Signal(signed(MEMBRANE_BITS)), Signal()
        m.d.comb += [
            clipped.eq(clip_voltage(membrane)),
            fired.eq((clipped > self.threshold) & (self.mode == NeuronMode.FIRES)),
            self.next_u.eq(current),
            self.next_v.eq(after_reset(clipped, fired, self.reset, self.subtracted)),
            self.sent.eq(Mux(self.mode == NeuronMode.RELAY, self.a, fired)),
        ]
        return m


def toward_zero(product: Value) -> Value:
    """*product* without its last 12 bits, rounded toward zero."""
    return Mux(product < 0, -((-product) >> DECAY_SHIFT), product >> DECAY_SHIFT)


def wrap_current(m: Module, total: Value) -> Signal:
    """One conditional turn: +2**23 itself stays, -2**23 becomes +2**23."""
    u, turned, turn = Signal(signed(CURRENT_BITS)), Signal(signed(CURRENT_BITS)), 2 * STATE_LIMIT
    m.d.comb += u.eq(total)
    above, below = u > STATE_LIMIT, u <= -STATE_LIMIT
    m.d.comb += turned.eq(Mux(above, u - turn, Mux(below, u + turn, u)))
    return turned


def clip_voltage(v: Value) -> Value:
    """Saturated at +-(2**23 - 1)."""
    limit = STATE_LIMIT - 1
    low, high = (Const(x, signed(MEMBRANE_BITS)) for x in (-limit, limit))
    return Mux(v > limit, high, Mux(v < -limit, low, v))


def after_reset(v: Value, fired: Value, reset: Value, subtracted: Value) -> Value:
    """The membrane after a spike."""
    left = Mux(reset == ResetMode.HARD, 0, Mux(reset == ResetMode.SOFT, v - subtracted, v))
    return Mux(fired, left, v)
