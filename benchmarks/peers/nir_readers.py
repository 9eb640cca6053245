"""Runs inside an environment that holds one platform (and not tssd): read and run .nir files.

python nir_readers.py norse folder

``folder/cases.json`` lists cases (name, dt); each has ``<name>.nir`` and ``<name>.in.npy``
(time, batch, *shape). Leaves ``<name>.<platform>.npy``, the values of the output, and
``<platform>.json``: version, and per case None or the reason why it could not be read or run.
"""

import contextlib
import importlib.metadata
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[str, Any, float], Any]
CASE_SECONDS = 20  # of CPU time, after which a case counts as not read


def _stop(signum: int, frame: Any) -> None:
    raise TimeoutError(f"no end after {CASE_SECONDS} s of CPU time")


def norse(path: str, frames: Any, dt: float) -> Any:
    import nir  # type: ignore[import-not-found,unused-ignore]
    import norse.torch as platform  # type: ignore[import-not-found]
    import torch

    def build() -> Any:
        return platform.from_nir(nir.read(path), ignore_warnings=True, dt=dt)

    return _stepped(build, frames, torch)


def snntorch(path: str, frames: Any, dt: float) -> Any:
    import nir  # type: ignore[import-not-found,unused-ignore]
    import torch
    from snntorch.import_nir import import_from_nir

    return _stepped(lambda: import_from_nir(nir.read(path)), frames, torch)


def _stepped(build: Callable[[], Any], frames: Any, torch: Any) -> Any:
    """One call per step, the state handed on; samples one by one, without a batch axis, for these
    readers count it among the dimensions that a Flatten names, and each with a new model, for
    snnTorch's neurons keep their last state."""
    samples = []
    with torch.no_grad():
        for sample in np.swapaxes(frames, 0, 1):
            model, state, found = build(), None, []
            for frame in torch.tensor(sample, dtype=torch.float32):
                out, state = model(frame, state)
                found.append(_first(out).numpy())
            samples.append(np.stack(found))
    return np.stack(samples, axis=1)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def sinabs(path: str, frames: Any, dt: float) -> Any:
    import nir  # type: ignore[import-not-found,unused-ignore]
    import sinabs.nir as platform  # type: ignore[import-not-found]
    import torch

    steps, batch = frames.shape[:2]
    model = platform.from_nir(_tensors(nir.read(path), torch), batch_size=batch)
    flat = torch.tensor(np.swapaxes(frames, 0, 1).copy(), dtype=torch.float32).flatten(0, 1)
    with torch.no_grad():
        out = _first(model(flat))
    return np.swapaxes(out.reshape(batch, steps, *out.shape[1:]).numpy(), 0, 1)


def _tensors(graph: Any, torch: Any) -> Any:
    """sinabs takes a LIF's parameters for torch tensors."""
    for node in graph.nodes.values():
        for name in ("tau", "r", "v_leak", "v_threshold"):
            if hasattr(node, name):
                setattr(node, name, torch.tensor(getattr(node, name)).float())
    return graph


def rockpool(path: str, frames: Any, dt: float) -> Any:
    import nir  # type: ignore[import-not-found,unused-ignore]
    import torch
    from rockpool.nn.modules.torch.nir import from_nir  # type: ignore[import-not-found]

    series = torch.tensor(np.swapaxes(frames, 0, 1).copy(), dtype=torch.float32)
    with torch.no_grad():
        out = _first(from_nir(nir.read(path))(series))
    return np.swapaxes(out.numpy(), 0, 1)


def spyx(path: str, frames: Any, dt: float) -> Any:
    import jax.numpy as jnp  # type: ignore[import-not-found]
    import nir  # type: ignore[import-not-found,unused-ignore]
    import spyx.nir as platform  # type: ignore[import-not-found]

    last = np.moveaxis(frames, 2, -1) if frames.ndim == 5 else frames  # its channels come last
    _, out = platform.from_nir(nir.read(path), jnp.asarray(last, dtype=jnp.float32), dt=dt)
    return np.asarray(out)


def spikingjelly(path: str, frames: Any, dt: float) -> Any:
    import torch
    from spikingjelly.activation_based import nir_exchange as platform

    def build() -> Any:
        return platform.import_from_nir(path, dt=dt, dtype=torch.float32)

    return _stepped(build, frames, torch)


READERS = (norse, snntorch, sinabs, rockpool, spyx, spikingjelly)
PLATFORMS: dict[str, Run] = {f.__name__: f for f in READERS}


def main(name: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _stop)
    reasons: dict[str, str | None] = {}
    for case in json.loads((folder / "cases.json").read_text()):
        frames = np.load(folder / f"{case['name']}.in.npy")
        path = str(folder / f"{case['name']}.nir")
        try:
            signal.setitimer(signal.ITIMER_PROF, CASE_SECONDS)
            with open(os.devnull, "w") as quiet, contextlib.redirect_stdout(quiet):
                found = PLATFORMS[name](path, frames, case["dt"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            np.save(folder / f"{case['name']}.{name}.npy", found)
            reasons[case["name"]] = None
        except Exception as error:  # noqa: BLE001 - whatever a foreign reader raises is the finding
            text = (str(error).splitlines() or [""])[0]
            reasons[case["name"]] = f"{type(error).__name__}: {text[:140]}"
    version = importlib.metadata.version(name)
    (folder / f"{name}.json").write_text(json.dumps({"version": version, "reasons": reasons}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
