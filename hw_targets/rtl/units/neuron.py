"""The integer neuron as a pipeline of three stages.

    stage 1   pu = u keep_u                       pv = v keep_v         (0, 0 where it is fresh)
    stage 2   u' = wrap(tz(pu) + (a << 6))        w = tz(pv) + bias
    stage 3   v' = clip(w + u'), spike = v' > threshold, reset     (no register behind it)

``calibration.neuron`` is the definition; tz drops 12 bits toward zero. Inputs must hold still for
three clocks; what they give stands at the outputs in the third. Each stage has one carry chain of
full width behind another at most: that is what decides the clock.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
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
TURN_SHIFT = (2 * STATE_LIMIT).bit_length() - 1


class Neuron(Component):
    """One update. ``a``: the accumulated sum; ``fresh``: u and v are 0 whatever they are;
    ``sent``: the payload of its message, 0 for none."""

    def __init__(self) -> None:
        super().__init__(
            {
                "u": In(signed(CURRENT_BITS)),
                "v": In(signed(MEMBRANE_BITS)),
                "a": In(signed(SUM_BITS)),
                "fresh": In(1),
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
        # clearing the products, not the states, keeps "fresh" out of the multipliers' way
        with m.If(self.fresh):
            m.d.sync += [product_u.eq(0), product_v.eq(0)]
        with m.Else():
            m.d.sync += [
                product_u.eq(self.u * self.keep_u),
                product_v.eq(self.v * self.keep_v),
            ]
        current = Signal(signed(CURRENT_BITS))
        kept = Signal(signed(MEMBRANE_BITS + 2))
        m.d.sync += [
            current.eq(wrap_current(m, toward_zero_plus(product_u, self.a << WEIGHT_SHIFT))),
            kept.eq(toward_zero_plus(product_v, self.bias)),
        ]
        membrane = Signal(signed(CURRENT_BITS + 2))
        clipped, fired = Signal(signed(MEMBRANE_BITS)), Signal()
        m.d.comb += [
            membrane.eq(kept + current),
            clipped.eq(clip_voltage(membrane)),
            fired.eq(clipped_above(membrane, self.threshold) & (self.mode == NeuronMode.FIRES)),
            self.next_u.eq(current),
            self.next_v.eq(after_reset(clipped, fired, self.reset, self.subtracted)),
            self.sent.eq(Mux(self.mode == NeuronMode.RELAY, self.a, fired)),
        ]
        return m


def toward_zero_plus(product: Value, addend: Value) -> Value:
    """tz(product) + addend: *product* without its last 12 bits, rounded toward zero.

    A negative product with something in those bits is one more than its shift says; that one
    enters as the carry below the lowest bit, so all of it is one addition.
    """
    up = (product < 0) & product[:DECAY_SHIFT].any()
    shifted = Cat(Const(1, 1), product >> DECAY_SHIFT).as_signed()
    return (shifted + Cat(up, addend).as_signed()) >> 1


def wrap_current(m: Module, total: Value) -> Value:
    """One conditional turn: +2**23 itself stays, -2**23 becomes +2**23.

    A turn is 2**24, so it moves the bits from there on alone: high 2**24 + low, low not negative.
    """
    u = Signal(signed(CURRENT_BITS))
    m.d.comb += u.eq(total)
    low, high = u[:TURN_SHIFT], u[TURN_SHIFT:].as_signed()
    beyond = low[-1] & low[:-1].any()  # low > 2**23
    above = (high > 0) | ((high == 0) & beyond)
    below = (high < -1) | ((high == -1) & ~beyond)
    turned = Mux(above, high - 1, Mux(below, high + 1, high))
    return Cat(low, turned[: len(high)]).as_signed()


def clip_voltage(v: Value) -> Value:
    """Saturated at +-(2**23 - 1)."""
    limit = STATE_LIMIT - 1
    low, high = (Const(x, signed(MEMBRANE_BITS)) for x in (-limit, limit))
    return Mux(v > limit, high, Mux(v < -limit, low, v))


def clipped_above(v: Value, threshold: Value) -> Value:
    """Whether ``clip_voltage(v)`` exceeds *threshold*, without waiting for the clipping."""
    limit = STATE_LIMIT - 1
    return ((v > threshold) & (limit > threshold)) | (-limit > threshold)


def after_reset(v: Value, fired: Value, reset: Value, subtracted: Value) -> Value:
    """The membrane after a spike."""
    left = Mux(reset == ResetMode.HARD, 0, Mux(reset == ResetMode.SOFT, v - subtracted, v))
    return Mux(fired, left, v)
