"""snnTorch's neurons as they act: their class, their constants, their reset.

    Leaky       v = beta v + I              Lapicque    v = (1 - dt/RC) v + (dt/C) I
    Synaptic    i = alpha i + I, v = beta v + i         RLeaky, RSynaptic: I + recurrent(s[t-1])

    subtract    v - theta r, r = [v[t-1] > theta]: equals v <- v - theta / beta in the step of the
                spike, because the subtraction passes the leak once more
    zero        Leaky: v <- 0 in the step of the spike. The others multiply by 1 - r *after* the
                input came in, which loses the input of the step behind a spike (Lapicque too, whose
                membrane has no other memory)
    none        nothing

``reset_delay=False`` resets in the step of the spike, with one oddity of snnTorch 1.0: subtract
compares v - theta r, so a membrane that is still above theta after its reset is compared lowered by
theta once more. Where that never happens it is the plain soft reset.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import snntorch as snn
import torch
from snntorch._neurons.rleaky import RecurrentOneToOne as OneOfLeaky
from snntorch._neurons.rsynaptic import RecurrentOneToOne as OneOfSynaptic
from torch import Tensor, nn

from tssd.train.recording.tape.values import Interned

RECURRENT = (snn.RLeaky, snn.RSynaptic)
SYNAPTIC = (snn.Synaptic, snn.RSynaptic)
KNOWN = (snn.Leaky, snn.Lapicque, snn.Synaptic, *RECURRENT)
STATES: dict[type[Any], tuple[str, ...]] = {
    snn.Leaky: ("mem",),
    snn.Lapicque: ("mem",),
    snn.Synaptic: ("syn", "mem"),
    snn.RLeaky: ("spk", "mem"),
    snn.RSynaptic: ("spk", "syn", "mem"),
}
STATE_RULES = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
PARTS = ("forward", "fire", "mem_reset", "_base_state_function", *STATE_RULES)
PROBE = (-1e4, -2.0, -1e-3, 0.0, 1e-3, 2.0, 1e4)
AT_THRESHOLD = PROBE.index(0.0)


class After(StrEnum):
    """What a spike does to the membrane, as read by the author in the same step."""

    SUBTRACT = "subtract"  # theta, a step late
    SUBTRACT_NOW = "subtract, reset_delay=False"
    ZERO = "zero"  # Leaky: the same spikes, late or not
    ZERO_NOW = "zero, reset_delay=False"
    NONE = "none"


@dataclass(frozen=True, eq=False)
class Rule:
    """Constants of one call (interned, broadcasting to the layer) and the reset; ``inclusive``:
    the surrogate fires at the threshold itself. ``recurrent``: (map, weight, bias)."""

    kind: str
    after: After
    decay: Tensor
    theta: Tensor
    gain: Tensor
    factor: Tensor
    memory: Tensor | None = None
    inclusive: bool = False
    recurrent: tuple[str, Tensor, Tensor | None] | None = None
    padding: tuple[int, ...] = ()

    def same(self, other: "Rule") -> bool:
        mine, theirs = (vars(replace(rule)) for rule in (self, other))
        return all(_alike(mine[k], theirs[k]) for k in mine)


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_alike(x, y) for x, y in zip(a, b, strict=True))
    return a is b or (not isinstance(a, Tensor) and bool(a == b))


def is_neuron(module: nn.Module) -> bool:
    """Whether *module* is taken as one piece: a neuron of snnTorch, or of a class made from one."""
    return any(base.__module__.startswith("snntorch._neurons") for base in type(module).__mro__)


def states_of(module: nn.Module) -> tuple[str, ...]:
    return next((s for kind, s in STATES.items() if isinstance(module, kind)), ())


def rule_of(module: Any, intern: Interned) -> Rule | str:
    """The rule that *module* follows in this call, or why there is no counterpart."""
    kind = next((k for k in KNOWN if type(module) is k or _only_named(module, k)), None)
    if kind is None:
        return _unknown(module)
    wrong = _wrong(module, kind)
    if wrong:
        return wrong
    after = _after(module, kind)
    if isinstance(after, str) and not isinstance(after, After):
        return after
    threshold = _double(module.threshold)
    if bool((threshold <= 0).any()):
        return f"a threshold of {float(threshold.min()):g}: a neuron at rest that fires"
    decay, gain = _leak(module, kind)
    if bool((decay < 0).any() or (decay > 1).any()):
        return f"a decay of {float(decay.min()):g} .. {float(decay.max()):g} per step"
    memory = _double(module.alpha).clamp(0, 1) if kind in SYNAPTIC else None
    rule = Rule(
        kind.__name__,
        after,
        intern(decay),
        intern(threshold),
        intern(gain),
        intern(_double(module.graded_spikes_factor)),
        None if memory is None else intern(memory),
        _fires_at_zero(module),
    )
    return _with_recurrence(rule, module, intern) if kind in RECURRENT else rule


def _double(value: Any) -> Tensor:
    return torch.as_tensor(value).detach().to(torch.float64)


def _only_named(module: Any, kind: type[Any]) -> bool:
    """A class of the author that changes none of the parts."""
    cls = type(module)
    return issubclass(cls, kind) and all(
        getattr(cls, part, None) is getattr(kind, part, None) for part in PARTS
    )


def _unknown(module: Any) -> str:
    name = type(module).__name__
    reasons = {
        "Alpha": "Alpha, whose membrane is the difference of two currents, changed by its reset",
        "LeakyParallel": "LeakyParallel, whose membrane is cut at 0 (relu) in every step",
        "DeltaLeaky": "DeltaLeaky (sigma-delta), which fires on changes of its membrane",
        "SynapticDelay": "SynapticDelay, which mixes inputs of several steps out of a ring buffer "
        "(spikes that forward keeps in variables and reads some steps later become delays)",
        "StateLeaky": "StateLeaky, which takes all steps at once and never resets",
        "LinearLeaky": "LinearLeaky, which takes all steps at once and never resets",
        "AssociativeLeaky": "AssociativeLeaky, whose state is a matrix",
        "SLSTM": "SLSTM, whose gates are products of activities (sigmoid, tanh)",
        "SConv2dLSTM": "SConv2dLSTM, whose gates are products of activities (sigmoid, tanh)",
    }
    changed = next((k for k in KNOWN if isinstance(module, k)), None)
    if name not in reasons and changed is not None:
        return f"{name}, a {changed.__name__} with a step of its own"
    return reasons.get(name, name)


def _wrong(module: Any, kind: type[Any]) -> str | None:
    for flag in ("inhibition", "state_quant"):
        if getattr(module, flag):
            return f"{flag}: no chip of this kind computes it in its neurons"
    own = [part for part in PARTS[1:] if part in vars(module)]
    if own:
        return f"a {kind.__name__} whose {own[0]} was replaced"
    fired = module.spike_grad(torch.tensor(PROBE)).tolist()
    wanted = [float(v > 0) for v in PROBE]
    if any(f != w for f, w, v in zip(fired, wanted, PROBE, strict=True) if v) or (
        fired[AT_THRESHOLD] not in (0, 1)
    ):
        return f"a spike_grad whose forward is not [v > threshold]: {fired} at {list(PROBE)}"
    return None


def _fires_at_zero(module: Any) -> bool:
    return bool(module.spike_grad(torch.zeros(1)))


def _after(module: Any, kind: type[Any]) -> After | str:
    done = STATE_RULES.get(getattr(module.state_function, "__name__", "?"))
    if done is None:
        return f"a {kind.__name__} whose state_function was replaced"
    late = bool(getattr(module, "reset_delay", True))
    said = {0: "subtract", 1: "zero", 2: "none"}[int(module.reset_mechanism_val)]
    if not late and said != done:
        return (
            f"reset_mechanism {said!r} set after construction with reset_delay=False: the neuron "
            f"goes on to {done!r} a step late as well"
        )
    if not late and kind is snn.RSynaptic and done != "none":
        return "RSynaptic with reset_delay=False, which snntorch 1.0 cannot run"
    if done == "none":
        return After.NONE
    if done == "subtract":
        return After.SUBTRACT if late else After.SUBTRACT_NOW
    if late and kind is not snn.Leaky:
        now = "reset_delay=False, or " if kind in (snn.Synaptic, snn.RLeaky) else ""
        return (
            f"{kind.__name__} with reset_mechanism='zero' and its late reset, which loses its "
            f"input in the step after a spike ({now}'subtract', has a counterpart)"
        )
    return After.ZERO if late else After.ZERO_NOW


def _leak(module: Any, kind: type[Any]) -> tuple[Tensor, Tensor]:
    """(decay, gain of the input)."""
    one = torch.ones((), dtype=torch.float64)
    if kind is not snn.Lapicque:
        return _double(module.beta).clamp(0, 1), one
    resistance, capacity, step = map(_double, (module.R, module.C, module.time_step))
    return 1 - step / (resistance * capacity), step / capacity


def _with_recurrence(rule: Rule, module: Any, intern: Interned) -> Rule | str:
    inner = module.recurrent
    if inner._forward_hooks or inner._forward_pre_hooks or "forward" in vars(inner):
        return "a hook on its recurrent map"
    if type(inner) in (OneOfLeaky, OneOfSynaptic):
        return replace(rule, recurrent=("each", intern(_double(inner.V)), None))
    if type(inner) not in (nn.Linear, nn.Conv2d):
        return f"a recurrent map of class {type(inner).__name__}"
    bias = None if inner.bias is None else intern(_double(inner.bias))
    found = ("dense" if type(inner) is nn.Linear else "convolution", intern(inner.weight), bias)
    if type(inner) is nn.Linear:
        return replace(rule, recurrent=found)
    plain = inner.stride == (1, 1) and inner.dilation == (1, 1) and inner.groups == 1
    if not plain or inner.padding_mode != "zeros" or isinstance(inner.padding, str):
        return "a recurrent convolution with stride, dilation, groups or other padding"
    padding: Any = inner.padding
    return replace(rule, recurrent=found, padding=tuple(padding))


def over(constant: Tensor, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A constant over a whole layer, as the neuron broadcasts it; axes of one sample fall away."""
    while constant.dim() > len(shape) and len(constant) == 1:
        constant = constant[0]
    found: np.ndarray[Any, np.dtype[np.float64]] = np.broadcast_to(constant.numpy(), shape).copy()
    return found
