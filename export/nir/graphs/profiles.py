"""How a graph is stepped in time: everything NIR leaves open, stated and never guessed.

    euler        decay 1 - dt/tau      gain r dt/tau           (I, IF: decay 1, gain r dt)
    exact        decay exp(-dt/tau)    gain r (1 - exp(-dt/tau))
    mixed        decay exp(-dt/tau)    gain r dt/tau

with w_in for r in a synapse. ``gain = unit`` leaves dt/tau, r and w_in out: the input counts as it
is. Reset acts in the step of the spike: ``zero`` v <- v_reset, ``subtract`` v <- v - (v_threshold
- v_reset), or the node's own ``reset_by``, ``none``. Firing is strict, v > v_threshold, unless the
platform's is not. Two resets are snnTorch's, theta = v_threshold - v_reset:

    subtract-late       reset_delay=True, its default: theta goes with the next step's input
    subtract-no-delay   reset_delay=False: w = decay v + gain I, s = [w - theta [v > theta] > theta]
                        and v <- w - theta s: where v stayed above theta, w is compared lowered

A profile names the platform that made the graph and stands for what that platform's own import
does (sources: the code of norse 1.1.0, sinabs 3.1.3, rockpool 3.1.0, spyx 1.0.0, snntorch 1.0.0,
spikingjelly 2.0.0 and the LIF traces published with the NIR repository at commit 7232ada).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tssd.arrays import FloatArray
from tssd.config import unknown_name
from tssd.errors import ConfigError
from tssd.export.nir.graphs.graph import DYNAMIC, RESETTING, Graph
from tssd.train.handover.float_network import Reset

DISCRETISATIONS = ("euler", "exact", "mixed")
NO_DELAY = "subtract-no-delay"
LATE = "subtract-late"
RESETS = {
    "zero": Reset.HARD,
    "hard": Reset.HARD,
    "subtract": Reset.SOFT,
    "soft": Reset.SOFT,
    "none": Reset.NONE,
}
TIMED = {LATE: Reset.SOFT, NO_DELAY: Reset.SOFT}  # said by an option, not by a node
GAINS = ("graph", "unit")
SPELLED = "reset_in_the_graph"  # set where a feedback loop was recognised
NO_DELAY_OF = "reset_delay_false_of"  # on a node that spells subtract-no-delay: the module's path
OWN_AMOUNT = "reset_by"  # what a node subtracts, in the unit of its voltage, if not its threshold


@dataclass(frozen=True)
class SteppingRule:
    """One complete answer. ``dt_seconds`` is in whatever unit the graph's tau is in."""

    dt_seconds: float
    discretisation: str
    reset: Reset | None  # None: every node states its own
    gain: str = "graph"  # "unit": dt/tau, r and w_in left out
    ignores: tuple[str, ...] = ()  # parameters this platform does not read
    if_gain: str = "graph"  # "unit": the input of I and IF counts as it is
    late: bool = False  # a subtraction comes with the next step's input
    several: bool = False  # a spike for each threshold that v holds; an IF stays above -v_threshold
    late_cuba: bool = False  # so does that of a CubaLIF
    twice: bool = False  # subtract-no-delay
    inclusive: bool = False  # fires at v >= v_threshold
    back_empty: bool = False  # maps on a way back give nothing in the first step, not even a bias


@dataclass(frozen=True)
class Profile:
    """What a platform's import does; ``dt_seconds`` None: the user must say."""

    discretisation: str
    reset: str
    dt_seconds: float | None
    gain: str = "graph"
    ignores: tuple[str, ...] = ()  # ``r`` is read in CubaLIF and CubaLI all the same
    if_gain: str = "graph"
    late: bool = False
    several: bool = False  # told of, not done: a neuron of a chip sends one spike in a step
    inclusive: bool = False
    back_empty: bool = False  # told of, not done: a bias of a chip acts from the first step


PROFILES: dict[str, Profile] = {
    "snntorch": Profile("euler", "zero", 1e-4, ignores=("v_reset",)),
    "norse": Profile(
        "euler", "zero", None, ignores=("r", "v_reset"), if_gain="unit", back_empty=True
    ),
    "sinabs": Profile(
        *("mixed", "subtract", 1.0, "unit"),
        ignores=("r", "v_reset"),
        several=True,
        back_empty=True,
    ),
    "spikingjelly": Profile("euler", "zero", 1e-4, inclusive=True, back_empty=True),
    "rockpool": Profile("mixed", "subtract", None, ignores=("v_reset",), several=True),
    "spyx": Profile(
        "euler", "subtract", None, "unit", ignores=("r", "v_leak", "v_reset"), late=True
    ),
    "lava": Profile("euler", "zero", 1e-4, ignores=("v_leak",)),
    "nengo": Profile("exact", "zero", None),
    "spinnaker2": Profile("euler", "zero", 1e-4),  # divides thresholds by the gain: the same spikes
}


