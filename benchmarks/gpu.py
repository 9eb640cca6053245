"""The torch engine and training on a CUDA device: equality, speed, latency, energy.

    make bench-gpu                       (python -m benchmarks.gpu; ends with 2 where there is none)

Under eight minutes, and nothing is fetched: networks are built here from their seeds, SpikingJelly
takes part where `make bench-train` has installed it. Each part has a share of the time, and what
is not reached says so. Times are wall seconds with the device waited for.

equality   three integer networks on the device beside the same engine on the CPU, every spike,
           current and membrane of 32 samples; the CPU's equals the definition by the tests
training   updates a second of `vgg-small`, TSSD, beside snnTorch (eager, compiled) and SpikingJelly
latency    one sample, and 64 at once; NVML's counter of energy over as many inferences, also less
           what the device takes when it waits
"""

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.harness import Row, report, write
from benchmarks.training_peers import PEERS, SPIKINGJELLY, MultiStep, Peer, Stepwise
from benchmarks.training_speed import CLASSES, update
from tssd.calibration.encode import encode
from tssd.calibration.int_network import Activity, IntNetwork
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.quantizing.scales import Options, Search
from tssd.hw_targets.gpu import engine
from tssd.train.config import Method, TrainConfig
from tssd.train.networks.models import WEAK, build_stages
from tssd.train.networks.network import READOUT, SpikingNet, Unrolling, scale_to_unit_current
from tssd.train.networks.strip import strip

NETWORKS = {  # three kinds: small, deep, with skips
    "tiny": (TrainConfig(model="tiny", method=Method.CE), (1, 28, 28)),
    "vgg-small": (TrainConfig(model="vgg-small", method=Method.CE), (1, 28, 28)),
    "resnet-18": (TrainConfig(model="resnet-18", width=0.25, method=Method.CE), (3, 32, 32)),
}
SAMPLES = 32
PART_S = 25.0  # of one measured side: twelve of them stay under eight minutes
WARM_UPS = 3


@dataclass(frozen=True)
class Pace:
    """How often something was done, in how many seconds."""

    count: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.count / self.seconds


def waited(device: str) -> None:
    """Return when the device has done all it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def pace(work: Callable[[], object], device: str, seconds: float = PART_S) -> Pace:
    """*work* again and again for about *seconds*, after a few times to warm up."""
    for _ in range(WARM_UPS):
        work()
    waited(device)
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < seconds:
        work()
        waited(device)
        count += 1
    return Pace(count, time.perf_counter() - began)


# ---------------------------------------------------------------- equality


def built(name: str) -> tuple[IntNetwork, np.ndarray[Any, np.dtype[np.int64]]]:
    """An integer network from a seed, and inputs (T, SAMPLES, ...)."""
    config, shape = NETWORKS[name]
    images = np.random.default_rng(0).integers(0, 256, (SAMPLES, *shape)).astype(np.uint8)
    torch.manual_seed(0)
    net = build_stages(config, shape, CLASSES).eval()
    scale_to_unit_current(net, torch.from_numpy(images[:8]).float() / 255, config.student_steps)
    network = align(fold(strip(net, images[:2], config.student_steps)))
    options = Options(search=Search.MAX_ABS)
    made = quantize(network, LOIHI, Observation(images[:4], {}), options)
    return made, encode(made, images)


def differing(one: Activity, other: Activity) -> int:
    """Spikes, states and final membranes that are not the same."""
    pairs = [(one.readout, other.readout)]
    pairs += [(one.spikes[name], other.spikes[name]) for name in one.spikes]
    pairs += [(one.states[s][n], other.states[s][n]) for s in one.states for n in one.states[s]]
    return sum(int(np.count_nonzero(a != b)) for a, b in pairs)


def equality_row(name: str, device: str) -> Row:
    """The network called *name* on *device* beside the CPU."""
    network, inputs = built(name)
    there, here = (engine.run(network, inputs, device=d, states=True) for d in (device, "cpu"))
    slots = sum(x.size for x in here.spikes.values())
    how = f"{SAMPLES} samples, {slots:,} spike slots, currents and membranes too"
    return Row(f"{name}: differs from the CPU in", differing(there, here), "", "== 0",
               differing(there, here) == 0, how)  # fmt: skip


# ---------------------------------------------------------------- training


def training(side: str, device: str) -> Callable[[], None]:
    """One update of `vgg-small` by TSSD on a batch of 128, as *side* does it."""
    config = TrainConfig(model="vgg-small")
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(128, 1, 28, 28, generator=generator).to(device)
    labels = torch.randint(0, CLASSES, (128,), generator=generator).to(device)
    net = build_stages(config, (1, 28, 28), CLASSES).to(device).train()
    steps, tail = config.teacher_steps, config.teacher_steps - config.student_steps
    if side == "tssd":
        run = Unrolling(128, config.student_steps, tail, tail_gradient=True)
        return update(lambda: net.run(images, run, (READOUT, WEAK)), net, config, labels)
    peer = _peer(side, net).to(device)
    called = torch.compile(peer) if side == "snntorch, compiled" else peer
    return update(lambda: called(images, steps), peer, config, labels)


def _peer(side: str, net: SpikingNet) -> Peer:
    return MultiStep(net) if side == "spikingjelly" else Stepwise(net)


SIDES = ("tssd", "snntorch", "snntorch, compiled", "spikingjelly")


def training_row(side: str, device: str, seconds: float = PART_S) -> Row:
    """Updates a second of one side."""
    name = f"training vgg-small: {side}"
    how = f"batch 128, T_s 4, T_t 6, fp32, {device}"
    if side == "spikingjelly" and not (PEERS / SPIKINGJELLY[0]).is_dir():
        return report(name, None, "updates/s", "not installed: make bench-train installs it")
    found = pace(training(side, device), device, seconds)
    return report(name, round(found.per_second, 3), "updates/s", how)


# ---------------------------------------------------------------- latency and energy


class Nvml:
    """NVML's counter of the energy that a device has taken since its driver was loaded."""

    def __init__(self, index: int = 0) -> None:
        self.library = ctypes.CDLL("libnvidia-ml.so.1")
        self.handle = ctypes.c_void_p()
        self._call("nvmlInit_v2")
        self._call("nvmlDeviceGetHandleByIndex_v2", index, ctypes.byref(self.handle))

    def energy_mj(self) -> int:
        """Millijoules so far; OSError where the device does not count them."""
        value = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetTotalEnergyConsumption", self.handle, ctypes.byref(value))
        return value.value

    def _call(self, name: str, *arguments: object) -> None:
        code = getattr(self.library, name)(*arguments)
        if code:
            raise OSError(f"{name}: NVML's error {code}")


