"""Entry point inside the Lava environment: ``python main.py job.json``.

The job names a mode (inprocess, process, netx), a data file with one or more cases, and the output
file. Data: npz with the model's arrays under ``<case>/`` and ``<case>/inputs`` (T, N, *shape).
Output: npz with ``<case>/<spikes or a state>/<population index>``. A case that stock Lava cannot
say leaves ``<case>/refused`` with the reason.
"""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np

PERIOD_S = 1.0


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        job = json.load(file)
    threading.Thread(target=end_with, args=(job["parent"],), daemon=True).start()
    logging.disable(logging.WARNING)
    results: Any = {}
    with np.load(job["data"]) as data:
        for case in range(job["cases"]):
            results.update(_case(job, data, case))
    np.savez(job["out"], **results)


def end_with(parent: int) -> None:
    """End this session, Lava's processes with it, once *parent* is gone: killed, say."""
    while os.getppid() == parent:
        time.sleep(PERIOD_S)
    os.killpg(0, signal.SIGKILL)


def _case(job: Any, data: Any, case: int) -> Any:
    import graph  # imports Lava: late, so that a broken job file is told at once
    import model as models

    prefix = f"{case}/"
    arrays = {key[len(prefix) :]: data[key] for key in data.files if key.startswith(prefix)}
    model, inputs = models.build(str(arrays["header"]), arrays), arrays["inputs"]
    begin = time.perf_counter()
    try:
        kept = _run(job, model, inputs, case)
    except graph.Refused as why:
        return {prefix + "refused": np.array(str(why))}
    flat = {f"{prefix}{label}/{k}": x for label, group in kept.items() for k, x in group.items()}
    return {**flat, prefix + "seconds": np.array(time.perf_counter() - begin)}


def _run(job: Any, model: Any, inputs: Any, case: int) -> Any:
    import graph

    interval, states = job["interval"], job["states"]
    if job["mode"] == "inprocess":
        import inprocess

        return inprocess.run(graph.build(model, inputs, interval))
    with tempfile.TemporaryDirectory() as folder:
        if job["mode"] == "netx":
            import stock

            return stock.run(model, inputs, job["nets"][case], folder, interval, states)
        import runtime

        return runtime.run(graph.build(model, inputs, interval), folder, states)


if __name__ == "__main__":
    main(sys.argv[1])