@dataclass(frozen=True)
class Answers:
    """What the user said; None: not said."""

    profile: str | None = None
    dt_seconds: float | None = None
    reset: str | None = None
    rule: str | None = None
    gain: str | None = None


def resolve(graph: Graph, answers: Answers | None = None) -> SteppingRule:
    """The user's words, else the named profile, else the graph's metadata; else an error that
    names the missing option."""
    told = answers or Answers()
    profile = _profile(told.profile)
    dt, word, reset = _said(graph, told)
    _ask(graph, unsaid(graph, told), told.profile)
    rule = SteppingRule(
        float(dt or 1.0),
        str(word or "euler"),
        None if reset == "per node" else (RESETS | TIMED).get(str(reset or "none")),
        told.gain or (profile.gain if profile else "graph"),
        profile.ignores if profile else (),
        told.gain or (profile.if_gain if profile else "graph"),
        reset == LATE or (profile.late if profile and told.reset is None else False),
        late_cuba=reset == LATE,
        twice=reset == NO_DELAY,
        inclusive=profile.inclusive if profile else False,
        back_empty=profile.back_empty if profile else False,
    )
    _check(rule, str(reset or "none"))
    return rule


def unsaid(graph: Graph, answers: Answers) -> tuple[str, ...]:
    """What the graph depends on and neither it nor *answers* say: some of dt, reset, rule."""
    dt, word, reset = _said(graph, answers)
    said = {"dt": dt, "rule": word, "reset": reset}
    return tuple(sorted(name for name in needs(graph) if said[name] is None))


def _said(graph: Graph, told: Answers) -> tuple[float | None, str | None, str | None]:
    """dt, discretisation and reset: the user's word, else the profile's, else the graph's."""
    profile, meta = _profile(told.profile), graph.metadata
    return (
        _first(told.dt_seconds, profile and profile.dt_seconds, _number(meta.get("dt"))),
        _first(told.rule, profile and profile.discretisation, _word(meta.get("discretisation"))),
        _first(told.reset, profile and profile.reset, _word(meta.get("reset"))),
    )


def _word(value: Any) -> str | None:
    """A word of a file's metadata, which may hold anything."""
    return None if value is None else str(value)


def parameters(graph: Graph, name: str, rule: SteppingRule) -> dict[str, FloatArray]:
    """The node's parameters with the ignored ones replaced by what the platform assumes."""
    neutral = {"r": 1.0, "v_reset": 0.0, "v_leak": 0.0}
    given = graph.nodes[name].params
    ignored = [x for x in rule.ignores if not (x == "r" and "w_in" in given)]
    return {k: np.full((), neutral[k]) if k in ignored else v for k, v in given.items()}


def reset_of(graph: Graph, name: str, rule: SteppingRule) -> Reset:
    """What the graph spells out, else the rule's, else the node's own word in its metadata."""
    about = graph.nodes[name].metadata
    if SPELLED not in about and rule.reset is not None:
        return rule.reset
    word = _word(about.get(SPELLED, about.get("reset")))
    if word is None or word not in RESETS:
        raise graph.fault(f"node {name}", f"reset {word!r}", ", ".join(RESETS), "--reset")
    return RESETS[word]


def resets_late(graph: Graph, name: str, rule: SteppingRule) -> bool:
    """Whether the rule, or else the node itself, subtracts with the next step's input; a CubaLIF
    of spyx, the only such platform, subtracts in the step of the spike."""
    if rule.reset is not None or SPELLED in graph.nodes[name].metadata:
        late = rule.late and (rule.late_cuba or graph.nodes[name].type != "CubaLIF")
        return late and SPELLED not in graph.nodes[name].metadata
    return bool(graph.nodes[name].metadata.get("reset_delay", False))


