"""A deployed network among NeuroBench's: as its model, and our counts under its names.

    model(folder)    a ``neurobench.models.NeuroBenchModel``: samples in, classes out, in integers
    counts(folder)   its algorithm track from the counts of the bundle's report, its system track,
                     which is *modelled*: nothing was measured on a chip

NeuroBench counts by hooks on torch layers, which integers do not have: a metric that needs hooks or
the torch network is refused instead of reading 0. Names and definitions: Yik et al., "The
neurobench framework", Nature Communications 16, 1545 (2025), and neurobench 2.3.0.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tssd.calibration.int_network import IntNetwork
from tssd.chain.torch_module import IntegerModule, load
from tssd.errors import ConfigError, DataError
from tssd.export.bundle.folder import read_bundle
from tssd.report.model import Report
from tssd.report.store import read_report

MODELLED = "modelled"


def counts(folder: str | Path) -> dict[str, Any]:
    """``algorithm`` and ``system``, per inference, on the samples of the report in *folder*."""
    report, network = read_report(Path(folder)), read_bundle(Path(folder)).network
    return {
        "samples": report.samples,
        "algorithm": static(report, network) | workload(report, network),
        "system": system(report),
    }


def static(report: Report, network: IntNetwork) -> dict[str, float]:
    """Footprint: bytes of synaptic memory on the chip's cores. ParameterCount: weights, and a bias
    per channel where a layer has any. ConnectionSparsity: the share of weights that are 0."""
    weights = sum(j.weight.size for j in network.projections)
    zeros = sum(int((j.weight == 0).sum()) for j in network.projections)
    biases = sum(p.shape[0] for p in network.populations if p.bias_mant.any())
    return {
        "Footprint": sum(layer.memory_bytes or 0 for layer in report.layers),
        "ParameterCount": weights + biases,
        "ConnectionSparsity": round(zeros / weights, 4),
    }


def workload(report: Report, network: IntNetwork) -> dict[str, Any]:
    """ActivationSparsity: 1 - spikes / (neurons steps samples), of all layers that fire.
    SynapticOperations (``Dense`` is left out): MACs of layers into which payloads go, ACs of those
    that spikes enter. MembraneUpdates: neurons x steps."""
    rows = {layer.name: layer for layer in report.layers}
    firing = [rows[p.name] for p in network.populations if p.kind.fires]
    slots = sum(row.neurons for row in firing) * report.time_steps * report.samples
    spikes = sum(_known(row.spikes["integer"], "spikes") for row in firing)
    graded = {p.name for p in network.populations if _sends_payloads(network, p.name)}
    fed = {j.target for j in network.projections if j.source in graded}
    operations = {name: _known(row.synops, "synaptic operations") for name, row in rows.items()}
    found: dict[str, Any] = {
        "ActivationSparsity": 1 - spikes / slots,
        "SynapticOperations": {
            "Effective_MACs": sum(n for name, n in operations.items() if name in fed),
            "Effective_ACs": sum(n for name, n in operations.items() if name not in fed),
        },
        "MembraneUpdates": sum(_known(row.neuron_updates, "updates") for row in firing),
    }
    accuracy = report.accuracy["integer"]
    return found if accuracy is None else found | {"ClassificationAccuracy": accuracy}


def _sends_payloads(network: IntNetwork, name: str) -> bool:
    if name == network.source.name:
        return not network.input_coding.binary and network.input_max > 1
    return network.population(name).kind.relays


def _known(value: float | None, what: str) -> float:
    if value is None:
        raise DataError("the report", found=f"no {what}", hint="tssd verify BUNDLE --against sim")
    return value


def system(report: Report) -> dict[str, Any]:
    """Latency, throughput and energy of the simulated chip, with the label that says so."""
    total = report.totals
    energy = total.energy_uj_per_inference
    promised = energy.prediction_interval and energy.prediction_interval.total
    known = promised or energy.total
    return {
        "label": MODELLED,
        "chip": report.target,
        "timing": total.timing,
        "latency_s": None if total.latency_us is None else total.latency_us * 1e-6,
        "inferences_per_s": total.inferences_per_s,
        "energy_is": "90 % prediction interval" if promised else "range of the chip's constants",
        "energy_j_per_inference": None
        if known is None
        else {k: getattr(known, k) * 1e-6 for k in ("low", "nominal", "high")},
    }


def model(folder: str | Path) -> Any:
    """The bundle's integers as a NeuroBenchModel: called with a tensor of samples (N, *shape), or
    of frames (N, T, *shape), it returns the class of each, (N,)."""
    from neurobench.models import NeuroBenchModel

    own = load(Path(folder), exact=True)

    class Deployed(NeuroBenchModel):  # type: ignore[misc,unused-ignore]
        """What NeuroBench calls; a metric that it has no layers for is refused."""

        def __call__(self, batch: Any) -> Any:
            return classes(own, batch)

        def __net__(self) -> Any:
            raise _no_layers("a static metric, or device=")

        def register_hooks(self) -> None:
            raise _no_layers("a metric that counts by hooks")

    return Deployed()


def classes(module: IntegerModule, batch: Any) -> Any:
    """The largest of the readout, the first on a tie."""
    values = np.asarray(batch.detach().cpu())
    return module(module.inputs(values)).flatten(1).argmax(1)


def _no_layers(found: str) -> ConfigError:
    return ConfigError(
        "NeuroBench on a deployed network",
        found=found,
        allowed="metrics of predictions, as ClassificationAccuracy",
        hint="tssd.live.neurobench.counts(folder) has the others, counted in integers",
    )
