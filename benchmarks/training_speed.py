"""Training speed: our iteration beside snnTorch's loop and SpikingJelly's multi-step mode.

    python -m benchmarks.training_speed [MODEL ...]

All sides do one full update (forward, loss, backward, Adam) of TSSD with T_s = 4, T_t = 6 of the
same network on a batch of 28 x 28 images, in the same process, taking turns, on one thread; CPU
seconds, the least of some repeats. All of them spend the same time in torch's convolutions and
matrix products, so their share of our update is reported too: 1 / share is what is left to win.
Peak memory is that of two updates in a process of their own, above what it held before. Also here:
heads cost nothing once a network is stripped.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import Row, at_least, at_most, cpu_seconds, report, write
from benchmarks.training_peers import MultiStep, Stepwise
from tssd.train.config import Method, ReadoutLogit, TrainConfig
from tssd.train.handover.costs import costs
from tssd.train.loop.memory import keep_freed_pages
from tssd.train.losses.distill import losses
from tssd.train.networks.models import WEAK, build_stages
from tssd.train.networks.network import READOUT, SpikingNet, Unrolling, scale_to_unit_current
from tssd.train.networks.strip import strip

SHAPE, CLASSES = (1, 28, 28), 10
GOALS = {"tiny": 4.0, "vgg-small": 3.0, "vgg-9": 3.0}  # over snnTorch
OVER_SPIKINGJELLY = 3.0
BATCHES = {"vgg-9": 16}  # it is large; the others have 128
SIDES = ("tssd", "snntorch", "spikingjelly")
TORCH_MAPS = ("aten::mkldnn_convolution", "aten::convolution_backward", "aten::mm", "aten::addmm")


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


def side(name: str, model: str, readout: ReadoutLogit) -> Callable[[], None]:
    """The update of one side."""
    config = TrainConfig(model=model, task_readout=readout)
    batch = BATCHES.get(model, 128)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *SHAPE, generator=generator)
    labels = torch.randint(0, CLASSES, (batch,), generator=generator)
    net = build_stages(config, SHAPE, CLASSES).train()
    scale_to_unit_current(net, images, config.student_steps)
    steps = config.teacher_steps
    if name == "tssd":
        tail = steps - config.student_steps
        run = Unrolling(batch, config.student_steps, tail, readout is not ReadoutLogit.STUDENT)
        return update(lambda: net.run(images, run, (READOUT, WEAK)), net, config, labels)
    peer = Stepwise(net) if name == "snntorch" else MultiStep(net)
    return update(lambda: peer(images, steps), peer, config, labels)


def seconds(works: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """The least CPU seconds of one update of each side."""
    best: dict[str, float] = dict.fromkeys(SIDES, float("inf"))
    for repeat in range(repeats + 1):
        for name, work in works.items():
            spent = cpu_seconds(work)
            if repeat:  # the first round warms up
                best[name] = min(best[name], spent)
    return best


def share_of_maps(work: Callable[[], None]) -> float:
    """The share of an update, in per cent, that torch's convolutions and products take."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    averages = profiler.key_averages()
    maps = sum(e.self_cpu_time_total for e in averages if e.key in TORCH_MAPS)
    return float(100 * maps / sum(e.self_cpu_time_total for e in averages))


def peak_mib(name: str, model: str) -> float:
    """Memory that two updates need above the process's own, in MiB."""
    command = [sys.executable, "-m", "benchmarks.training_speed", "--memory", name, model]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_memory(name: str, model: str) -> float:
    """In this process: the rise of its largest resident size."""
    torch.set_num_threads(1)
    keep_freed_pages()
    work = side(name, model, ReadoutLogit.BOTH)
    before = largest_kib()
    work()
    work()
    return (largest_kib() - before) / 1024


def largest_kib() -> int:
    """The largest resident size of this program; ru_maxrss also counts the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def speed_rows(models: list[str], repeats: int = 5) -> list[Row]:
    """Ratios for each model, with an unsupervised (free) and with a supervised teacher."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_pages()
    found: list[Row] = []
    for model in models:
        how = f"CPU s, 1 thread, batch {BATCHES.get(model, 128)}, T_s 4, T_t 6, TSSD, fp32"
        how += ", same process"
        for readout in (ReadoutLogit.STUDENT, ReadoutLogit.BOTH):
            works = {who: side(who, model, readout) for who in SIDES}
            best = seconds(works, repeats)
            name = f"training {model}, task readout {readout.value}"
            ratios = {peer: best[peer] / best["tssd"] for peer in SIDES[1:]}
            found.append(
                at_least(f"{name}: over snnTorch loop", ratios["snntorch"], GOALS[model], "x", how)
            )
            goal = OVER_SPIKINGJELLY
            found.append(
                at_least(f"{name}: over SpikingJelly", ratios["spikingjelly"], goal, "x", how)
            )
            found += [report(f"{name}: {who}", 1000 * best[who], "ms", how) for who in SIDES]
            share = share_of_maps(works["tssd"])
            found.append(report(f"{name}: torch's convolutions and products", share, "%", how))
    torch.set_num_threads(before)
    return found


def memory_rows(models: list[str]) -> list[Row]:
    """Our peak memory beside the peers'."""
    found: list[Row] = []
    for model in models:
        peaks = {name: peak_mib(name, model) for name in SIDES}
        how = f"two updates in a process of their own, batch {BATCHES.get(model, 128)}, fp32"
        how += f"; snnTorch {peaks['snntorch']:.0f}, SpikingJelly {peaks['spikingjelly']:.0f}"
        found.append(
            at_most(
                f"training {model}: peak memory", peaks["tssd"], peaks["spikingjelly"], "MiB", how
            )
        )
    return found


def without_heads(net: SpikingNet, config: TrainConfig) -> SpikingNet:
    """A network built without heads that has the same weights."""
    plain = build_stages(
        TrainConfig(model=config.model, method=Method.CE), net.input_shape, CLASSES
    ).eval()
    weights = net.state_dict()
    plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
    return plain


def head_rows(models: list[str]) -> list[Row]:
    """Synaptic operations of the stripped network minus those of one built without heads."""
    images = np.random.default_rng(0).integers(0, 256, (16, *SHAPE), np.uint8)
    found: list[Row] = []
    for model in models:
        config = TrainConfig(model=model)
        net = build_stages(config, SHAPE, CLASSES).eval()
        scale_to_unit_current(net, torch.from_numpy(images).float() / 255, 4)
        counts = [
            round(16 * costs(strip(candidate, images, 4), images).total_synops)
            for candidate in (net, without_heads(net, config))
        ]
        name = f"heads of {model}: synaptic operations added after stripping"
        extra = counts[0] - counts[1]
        how = f"16 images, of {counts[1]} synaptic operations"
        found.append(Row(name, extra, "synops", "== 0", extra == 0, how))
    return found


def rows(models: list[str]) -> list[Row]:
    return speed_rows(models) + memory_rows(models) + head_rows(models)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        print(measure_memory(*sys.argv[2:4]))
    else:
        write("training_speed", "make bench-train", rows(sys.argv[1:] or list(GOALS)))
