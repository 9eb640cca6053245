"""FloatNetwork -> ONNX in standard operators: the network alone, for those who need no integers.

The equations are ``train.float_network``'s, in float32: average pool, linear map, normalisation,
U = synapse_decay * U + A, H = decay * H + U + bias, spikes where H >= threshold, reset. Equal to
the float reference up to rounding: a membrane that close to its threshold may fire otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from tssd.errors import NetworkError
from tssd.export.onnx.builder import Builder
from tssd.export.onnx.layers import PAYLOAD, OnnxStage, Update, populations_table, written
from tssd.export.onnx.synapse import linear_map
from tssd.train.handover.float_network import (
    FloatArray,
    FloatNetwork,
    FloatPopulation,
    FloatProjection,
    Reset,
    check_known,
    depths,
)

SCHEMA = "tssd-onnx-float/1"
NAME = "tssd_float"
KNOWN = ("reset_by",)


def onnx_float_bytes(network: FloatNetwork) -> dict[str, bytes]:
    """The one-step graph and the graph over all steps, deterministic."""
    return {
        "network_float.onnx": step_bytes(network),
        "network_float_scan.onnx": scan_bytes(network),
    }


def step_bytes(network: FloatNetwork) -> bytes:
    """One time step. Inputs: the source population's name (float32, pixel / 255) and the states,
    each (batch, *shape); outputs ``<population>.v.next`` and ``<population>.spikes``."""
    return written(dialect(network), NAME, _about(network), "step")


def scan_bytes(network: FloatNetwork) -> bytes:
    """All steps. Input ``<source>.series`` (T, batch, *shape); outputs ``<population>.v.final``
    (of the readout: T times the logits) and ``<population>.spikes.series``."""
    return written(dialect(network), NAME, _about(network), "scan")


def dialect(network: FloatNetwork) -> "FloatDialect":
    """The float network's way to write itself; NetworkError where it is recurrent."""
    depth = depths(network)
    for p in network.populations:
        check_known(p, KNOWN, "a float ONNX graph")
        if p.membrane_read.of_every_step:
            raise NetworkError(
                f"population {p.name}",
                found=f"the {p.membrane_read} membrane as the answer",
                allowed="that of the last step, in a float ONNX graph",
                hint="--onnx integer, whose graph keeps the largest",
            )
    return FloatDialect(tuple(_stage(network, depth, p) for p in network.populations), network)


def _stage(network: FloatNetwork, depth: Mapping[str, int], p: FloatPopulation) -> OnnxStage:
    labels = ["v"] if p.synapse_decay is None else ["u", "v"]
    stateful = p.kind.has_state
    return OnnxStage(
        p.name,
        p.shape,
        tuple(
            (j.source, max(depth[j.source] + 1 + j.delay - depth[p.name], 0))
            for j in network.incoming(p.name)
        ),
        sends=None if p.kind.reads_out else PAYLOAD,
        states=dict.fromkeys(labels, PAYLOAD) if stateful else {},
        presented="payload" if p.kind.enters else None,
    )


@dataclass(frozen=True)
class FloatDialect:
    """Writes the float network; see the module's head."""

    stages: tuple[OnnxStage, ...]
    network: FloatNetwork

    def drive(self, out: Builder, stage: OnnxStage, sent: list[str]) -> str:
        """A, with the bias where no synaptic memory comes between."""
        p = self.network.population(stage.name)
        incoming = self.network.incoming(stage.name)
        parts = [
            self._delivered(out, p, j, x, f"{p.name}.{i}")
            for i, (j, x) in enumerate(zip(incoming, sent, strict=True))
        ]
        return out.total([*parts, *([] if "u" in stage.states else _bias(out, p))])

    def presented(self, out: Builder, stage: OnnxStage, sample: str) -> str:
        """A float network's samples are always payloads."""
        return sample

    def update(
        self,
        out: Builder,
        stage: OnnxStage,
        drive: str | None,
        bias: str | None,
        states: Mapping[str, str],
    ) -> Update:
        """One step of the neurons; S = [H >= threshold], inclusive. A readout never fires."""
        p = self.network.population(stage.name)
        after, terms = {}, [drive] if drive else []
        if p.synapse_decay is not None:
            kept = out.add("Mul", states["u"], _tensor(out, f"{p.name}.keep_u", p.synapse_decay))
            after["u"] = out.total([kept, *terms])
            terms = [after["u"], *_bias(out, p)]
        h = states["v"]
        if np.any(p.decay != 1):
            h = out.add("Mul", h, _tensor(out, f"{p.name}.keep_v", p.decay))
        h = out.total([h, *terms])
        if p.kind.reads_out:
            return Update({**after, "v": h}, None)
        threshold = _tensor(out, f"{p.name}.threshold", p.threshold)
        spikes = out.cast(out.add("GreaterOrEqual", h, threshold), PAYLOAD)
        match p.reset:
            case Reset.SOFT:
                h = out.lowered(h, spikes, _subtracted(out, p))
            case Reset.HARD:
                h = out.lowered(h, spikes, h)
            case Reset.NONE:
                pass
            case _:
                assert_never(p.reset)
        return Update({**after, "v": h}, spikes)

    def _delivered(
        self, out: Builder, p: FloatPopulation, j: FloatProjection, sent: str, name: str
    ) -> str:
        """norm(weight * pool(sent) + bias), (N, *target shape)."""
        source = self.network.population(j.source).shape
        if j.pool is not None:
            kernel, stride = list(j.pool.kernel), list(j.pool.stride)
            sent = out.add("AveragePool", sent, kernel_shape=kernel, strides=stride)
        weight = (f"{name}.weight", j.weight.astype(np.float32))
        bias = None if j.bias is None else _tensor(out, f"{name}.offset", j.bias)
        total = linear_map(out, j, sent, (source, p.shape), weight, bias)
        if j.norm is None:
            return total
        norm = {
            "gain": j.norm.gain,
            "shift": j.norm.shift,
            "mean": j.norm.mean,
            "variance": j.norm.variance,
        }
        tensors = [_tensor(out, f"{name}.{label}", array) for label, array in norm.items()]
        return out.add("BatchNormalization", total, *tensors, epsilon=j.norm.eps)


def _subtracted(out: Builder, p: FloatPopulation) -> str:
    label = "threshold" if p.reset_by is None else "reset_by"
    return _tensor(out, f"{p.name}.{label}", p.subtracted)


def _bias(out: Builder, p: FloatPopulation) -> list[str]:
    return [_tensor(out, f"{p.name}.bias", p.bias)] if np.any(p.bias) else []


def _tensor(out: Builder, name: str, array: FloatArray) -> str:
    return out.constant(name, np.asarray(array).astype(np.float32))


def _about(network: FloatNetwork) -> dict[str, str]:
    return {
        "schema": SCHEMA,
        "time_steps": str(network.time_steps),
        "populations": populations_table(network.populations),
    }