def subtracted(graph: Graph, name: str, rule: SteppingRule) -> FloatArray:
    """What a reset of ``subtract`` takes from v: v_threshold - v_reset, unless the node says its
    own amount, which like its reset only counts where no option or profile says otherwise."""
    node, p = graph.nodes[name], parameters(graph, name, rule)
    plain: FloatArray = p["v_threshold"] - p.get("v_reset", np.zeros(()))
    if OWN_AMOUNT not in node.metadata or not (rule.reset is None or SPELLED in node.metadata):
        return plain
    try:
        amount: FloatArray = np.asarray(node.metadata[OWN_AMOUNT], np.float64)
        np.broadcast_to(amount, np.broadcast_shapes(amount.shape, plain.shape))
    except (TypeError, ValueError):
        amount = np.full((), np.nan)
    if not np.all(np.isfinite(amount)):
        raise graph.fault(f"node {name}: {OWN_AMOUNT}", "no finite numbers", "one per neuron")
    return amount


def decay_and_gain(
    graph: Graph, name: str, rule: SteppingRule, tau: FloatArray | None, r: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Decay and input gain of one first-order stage; *tau* None: no leak."""
    dt = rule.dt_seconds
    if tau is None:
        unit = "unit" in (rule.gain, rule.if_gain)
        return np.ones(()), np.ones(()) if unit else r * dt
    if np.any(tau <= 0) or (rule.discretisation == "euler" and np.any(dt > tau * (1 + 1e-9))):
        raise graph.fault(
            f"node {name}",
            f"tau down to {float(np.min(tau)):g} with dt {dt:g}",
            "tau > 0, and tau >= dt for the Euler rule",
            "--dt in the unit of tau, or --rule exact",
        )
    ratio = dt / tau
    decay = np.maximum(1 - ratio, 0.0) if rule.discretisation == "euler" else np.exp(-ratio)
    if rule.gain == "unit":
        return decay, np.ones(())
    return decay, r * (1 - np.exp(-ratio) if rule.discretisation == "exact" else ratio)


def delay_steps(graph: Graph, name: str, rule: SteppingRule) -> int:
    """A Delay node in whole steps."""
    delay = np.asarray(graph.nodes[name].params["delay"])
    steps = delay / rule.dt_seconds
    whole = np.round(steps)
    if np.any(np.abs(steps - whole) > 1e-6) or np.any(whole != whole.flat[0]) or whole.flat[0] < 0:
        raise graph.fault(
            f"node {name}",
            f"a delay of {float(delay.flat[0]):g} with dt {rule.dt_seconds:g}",
            "one whole number of steps for the whole node",
        )
    return int(whole.flat[0])


def needs(graph: Graph) -> set[str]:
    """Which of dt, rule and reset this graph's nodes depend on."""
    wanted: set[str] = set()
    if graph.of_type(*DYNAMIC):
        wanted |= {"dt", "rule"}
    if graph.of_type("Delay"):
        wanted.add("dt")
    if any("reset" not in graph.nodes[n].metadata for n in graph.of_type(*RESETTING)):
        wanted.add("reset")
    return wanted


NORSE_DT = (
    "--dt: what norse stepped the graph with, 1e-3 by default; for a file of its own to_nir that "
    "squared, 1e-6, since it writes tau = dt / tau_mem_inv"
)


def _ask(graph: Graph, missing: tuple[str, ...], profile: str | None) -> None:
    if missing:
        options = {"dt": "--dt SECONDS", "rule": "--rule euler", "reset": "--reset zero"}
        raise ConfigError(
            graph.where,
            found=f"a graph that does not say its {', '.join(missing)}, and no option that does",
            allowed="; ".join(options[name] for name in missing),
            hint=NORSE_DT
            if profile == "norse" and "dt" in missing
            else f"or name the platform that made it: --profile {'|'.join(PROFILES)}",
        )


def _check(rule: SteppingRule, reset: str) -> None:
    if not (np.isfinite(rule.dt_seconds) and rule.dt_seconds > 0):
        raise ConfigError("dt", found=f"{rule.dt_seconds}", allowed="a positive number")
    if rule.discretisation not in DISCRETISATIONS:
        raise unknown_name("rule", repr(rule.discretisation), rule.discretisation, DISCRETISATIONS)
    if reset not in (*RESETS, *TIMED, "per node"):
        raise unknown_name("reset", repr(reset), reset, [*RESETS, *TIMED, "per node"])
    if rule.gain not in GAINS:
        raise unknown_name("gain", repr(rule.gain), rule.gain, GAINS)


def _profile(name: str | None) -> Profile | None:
    if name is None:
        return None
    if name not in PROFILES:
        raise unknown_name("profile", repr(name), name, PROFILES)
    return PROFILES[name]


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None), None)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
