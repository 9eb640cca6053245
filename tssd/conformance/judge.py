"""Case x reader -> Judgement: what a reader made of a graph, held against what it has to send."""

import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tssd.arrays import FloatArray
from tssd.conformance.suite import OUTPUT, Case
from tssd.errors import DataError, Foreign, TssdError

Reader = Callable[[str, FloatArray], Any]
Result = Literal["identical", "differs", "not read"]
RESULTS: tuple[Result, ...] = ("identical", "differs", "not read")
VALUE_TOLERANCE = 1e-4  # of a membrane that leaves, relative to its largest: float32 over all steps
LONGEST = 120  # characters of a foreign error that are shown


@dataclass(frozen=True)
class Judgement:
    """``where`` says why it is not identical; ``nodes``: how many nodes were compared."""

    case: str
    group: str
    result: Result
    why: str = ""
    nodes: int = 0


def run(case: Case, reader: Reader, dt_seconds: float | None, cpu_seconds: float) -> Judgement:
    """Let *reader* read and run *case* from a file, for at most *cpu_seconds*."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{case.name}.nir"
        case.write(path, dt_seconds)
        try:
            with Foreign(_raised), limited(cpu_seconds):
                answer = reader(str(path), case.inputs.copy())
        except TssdError as error:
            return Judgement(case.name, case.group, "not read", error.found)
    return judge(case, answer)


def judge(case: Case, answer: Any) -> Judgement:
    """*answer*: node to what it sent (T, B, ...), or what the output node sent alone. Nodes of a
    reader's own are left aside; the output must be there."""
    told = answer if isinstance(answer, Mapping) else {OUTPUT: answer}
    try:
        sent = {name: _array(told[name], name, case) for name in case.expected if name in told}
    except TssdError as error:
        return Judgement(case.name, case.group, "differs", str(error))
    if OUTPUT not in sent:
        names = ", ".join(map(str, told)) or "nothing"
        return Judgement(case.name, case.group, "differs", f"no {OUTPUT!r} among {names}"[:LONGEST])
    for name in case.expected:  # in the order in which they are evaluated
        if name in sent and (why := _difference(case, name, sent[name])):
            return Judgement(case.name, case.group, "differs", why, len(sent))
    return Judgement(case.name, case.group, "identical", nodes=len(sent))


def _array(value: Any, name: str, case: Case) -> FloatArray:
    """What *value* says of node *name*, in its shape; batch and time stay where they are."""
    wanted = case.expected[name].shape
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "buif" or array.shape[:2] != wanted[:2] or array.size == 0:
        raise DataError(name, found=f"{array.dtype} {array.shape}", allowed=f"{wanted}")
    flat = array.reshape(*wanted[:2], -1)
    if flat.shape[2] != int(np.prod(wanted[2:])):
        raise DataError(name, found=f"shape {array.shape}", allowed=f"{wanted}")
    return flat.reshape(wanted).astype(np.float64)


def _difference(case: Case, name: str, found: FloatArray) -> str:
    """The first difference in time, then sample, then neuron; "" where there is none."""
    wanted = case.expected[name]
    allowed = VALUE_TOLERANCE * float(np.abs(wanted).max()) if name in case.values else 0.0
    off = ~(np.abs(found - wanted) <= allowed)  # NaN differs
    if not off.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(off)[0])
    step, sample, neuron = at[0], at[1], list(at[2:])
    share = f"{int(off.sum()):,} of {off.size:,} values differ"
    return f"{name}: {share}, first at step {step}, sample {sample}, neuron {neuron}: " + (
        f"{found[at]:g} for {wanted[at]:g}"
    )


def _raised(error: BaseException) -> TssdError:
    text = (str(error).splitlines() or [""])[0][:LONGEST]
    return DataError("the reader", found=f"{type(error).__name__}: {text}")


@contextmanager
def limited(cpu_seconds: float) -> Iterator[None]:
    """TimeoutError after *cpu_seconds* of CPU time, where the system can tell (not on Windows)."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(signum: int, frame: object) -> None:
        raise TimeoutError(f"no end after {cpu_seconds:g} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
