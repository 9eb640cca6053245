"""What the platform of a graph does and a chip does not, told in spikes on calibration samples."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from tssd.arrays import FloatArray
from tssd.export.nir.graphs.graph import RESETTING, Graph
from tssd.export.nir.graphs.profiles import LATE, PROFILES, Answers, SteppingRule, resolve
from tssd.export.nir.graphs.run import run

Spikes = list[FloatArray]  # of every neuron, (T, B, *shape) each


def platform_notes(
    graph: Graph, rule: SteppingRule, answers: Answers, frames: FloatArray
) -> tuple[str, ...]:
    """``frames`` (T, B, ...): samples as the graph is given them."""
    name = answers.profile
    if name is None:
        return ()
    shaped = frames.reshape(*frames.shape[:2], *graph.nodes[graph.input].params["shape"])

    def under(told: SteppingRule) -> Spikes:
        neurons = graph.of_type(*RESETTING)
        return list(run(graph, shaped, told, record=neurons).nodes.values())

    notes = (_several(name, rule, under), _empty(rule, name, under), _late(answers, graph, under))
    told = [note for part in notes for note in part]
    return tuple(f"{note} on {frames.shape[1]} calibration samples" for note in told)


Run = Callable[[SteppingRule], Spikes]


def differing(
    graph: Graph, rule: SteppingRule, other: SteppingRule, frames: FloatArray
) -> tuple[int, int]:
    """Slots in which neurons fire under one rule alone, and all slots."""
    shaped = frames.reshape(*frames.shape[:2], *graph.nodes[graph.input].params["shape"])
    neurons = graph.of_type(*RESETTING)
    one, two = (run(graph, shaped, told, record=neurons).nodes.values() for told in (rule, other))
    return _differ(list(one), list(two)), sum(x.size for x in one)


def _differ(one: Spikes, two: Spikes) -> int:
    return sum(int(np.count_nonzero(a != b)) for a, b in zip(one, two, strict=True))


def _count(spikes: Spikes) -> str:
    return f"{sum(float(x.sum()) for x in spikes):,.0f}"


def _several(name: str, rule: SteppingRule, under: Run) -> Iterator[str]:
    """sinabs, rockpool: a spike for each threshold that v holds."""
    if PROFILES[name].several:
        one, several = under(rule), under(replace(rule, several=True))
        yield (
            f"{name} sends several spikes in a step where v reaches a multiple of the threshold; "
            f"here a neuron sends one: {_count(one)} spikes instead of {_count(several)}"
        )


def _empty(rule: SteppingRule, name: str, under: Run) -> Iterator[str]:
    """norse, sinabs, spikingjelly: a bias on a way back is not there in the first step."""
    if rule.back_empty:
        theirs, here = under(rule), under(replace(rule, back_empty=False))
        if slots := _differ(theirs, here):
            yield (
                f"{name} leaves the bias of a recurrent connection out in the first step; here it "
                f"acts from the first: {slots:,} of {sum(x.size for x in here):,} spikes differ"
            )


def _late(answers: Answers, graph: Graph, under: Run) -> Iterator[str]:
    """snntorch: the file does not say whether its module subtracts, which is the default there."""
    if answers.profile == "snntorch" and answers.reset is None:
        zero, late = (under(resolve(graph, a)) for a in (answers, replace(answers, reset=LATE)))
        if _differ(zero, late):
            yield (
                "snntorch writes no reset; taken as zero, as its own import does. For a module "
                f"with its default (subtract, a step late): --reset {LATE}, {_count(late)} spikes "
                f"instead of {_count(zero)}"
            )
