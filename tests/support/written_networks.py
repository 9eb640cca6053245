"""snnTorch networks in the forms in which people write them, small: `WRITTEN` by name.

Each has the samples that it takes, and either deploys (its neurons fire as the FloatNetwork's do)
or is refused in words that a user can act on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import snntorch as snn
import torch
from snntorch.functional import quant
from torch import Tensor, nn
from written_modules import (
    STEPS,
    Agent,
    AllSteps,
    Attributes,
    BatchFirst,
    BothLayers,
    Encoding,
    Filled,
    Gesture,
    Handed,
    Listed,
    Looping,
    PoolFunctions,
    Recurrent,
    RecurrentLoop,
    Regression,
    ResNet,
    SignConv,
    SignLinear,
    SpikesAdded,
    TimeFirst,
    held,
)


@dataclass(frozen=True)
class Written:
    """One network: samples (N, *shape), or frames where ``frames``; the choices a user makes;
    ``refusal``: a part of the message, None where it deploys; ``kind``: for the table."""

    kind: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    frames: bool = False
    refusal: str | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    swaps: bool = False  # deploys with its maximum pools swapped

    @property
    def samples(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return (STEPS, *self.shape) if self.frames else self.shape


def quantised() -> nn.Module:
    grid = quant.state_quant(num_bits=6, uniform=True, threshold=1.0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 10), held(state_quant=grid))


def conv_pool() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.MaxPool2d(2),
        held(),
        nn.Flatten(),
        nn.Linear(16, 10),
        held(output=True),
    )


def events() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        held(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 10),
        held(output=True),
    )


def averaged() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(4),
        held(),
        nn.Conv2d(4, 6, 2),
        held(),
        nn.Flatten(),
        nn.Linear(24, 10),
        held(output=True),
    )


def one_bit() -> nn.Module:
    return nn.Sequential(
        SignConv(1, 4, 3, padding="same", bias=False),
        nn.BatchNorm2d(4),
        held(threshold=1.5),
        nn.AvgPool2d(2),
        nn.Flatten(),
        SignLinear(36, 10),
        held(threshold=3.0, output=True),
    )


def line() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(6, 8, 5, stride=2, padding=2),
        held(),
        nn.Conv1d(8, 8, 3, stride=2, padding=1),
        held(),
        nn.Flatten(),
        nn.Linear(64, 6),
        held(output=True),
    )


def widened() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1),
        held(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(3, 2, 3, padding=1),
        held(),
    )


def flat(cell: Callable[..., nn.Module], **options: Any) -> Callable[[], nn.Module]:
    """Linear, the neuron, Linear, a Leaky."""
    return lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(36, 20),
        cell(init_hidden=True, **options),
        nn.Linear(20, 10),
        held(),
    )


IMAGE = (1, 6, 6)
WRITTEN: dict[str, Written] = {
    "loop inside, two records": Written("loop", Looping, (36,)),
    "loop inside, flatten, learned beta": Written("loop", lambda: Looping(torch.rand(10)), IMAGE),
    "trains, time first": Written("frames", TimeFirst, (36,), frames=True),
    "trains, samples first, counted": Written("frames", BatchFirst, (36,), frames=True),
    "encoder inside": Written("encoder", Encoding, (36,)),
    "buffers filled, mean": Written("loop", Filled, (36,)),
    "states as attributes": Written("one step", Attributes, (36,)),
    "states as arguments": Written("one step", Handed, (36,)),
    "state=None, linear head": Written("one step", Agent, (8,)),
    "membrane regression": Written("frames", Regression, (1,), frames=True),
    "recurrent layers": Written("recurrent", Recurrent, IMAGE),
    "recurrent layers in a loop": Written("recurrent", RecurrentLoop, IMAGE),
    "RSynaptic": Written("recurrent", lambda: Recurrent(snn.RSynaptic, alpha=0.6), IMAGE),
    "weights of one bit": Written("convolution", one_bit, IMAGE),
    "residual blocks": Written("convolution", ResNet, (3, 8, 8)),
    "spikes added, bias behind": Written("convolution", SpikesAdded, (2, 6, 6)),
    "average pool, then norm": Written("convolution", averaged, (1, 8, 8)),
    "functions and a view": Written("convolution", PoolFunctions, IMAGE),
    "convolution over a line": Written("convolution", line, (6, 32)),
    "nearest upsampling": Written("convolution", widened, IMAGE),
    "pool behind the neuron": Written("convolution", events, (2, 8, 8), frames=True),
    "ModuleList": Written("one step", Listed, IMAGE),
    "Lapicque": Written("neuron", flat(snn.Lapicque, R=1, C=5, time_step=1), IMAGE),
    "Synaptic": Written("neuron", flat(snn.Synaptic, alpha=0.7, beta=0.8), IMAGE),
    "population code": Written(
        "output",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 20), held(), nn.Linear(20, 50), held()),
        IMAGE,
        choices={"groups": 10},
    ),
    "both layers returned": Written(
        "output", BothLayers, IMAGE, refusal="several that can be meant"
    ),
    "both layers returned, asked": Written(
        "output", BothLayers, IMAGE, choices={"output": "output[1]"}
    ),
    "pool in front of the neuron": Written(
        "convolution", conv_pool, IMAGE, refusal="maximum pool of currents", swaps=True
    ),
    "pools in front, event frames": Written(
        "convolution",
        Gesture,
        (2, 8, 8),
        frames=True,
        refusal="maximum pool of currents",
        swaps=True,
    ),
    "LayerNorm": Written(
        "neuron",
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 20), nn.LayerNorm(20), held()),
        IMAGE,
        refusal="module 2: found LayerNorm",
    ),
    "Alpha": Written("neuron", flat(snn.Alpha, alpha=0.9, beta=0.8), IMAGE, refusal="Alpha"),
    "state_quant": Written("neuron", quantised, IMAGE, refusal="module 2: found state_quant"),
    "sigma-delta": Written(
        "neuron", flat(snn.DeltaLeaky, beta=0.9), IMAGE, refusal="raised by your module: TypeError"
    ),
    "StateLeaky": Written(
        "neuron",
        lambda: nn.Sequential(nn.Linear(36, 20), snn.StateLeaky(beta=0.9, channels=20)),
        (36,),
        refusal="raised by your module: ValueError",
    ),
    "LeakyParallel": Written("neuron", AllSteps, (36,), frames=True, refusal="LeakyParallel"),
}


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """*module* in inference mode, with weights under which its neurons fire."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_var is not None:
                assert part.running_mean is not None
                part.running_mean.normal_(0, 0.2, generator=generator)
                part.running_var.uniform_(0.2, 0.8, generator=generator)
        for parameter in module.parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, 3.5 * fan_in**-0.5, generator=generator)
    return module.eval()


