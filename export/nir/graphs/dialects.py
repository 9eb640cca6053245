"""A graph rewritten so that a named platform, with its own import, steps it as meant.

NIR leaves the discretisation open, and every import reads tau, r and the threshold in its own way
(``rules.PROFILES``). A neuron is scale invariant, so each can be told the same network: with decay
d and gain g here, tau' is what gives d there, and

    r is read      r' gives the gain g
    r is not read  the gain there is fixed, g'; threshold and leak are written g' / g times as large

Voltages count from v_reset, which not every import reads. Where the integers say how fine a
membrane is, a hard-reset threshold moves up by half a step, so that > and >= fire alike.
"""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tssd.arrays import FloatArray
from tssd.atomic import write_bytes
from tssd.config import unknown_name
from tssd.errors import NetworkError
from tssd.export.nir.graphs.graph import DYNAMIC, RESETTING, Graph, Node
from tssd.export.nir.graphs.profiles import (
    PROFILES,
    RESETS,
    Answers,
    Profile,
    SteppingRule,
    decay_and_gain,
    parameters,
    reset_of,
    resets_late,
    resolve,
    subtracted,
)
from tssd.export.nir.graphs.readers import check_read, without_last_sum
from tssd.export.nir.graphs.thresholds import fold_thresholds
from tssd.export.nir.graphs.write import graph_image

DEFAULT_DT = {"norse": 1e-3, "spyx": 1.0, "nengo": 1e-3}  # of their imports
EARLY = ("sinabs",)  # need nir below 1.0.6, which knows neither v_reset nor a Linear's metadata
ALWAYS_LEAKY = ("snntorch",)  # its import gives an IF a leak
FOREVER = 2.0**60  # tau in steps without a leak
TO_BE_ADDED = "to be summed over time"  # where the last integrator was left out


def write_for(graph: Graph, path: Path, platform: str) -> str | None:
    """Write *graph* as *platform* reads it; what that platform cannot step is refused by node.
    Returns what a user of the file must know, if anything."""
    there, added = _rewritten(graph, platform)
    check_read(there, platform)
    dt = PROFILES[platform].dt_seconds or DEFAULT_DT.get(platform)
    image = graph_image(there, Answers(platform, dt))
    if platform in EARLY:
        _without_late_fields(image)
    write_bytes(path, image.getvalue())
    return f"{platform} has no integrator: add its output up over time" if added else None


def rewritten(graph: Graph, platform: str) -> Graph:
    """*graph* in the words of *platform*."""
    return _rewritten(graph, platform)[0]


def _rewritten(graph: Graph, platform: str) -> tuple[Graph, bool]:
    """The same, and whether its output is still to be added up over time."""
    if platform not in PROFILES:
        raise unknown_name("platform", repr(platform), platform, PROFILES)
    if platform == "rockpool":
        raise NetworkError(
            graph.where,
            found="rockpool as the reader",
            allowed="another platform",
            hint="the import of rockpool 3.1.0 fails on LIF and IF, and takes the r of a CubaLIF "
            "for the step",
        )
    rule, profile = resolve(graph), PROFILES[platform]
    graph = _without_identities(fold_thresholds(graph, rule))
    graph, added = without_last_sum(graph, rule, platform)
    there = SteppingRule(
        profile.dt_seconds or DEFAULT_DT[platform],
        profile.discretisation,
        None,
        profile.gain,
        profile.ignores,
        profile.if_gain,
        profile.late,
    )
    nodes = {}
    for name, node in graph.nodes.items():
        if node.type in DYNAMIC:
            node = _neuron(graph, name, rule, there, profile, platform)
        elif node.type == "Linear":
            weight = node.params["weight"]
            node = replace(node, type="Affine", params={"weight": weight, "bias": _zeros(weight)})
        elif node.type == "Delay":
            ratio = there.dt_seconds / rule.dt_seconds
            node = replace(node, params={"delay": np.asarray(node.params["delay"]) * ratio})
        nodes[name] = replace(node, metadata={})
    words = {"dt": there.dt_seconds, "discretisation": profile.discretisation}
    about = {"producer": "tssd", "written_for": platform, "reset": profile.reset, **words}
    if added:
        about["output"] = TO_BE_ADDED
    return replace(graph, nodes=nodes, metadata={} if platform in EARLY else about), added


def _without_identities(graph: Graph) -> Graph:
    """Scales by one taken out: not every import has a Scale."""
    for name in graph.of_type("Scale"):
        before, after = graph.sources(name), graph.targets(name)
        if np.any(np.asarray(graph.nodes[name].params["scale"]) != 1):
            continue
        kept = [e for e in graph.edges if name not in e]
        new = [(a, b) for a in before for b in after]
        if len(set(kept + new)) == len(kept) + len(new):
            nodes = {n: x for n, x in graph.nodes.items() if n != name}
            graph = replace(graph, nodes=nodes, edges=tuple(kept + new))
    return graph


def _zeros(weight: FloatArray) -> FloatArray:
    return np.zeros(len(weight))