def energy_rows(
    name: str, per_call: int, work: Callable[[], object], device: str, meter: Nvml, seconds: float
) -> list[Row]:
    """Energy of one inference: all that the device took, and less what it takes when it waits."""
    before, began = meter.energy_mj(), time.perf_counter()
    time.sleep(seconds / 5)
    idle_w = (meter.energy_mj() - before) / 1e3 / (time.perf_counter() - began)
    before = meter.energy_mj()
    found = pace(work, device, seconds)
    spent_j = (meter.energy_mj() - before) / 1e3
    inferences = per_call * (found.count + WARM_UPS)
    whole_mj = 1e3 * spent_j / inferences
    own_mj = 1e3 * (spent_j - idle_w * found.seconds) / inferences
    how = f"NVML, {inferences} inferences, {idle_w:.1f} W when it waits"
    return [
        report(f"{name}: energy per inference", round(whole_mj, 4), "mJ", how),
        report(f"{name}: the same less idle", round(own_mj, 4), "mJ", how),
    ]


def inference_rows(device: str, meter: Nvml | None, seconds: float = PART_S) -> list[Row]:
    """Latency of one sample and the rate of a batch, of `vgg-small` in integers."""
    network, inputs = built("vgg-small")
    ready = engine.prepare(network, device)

    def once(count: int) -> Callable[[], object]:
        shown = np.ascontiguousarray(np.tile(inputs, (1, 2, 1, 1, 1))[:, :count])
        return lambda: [layer.last for layer in ready.layers(shown)]

    alone, batch = once(1), once(2 * SAMPLES)
    latency, rate = pace(alone, device, seconds), pace(batch, device, seconds)
    rows = [
        report("vgg-small: latency", round(1e3 / latency.per_second, 3), "ms", "one sample"),
        report("vgg-small: inferences", round(2 * SAMPLES * rate.per_second, 1), "1/s",
               f"{2 * SAMPLES} at once"),
    ]  # fmt: skip
    if meter is None:
        return [*rows, report("vgg-small: energy per inference", None, "mJ", "no NVML here")]
    for name, count, work in (("one sample", 1, alone), ("a batch", 2 * SAMPLES, batch)):
        rows += energy_rows(f"vgg-small, {name}", count, work, device, meter, seconds)
    return rows


def nvml() -> Nvml | None:
    """The meter; None where the library, or the counter, is missing."""
    try:
        meter = Nvml()
        meter.energy_mj()
    except (OSError, AttributeError):
        return None
    return meter


def rows(device: str, seconds: float = PART_S) -> list[Row]:
    """Everything."""
    with torch.inference_mode():
        found = [equality_row(name, device) for name in NETWORKS]
        found += inference_rows(device, nvml(), seconds)
    return found + [training_row(side, device, seconds) for side in SIDES]


def main() -> int:
    if not torch.cuda.is_available():
        print("no CUDA device: nothing is measured", file=sys.stderr)
        return 2
    write("gpu", "make bench-gpu", rows("cuda"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
