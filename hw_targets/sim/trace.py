"""Chrome/Perfetto traces: cores and links as tracks, one slice per piece of work.

Format: the "Trace Event Format" of Chromium, complete events (``ph`` = "X") with ``ts`` and ``dur``
in us; https://ui.perfetto.dev and chrome://tracing open it.
"""

import json
from typing import Any

import numpy as np

from tssd.errors import ConfigError
from tssd.hw_targets.sim.engine import Run, trace_step
from tssd.hw_targets.sim.kernels import kernel

CORES, LINKS, STEPS = 1, 2, 3
STAGES = {
    kernel.LOG_NEURON: "neurons",
    kernel.LOG_AXON_IN: "axon in",
    kernel.LOG_SYNAPSE: "synapses",
}


def chrome_trace(run: Run, first: int = 0, count: int = 4) -> str:
    """The steps ``first .. first + count - 1`` as JSON text."""
    if not 0 <= first < run.steps or count < 1:
        raise ConfigError(
            "trace",
            found=f"{count} steps from {first}",
            allowed=f"within 0 .. {run.steps - 1}",
        )
    events: list[dict[str, Any]] = [_name(CORES, "cores"), _name(LINKS, "links")]
    events.append(_name(STEPS, "steps"))
    tracks: dict[tuple[int, int], str] = {}
    begin, cycle_us = 0, run.timing.cycle_ns / 1e3
    steps = range(first, min(first + count, run.steps))
    record = run.spikes_of(steps)
    for i, step in enumerate(steps):
        length = int(run.timing.cycles[step])
        events.append(_slice(STEPS, 0, f"step {step}", begin, length, cycle_us))
        for kind, place, start, cycles in trace_step(run.plan, record, i).tolist():
            process, track, name = _track(run, kind, place)
            tracks[process, track] = name
            label = name if kind == kernel.LOG_LINK else STAGES[kind]
            events.append(_slice(process, track, label, begin + start, cycles, cycle_us))
        begin += length
    events += [_thread(process, track, name) for (process, track), name in sorted(tracks.items())]
    return json.dumps({"displayTimeUnit": "ns", "traceEvents": events})


def _track(run: Run, kind: int, place: int) -> tuple[int, int, str]:
    """(process, thread, name) of an interval's track; each stage of a core has its own."""
    if kind == kernel.LOG_LINK:
        return LINKS, place, run.channel_name(place)
    stage = list(STAGES).index(kind)
    name = f"{run.place_name(place)}: {STAGES[kind]}"
    return CORES, place * len(STAGES) + stage, name


def _slice(
    process: int, track: int, name: str, start: int, cycles: int, cycle_us: float
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": process,
        "tid": track,
        "name": name,
        "ts": round(start * cycle_us, 6),
        "dur": round(cycles * cycle_us, 6),
    }


def _name(process: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}


def _thread(process: int, track: int, name: str) -> dict[str, Any]:
    return {
        "ph": "M",
        "pid": process,
        "tid": track,
        "name": "thread_name",
        "args": {"name": name},
    }


def slowest_step(run: Run) -> int:
    """The step that takes longest."""
    return int(np.argmax(run.timing.cycles))
