"""Training speed: our iteration beside a straight snnTorch loop of the same network.

    python -m benchmarks.training_speed

Both sides do one full update (forward, loss, backward, Adam) of TSSD with T_s = 4, T_t = 6 on a
batch of 128 images of 28 x 28, in the same process, taking turns, on one thread; CPU seconds, the
least of some repeats. The straight loop is what snnTorch's tutorials write: for each step, all
layers, ``snntorch.Leaky`` after each. Its neuron resets one step late (snnTorch's default), which
costs it nothing. Also here: the heads of a network cost nothing once it is stripped.
"""

from collections.abc import Callable

import numpy as np
import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from benchmarks.harness import Row, at_least, cpu_seconds, report, write
from tssd.train.config import Method, Readout, TrainConfig
from tssd.train.data import ByteArray
from tssd.train.distill import losses
from tssd.train.float_network import FloatNetwork
from tssd.train.float_run import run as float_run
from tssd.train.models import WEAK, build
from tssd.train.network import READOUT, Link, Run, SpikingNet, scale_to_unit_current
from tssd.train.strip import strip

BATCH, SHAPE, CLASSES = 128, (1, 28, 28), 10
GOALS = {"tiny": 4.0, "vgg-small": 3.0}


class Stepwise(nn.Module):
    """The same layers as a SpikingNet, in a straight snnTorch loop over the steps."""

    def __init__(self, net: SpikingNet) -> None:
        super().__init__()
        boxcar = surrogate.custom_surrogate(lambda x, g, s: g * (x.abs() < 0.5).float())
        self.order = [(spec.name, spec.spiking, spec.pool) for spec in net.specs]
        self.sources: dict[str, tuple[str, int]] = {}
        self.weights: dict[str, nn.Module] = {}
        self.norms: dict[str, nn.Module] = {}
        self.neurons = nn.ModuleDict()
        for spec in net.specs:
            link = net.stage(spec.name).links[0]
            if not isinstance(link, Link):
                raise TypeError(spec.name)
            self.sources[spec.name] = (link.source, link.pool)
            self.weights[spec.name] = link.weights
            if link.norm is not None:
                self.norms[spec.name] = link.norm
            if spec.spiking:
                self.neurons[spec.name] = snntorch.Leaky(beta=0.5, threshold=1.0, spike_grad=boxcar)

    def forward(self, images: Tensor, steps: int) -> dict[str, Tensor]:
        membranes = {name: images.new_zeros(1) for name in self.neurons}
        record: dict[str, list[Tensor]] = {READOUT: [], WEAK: []}
        for _ in range(steps):
            emitted = {"input": images}
            for name, spiking, pool in self.order:
                x = self._drive(name, emitted)
                if not spiking:
                    record[name].append(x)
                    continue
                spikes, membranes[name] = self.neurons[name](x, membranes[name])
                emitted[name] = nn.functional.avg_pool2d(spikes, pool) if pool > 1 else spikes
        return {name: torch.stack(outputs) for name, outputs in record.items()}

    def _drive(self, name: str, emitted: dict[str, Tensor]) -> Tensor:
        source, pool = self.sources[name]
        x = emitted[source]
        x = nn.functional.avg_pool2d(x, pool) if pool > 1 else x
        weights = self.weights[name]
        driven: Tensor = weights(x.flatten(1) if isinstance(weights, nn.Linear) else x)
        return self.norms[name](driven) if name in self.norms else driven


def update(
    logits_of: Callable[[], dict[str, Tensor]],
    module: nn.Module,
    config: TrainConfig,
    labels: Tensor,
) -> Callable[[], None]:
    """One training iteration as a function without arguments."""
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)

    def work() -> None:
        logits = logits_of()
        terms = losses(logits[READOUT], logits[WEAK], labels, config.student_steps, config)
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return work


def seconds(model: str, readout: Readout, repeats: int) -> tuple[float, float]:
    """(ours, straight loop): the least CPU seconds of one update."""
    config = TrainConfig(model=model, task_readout=readout)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(BATCH, *SHAPE, generator=generator)
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    ours, theirs = (build(config, SHAPE, CLASSES).train() for _ in range(2))
    for net in (ours, theirs):
        scale_to_unit_current(net, images, config.student_steps)
    stepwise = Stepwise(theirs.to(memory_format=torch.contiguous_format))  # type: ignore[call-overload]
    steps = config.teacher_steps
    tail = steps - config.student_steps
    run = Run(BATCH, config.student_steps, tail, readout is not Readout.STUDENT)
    works = (
        update(lambda: ours.run(images, run, (READOUT, WEAK)), ours, config, labels),
        update(lambda: stepwise(images, steps), theirs, config, labels),
    )
    best = [float("inf")] * 2
    for repeat in range(repeats + 1):
        for side, work in enumerate(works):
            spent = cpu_seconds(work)
            if repeat:  # the first round warms up
                best[side] = min(best[side], spent)
    return best[0], best[1]


def speed_rows(repeats: int = 5) -> list[Row]:
    """The ratio for each model, with an unsupervised (free) and with a supervised teacher."""
    how = f"CPU s, 1 thread, batch {BATCH}, T_s 4, T_t 6, TSSD, fp32, same process"
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    found: list[Row] = []
    for model, goal in GOALS.items():
        for readout in (Readout.STUDENT, Readout.BOTH):
            ours, theirs = seconds(model, readout, repeats)
            name = f"training {model}, task readout {readout.value}"
            found.append(at_least(f"{name}: over snnTorch loop", theirs / ours, goal, "x", how))
            found.append(report(f"{name}: ours", 1000 * ours, "ms", how))
            found.append(report(f"{name}: snnTorch loop", 1000 * theirs, "ms", how))
    torch.set_num_threads(before)
    return found


def synaptic_operations(network: FloatNetwork, images: ByteArray) -> int:
    """Spikes times the synapses they reach, summed over dense and unpadded convolution links."""
    activity = float_run(network, images)
    total = 0
    for link in network.projections:
        kernel = int(np.prod(link.weight.shape[2:])) if link.weight.ndim == 4 else 1
        total += activity.spike_total(link.source) * link.weight.shape[0] * kernel
    return total


def without_heads(net: SpikingNet, config: TrainConfig) -> SpikingNet:
    """A network built without heads that has the same weights."""
    plain = build(
        TrainConfig(model=config.model, method=Method.CE), net.input_shape, CLASSES
    ).eval()
    weights = net.state_dict()
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    return plain


def head_rows() -> list[Row]:
    """Synaptic operations of the stripped network minus those of one built without heads."""
    images = np.random.default_rng(0).integers(0, 256, (16, *SHAPE), np.uint8)
    found: list[Row] = []
    for model in GOALS:
        config = TrainConfig(model=model)
        net = build(config, SHAPE, CLASSES).eval()
        scale_to_unit_current(net, torch.from_numpy(images).float() / 255, 4)
        counts = [
            synaptic_operations(strip(candidate, images, 4), images)
            for candidate in (net, without_heads(net, config))
        ]
        name = f"heads of {model}: synaptic operations added after stripping"
        extra = counts[0] - counts[1]
        how = f"16 images, of {counts[1]} synaptic operations"
        found.append(Row(name, extra, "synops", "== 0", extra == 0, how))
    return found


def rows() -> list[Row]:
    return speed_rows() + head_rows()


if __name__ == "__main__":
    write("training_speed", "python -m benchmarks.training_speed", rows())
