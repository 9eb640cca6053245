"""Run an IntNetwork in Lava and bring back its Activity: files, and one subprocess.

Modes: ``process``: a Lava process graph in Lava's runtime; ``inprocess``: the same process models
called directly (fast, equal); ``netx``: ``network.net`` through lava-dl's own loader.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tssd.calibration import serial
from tssd.calibration.int_network import SPIKES, Activity, IntNetwork, Runner, activity, state_names
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import alone, check_inputs, joined, recurrent
from tssd.errors import NetworkError, TargetError
from tssd.export.bundle.folder import NETX
from tssd.hw_targets.engine import Setting
from tssd.hw_targets.lava import environment

Mode = Literal["process", "inprocess", "netx"]
RUNNER = Path(__file__).resolve().parent / "runner" / "main.py"
LIMIT_S = 1800.0
TAIL_LINES = 20


@dataclass(frozen=True)
class LavaOptions:
    """``interval``: chip steps from one sample to the next (0: T plus the longest delay).
    ``nets``: for mode netx, the netx file of each case. ``states``: the neurons' as well."""

    interval: int = 0
    nets: tuple[Path, ...] = ()
    states: bool = True
    limit_s: float = LIMIT_S


def opened(setting: Setting) -> Runner:
    """The engine ``lava`` of the register; loops run sample by sample, each in a fresh graph."""
    environment.locate("light")

    def start(network: IntNetwork, inputs: IntArray) -> Activity:
        if not recurrent(network):
            return run(network, inputs)
        return joined(run_many([(network, x) for x in alone(inputs)], mode="process"))

    return start


def opened_netx(setting: Setting) -> Runner:
    """The engine ``netx`` of the register: the bundle's own file, as written."""
    bundle = setting.bundle
    if NETX not in bundle.manifest["files"]:
        reason = str([*bundle.manifest["netx"]["reasons"], "left out"][0])
        raise TargetError(
            f"{bundle.folder}: netx",
            found=f"no {NETX}: {reason.splitlines()[0]}",
            hint="--against lava runs every network in Lava's processes",
        )
    environment.locate("full")
    options = LavaOptions(nets=(bundle.file(NETX),))
    return lambda network, inputs: run(network, inputs, mode="netx", options=options)


def run(
    network: IntNetwork,
    inputs: IntArray,
    *,
    mode: Mode = "process",
    options: LavaOptions | None = None,
) -> Activity:
    """Run ``inputs`` (T, B, *input shape), samples back to back, in Lava.

    Raises TargetError when the environment is absent, Lava fails or runs past the limit, and
    NetworkError when stock Lava cannot say the network.
    """
    return run_many([(network, inputs)], mode=mode, options=options)[0]


def run_many(
    cases: Sequence[tuple[IntNetwork, IntArray]],
    *,
    mode: Mode = "inprocess",
    options: LavaOptions | None = None,
) -> list[Activity]:
    """Several networks, each with its inputs, in one subprocess."""
    options = options or LavaOptions()
    for network, inputs in cases:
        check_inputs(network, inputs)
    if mode == "netx" and len(options.nets) != len(cases):
        raise TargetError(
            "Lava, mode netx",
            found=f"{len(options.nets)} netx file(s)",
            allowed=f"{len(cases)}: a network.net for each network",
        )
    found = environment.locate("full" if mode == "netx" else "light")
    with tempfile.TemporaryDirectory(prefix="tssd-lava-") as folder:
        job = _write_job(Path(folder), cases, mode, options)
        _execute([str(found.python), str(RUNNER), str(job)], folder, options.limit_s)
        with np.load(Path(folder) / "out.npz") as data:
            return [
                _activity(case[0], data, f"{i}/", options.states) for i, case in enumerate(cases)
            ]


def _write_job(
    folder: Path, cases: Sequence[tuple[IntNetwork, IntArray]], mode: Mode, options: LavaOptions
) -> Path:
    arrays: dict[str, Any] = {}
    for i, (network, inputs) in enumerate(cases):
        header, model = serial.to_arrays(network)
        arrays |= {f"{i}/{key}": array for key, array in model.items()}
        arrays |= {f"{i}/header": np.array(header), f"{i}/inputs": np.asarray(inputs)}
    np.savez(folder / "data.npz", **arrays)
    job = {
        "parent": os.getpid(),
        "mode": mode,
        "cases": len(cases),
        "data": str(folder / "data.npz"),
        "out": str(folder / "out.npz"),
        "nets": [str(net.resolve()) for net in options.nets],
        "interval": options.interval,
        "states": options.states,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    return path


def _execute(command: list[str], folder: str, limit_s: float) -> None:
    """Run to the end or the limit; whatever Lava started ends with it, and with an interrupt."""
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": ""}
    words = Path(folder) / "said.txt"  # a pipe would stay open as long as any child of Lava's lives
    with (
        words.open("w") as said,
        subprocess.Popen(
            command, cwd=folder, env=quiet, stdout=said, stderr=said, start_new_session=True
        ) as child,
    ):
        try:
            code = child.wait(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise TargetError(
                "Lava",
                found=f"no result after {limit_s:g} s{_tail(words)}",
                hint="fewer samples, or more time",
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if code:
        raise TargetError("Lava", found=f"exit {code}{_tail(words)}")


def _tail(words: Path) -> str:
    """The last lines said, each on a line of its own."""
    lines = words.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "".join(f"\n{line}" for line in lines[-TAIL_LINES:])


def _activity(network: IntNetwork, data: Mapping[str, Any], prefix: str, states: bool) -> Activity:
    if prefix + "refused" in data:
        raise NetworkError(
            "Lava",
            found=str(data[prefix + "refused"]),
            allowed="what Lava's fixed-point processes can say",
        )
    names = [p.name for p in network.populations]
    read: dict[str, dict[str, IntArray]] = {
        label: {
            name: data[key].astype(np.int64)
            for i, name in enumerate(names)
            if (key := f"{prefix}{label}/{i}") in data
        }
        for label in (SPIKES, *state_names(network))
    }
    found = activity(network, read.pop(SPIKES), read)
    return found if states else replace(found, states={})
