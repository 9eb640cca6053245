"""The integer neurons of a whole graph, in kernels on the CPU and in torch elsewhere.

Same spikes, states and gradients as ``neurons.plain_fire``; what the backward pass needs is one
byte of each neuron and step where its surrogate is a window and its reset is detached.
"""

from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor

from tssd.arrays import Array
from tssd.train.config import Surrogate
from tssd.train.handover.float_network import Reset
from tssd.train.networks.fused import CODES
from tssd.train.networks.rows import dense, empty, scalar, share_batch, steps_view
from tssd.train.quantization.graph.kernels import HARD, NONE, SOFT, graph_backward, graph_forward
from tssd.train.quantization.graph.neurons import NeuronRule, plain_fire, summed_as
from tssd.train.quantization.neurons import DECAY_ONE, UNIT


def fire(
    a: Tensor,
    bias: Tensor,
    u: Tensor | None,
    v: Tensor | None,
    rule: NeuronRule,
    steps: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``neurons.plain_fire`` by the fastest way there is."""
    taken = len(a) if steps is None else steps
    if a.device.type != "cpu":
        return plain_fire(a, bias, u, v, rule, taken)
    spikes, u_last, v_last = _Fused.apply(a, bias, u, v, rule, taken)  # type: ignore[no-untyped-call]
    return spikes, u_last, v_last


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        bias: Tensor,
        u: Tensor | None,
        v: Tensor | None,
        rule: NeuronRule,
        steps: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, shape = a.shape[1], tuple(a.shape[2:])
        ctx.set_materialize_grads(False)
        ctx.settings = settings = _Settings.of(rule, scalar(a))
        ctx.numbers = _numbers(rule, bias, shape, a)
        ctx.shapes = (len(a), batch, shape, bias.shape)
        rows = steps * batch if any(ctx.needs_input_grad) else 0
        kept = empty(a, rows, shape, torch.int8 if settings.compact else None)
        spikes = empty(a, steps * batch, shape)
        u_last, v_last = (_filled(empty(a, batch, shape), state) for state in (u, v))
        share_batch(
            graph_forward,
            batch,
            _rows(a.flatten(0, 1), batch),
            ctx.numbers,
            settings.memory,
            settings.reset,
            settings.lone,
            settings.compact,
            _rows(u_last, batch)[0],
            _rows(v_last, batch)[0],
            _rows(kept, batch),
            _rows(spikes, batch),
        )
        ctx.save_for_backward(kept)
        return spikes.view(steps, batch, *shape), u_last, v_last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        (kept,), settings = ctx.saved_tensors, ctx.settings
        alike, batch, shape, of_bias = ctx.shapes
        to_spikes, *to_states = gradients
        like = next(g for g in gradients if g is not None)
        flat = None if to_spikes is None else to_spikes.flatten(0, 1)
        received = _filled(empty(like, len(kept), shape), None) if flat is None else dense(flat)
        to_u, to_v = (_filled(empty(like, batch, shape), g) for g in to_states)
        entering, total = empty(like, alike * batch, shape), empty(like, batch, shape)
        share_batch(
            graph_backward,
            batch,
            _rows(received, batch),
            _rows(kept, batch),
            ctx.numbers,
            settings.memory,
            settings.reset,
            settings.detach,
            settings.width,
            settings.surrogate,
            settings.lone,
            settings.compact,
            _rows(to_u, batch)[0],
            _rows(to_v, batch)[0],
            _rows(entering, batch),
            _rows(total, batch)[0],
        )
        to_sums = entering.view(alike, batch, *shape)
        first = (
            g if x else None for g, x in zip((to_u, to_v), ctx.needs_input_grad[2:4], strict=True)
        )
        return to_sums, summed_as(UNIT * total, of_bias), *first, None, None


def _filled(room: Tensor, values: Tensor | None) -> Tensor:
    """*room* with *values*, or zeros: states at rest, gradients of what nobody reads."""
    return room.zero_() if values is None else room.copy_(values)


@dataclass(frozen=True)
class _Settings:
    """What kernels are told of a rule beside its numbers, in the type of the tensors."""

    memory: bool
    reset: int
    detach: bool
    width: Any
    surrogate: int
    lone: Any
    compact: bool

    @staticmethod
    def of(rule: NeuronRule, kind: Any) -> "_Settings":
        model, gate = rule.model, rule.lone is not None
        lone = kind(0 if rule.lone is None else UNIT * rule.lone)
        window = gate or model.surrogate is Surrogate.RECTANGULAR
        return _Settings(
            rule.keep_u is not None,
            _reset_code(rule.reset),
            model.detach_reset,
            kind(model.width),
            CODES[model.surrogate],
            lone,
            window and model.detach_reset,
        )


def _reset_code(reset: Reset) -> int:
    match reset:
        case Reset.HARD:
            return HARD
        case Reset.SOFT:
            return SOFT
        case Reset.NONE:
            return NONE
        case _:
            assert_never(reset)


def _numbers(rule: NeuronRule, bias: Tensor, shape: tuple[int, ...], like: Tensor) -> Array:
    """(8, N) of ``kernels``: what every neuron of *shape* has, in the order of its memory."""
    size, width = UNIT * rule.size, rule.model.width
    peak = (
        1 / (width * size) if rule.lone is None else torch.full_like(size, 1 / (UNIT * rule.lone))
    )
    keep_u = torch.zeros_like(size) if rule.keep_u is None else rule.keep_u / DECAY_ONE
    parts = (keep_u, rule.keep_v / DECAY_ONE, UNIT * bias, UNIT * rule.vth, UNIT * rule.reset_by,
             size, width / 2 * size, peak)  # fmt: skip
    found = empty(like, len(parts), shape)
    for row, part in zip(found, parts, strict=True):
        row.copy_(part.detach())
    return _rows(found, 1)[:, 0]


def _rows(tensor: Tensor, batch: int) -> Array:
    """(T batch, *shape) -> (T, batch, N), the same memory where it is dense already."""
    view = steps_view(dense(tensor), batch)
    return view.reshape(*view.shape[:2], view.shape[2] * view.shape[3])