def by_hand(
    written: Written, module: nn.Module, samples: Tensor, seed: int = 0
) -> dict[str, float]:
    """Spikes of every neuron layer, counted by hooks in a run as its author would do it."""
    counted: dict[str, float] = {}

    def count(path: str) -> Callable[..., None]:
        def hook(_: nn.Module, given: Any, sent: Any) -> None:
            spikes = sent[0] if isinstance(sent, tuple) else sent
            counted[path] = counted.get(path, 0.0) + float((spikes != 0).sum())

        return hook

    hooks = [
        part.register_forward_hook(count(path))
        for path, part in module.named_modules()
        if isinstance(part, snn.SpikingNeuron)
    ]
    for part in module.modules():
        if isinstance(part, snn.SpikingNeuron):
            reset: Any = part.reset_mem
            reset()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _as_its_author(written, module, samples)
    for hook in hooks:
        hook.remove()
    return counted


def _as_its_author(written: Written, module: nn.Module, samples: Tensor) -> None:
    looping = isinstance(module, Looping) and not isinstance(module, BothLayers)
    if isinstance(module, TimeFirst | Regression):
        module(samples.transpose(0, 1))
    elif looping or isinstance(module, RecurrentLoop):
        module(samples)
    elif written.frames:
        for t in range(STEPS):
            module(samples[:, t])
    elif isinstance(module, Handed):
        states = [torch.zeros(len(samples), n) for n in (24, 24, 10, 10)]
        for _ in range(STEPS):
            _, *states = module(samples, *states)
    elif isinstance(module, Agent):
        state = None
        for _ in range(STEPS):
            _, state = module(samples, state)
    else:
        for _ in range(STEPS):
            module(samples)