def _neuron(
    graph: Graph,
    name: str,
    rule: SteppingRule,
    there: SteppingRule,
    profile: Profile,
    platform: str,
) -> Node:
    node, p = graph.nodes[name], parameters(graph, name, rule)
    _check_reset(graph, name, rule, profile, platform)
    tau = p.get("tau", p.get("tau_mem"))
    decay, gain = decay_and_gain(graph, name, rule, tau, p["r"])
    leaky = bool(np.any(decay != 1)) or platform in ALWAYS_LEAKY or "w_in" in p
    params, factor = _stage(there, decay if leaky else None, gain, "w_in" in p)
    out: dict[str, Any] = {"r": params["r"]}
    if "w_in" in p:
        synapse_decay, synapse_gain = decay_and_gain(graph, name, rule, p["tau_syn"], p["w_in"])
        inner, more = _stage(there, synapse_decay, synapse_gain, True)
        out |= {"tau_syn": inner["tau"], "w_in": inner["r"]}
        factor = factor * more
    if leaky:
        out["tau_mem" if "w_in" in p else "tau"] = params["tau"]
        out["v_leak"] = (p.get("v_leak", np.zeros(())) - p.get("v_reset", 0.0)) * factor
        if "v_leak" in there.ignores and np.any(out["v_leak"]):
            raise graph.fault(f"node {name}", "a leak voltage", f"none, for {platform}")
    if node.type in RESETTING:
        theta = p["v_threshold"] + _half_step(graph, name, rule)
        if profile.inclusive != rule.inclusive:  # one float64 step tells > from >=
            theta = np.nextafter(theta, np.inf if profile.inclusive else -np.inf)
        out |= {"v_threshold": (theta - p["v_reset"]) * factor, "v_reset": np.zeros(())}
    shape = np.broadcast_shapes(*(np.shape(x) for x in (*p.values(), *out.values())))
    whole = {
        key: np.broadcast_to(np.asarray(x, np.float64), shape).copy() for key, x in out.items()
    }
    return Node(_kind(node.type, leaky), whole)


def _kind(kind: str, leaky: bool) -> str:
    if kind.startswith("Cuba"):
        return kind
    fires = kind in RESETTING
    return ("LIF" if fires else "LI") if leaky else ("IF" if fires else "I")


def _stage(
    there: SteppingRule, decay: FloatArray | None, gain: FloatArray, cuba: bool
) -> tuple[dict[str, FloatArray], FloatArray]:
    """tau and r of one first-order stage, and how much larger its value is there."""
    tau, per_r = None, np.asarray(there.dt_seconds)
    if decay is not None:
        tau = _tau(decay, there)
        ratio = there.dt_seconds / tau
        per_r = 1 - np.exp(-ratio) if there.discretisation == "exact" else ratio
    unit = there.gain == "unit" or (decay is None and there.if_gain == "unit")
    found = {} if tau is None else {"tau": tau}
    if unit or ("r" in there.ignores and not cuba):
        fixed = np.ones(()) if unit else per_r
        return {**found, "r": np.ones(())}, fixed / gain
    return {**found, "r": gain / per_r}, np.ones(())


def _tau(decay: FloatArray, there: SteppingRule) -> FloatArray:
    """The time constant that gives *decay*; a decay of 0 is a tau far below the step."""
    steps = np.full(np.shape(decay), FOREVER)
    leaks = decay < 1
    inner = np.where(leaks, decay, 0.5)
    if there.discretisation == "euler":
        short = 1 / (1 - inner)
    else:
        short = -1 / np.log(np.maximum(inner, 1e-30))
    result: FloatArray = np.where(leaks, short, steps) * there.dt_seconds
    return result


def _half_step(graph: Graph, name: str, rule: SteppingRule) -> float:
    units = graph.nodes[name].metadata.get("states_per_weight_unit")
    hard = reset_of(graph, name, rule).zeroes
    return 0.5 / float(units) if units is not None and hard else 0.0


def _check_reset(
    graph: Graph, name: str, rule: SteppingRule, profile: Profile, platform: str
) -> None:
    if graph.nodes[name].type not in RESETTING:
        return
    p = parameters(graph, name, rule)
    decay, _ = decay_and_gain(graph, name, rule, p.get("tau", p.get("tau_mem")), p["r"])
    late = resets_late(graph, name, rule)
    mine, wanted = reset_of(graph, name, rule), RESETS[profile.reset]
    there_late = profile.late and "w_in" not in p
    amount, theta = subtracted(graph, name, rule), p["v_threshold"] - p["v_reset"]
    with np.errstate(divide="ignore"):  # a step late, behind the decay, is that much more
        here, there = amount / decay if late else amount, theta / decay if there_late else theta
    alike = not mine.subtracts or np.allclose(here, there, rtol=1e-9, atol=0)
    if mine is not wanted or not alike:
        own = "" if np.all(amount == theta) else " of an amount of its own"
        raise graph.fault(
            f"node {name}",
            f"a {mine} reset{own}{', a step late' if late else ''}",
            f"a {wanted} reset{', a step late' if there_late else ''}, which {platform} does",
            "--nir exact, for a platform that reads Threshold nodes",
        )


def _without_late_fields(image: io.BytesIO) -> None:
    """Take out what early versions of the nir package refuse."""
    with h5py.File(image, "a") as file:
        members = file["node/nodes"]
        for name in members:
            for late in ("v_reset", "metadata"):
                if late in members[name]:
                    del members[name][late]
        if "metadata" in file["node"]:
            del file["node/metadata"]
