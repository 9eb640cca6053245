"""Unusual but legal ways to write a step, a loop or an output: `ODD` by name.

``forward`` is a function of the module and its samples, so that each case is a few lines.
"""

import torch
from odd_parts import (
    STEPS,
    Made,
    Masked,
    Odd,
    OwnName,
    OwnThreshold,
    behind_a_convolution,
    cell,
    channels_last,
    convolved_at_once,
    dense,
    drawn_in_each_call,
    free,
    hooked,
    images,
    in_place,
    in_windows,
    late_second_layer,
    latency_code,
    layers_that_feed_back,
    less,
    lowers_the_membrane,
    masked,
    membrane_of_the_cell,
    membrane_passed_on,
    normed,
    one,
    over_last_axis,
    own_rate_code,
    own_recurrence,
    own_trains,
    shuffled_and_cut,
    two_branches,
    two_populations,
)
from torch import nn

IMAGE = (1, 8, 8)
TWO = (2, 6, 6)
ODD: dict[str, Odd] = {
    "convolution of all frames at once": Odd(
        lambda: Made(
            convolved_at_once,
            conv=nn.Conv2d(2, 4, 3, padding=1),
            cell=free(),
            head=nn.Linear(144, 5),
        ),
        TWO,
        frames=True,
    ),
    "sum of membranes": Odd(one(lambda s, m: torch.stack(m).sum(0))),
    "mean of membranes": Odd(one(lambda s, m: sum(m) / STEPS)),
    "last membrane": Odd(one(lambda s, m: m[-1])),
    "last spikes": Odd(one(lambda s, m: s[-1])),
    "spikes, samples first": Odd(one(lambda s, m: torch.stack(s, dim=1))),
    "softmax of the mean": Odd(one(lambda s, m: torch.stack(s).mean(0).softmax(-1))),
    "spikes of some steps": Odd(one(lambda s, m: sum(s[2:])), refusal="some of the steps"),
    "weighted steps": Odd(
        one(lambda s, m: sum((t + 1) * x for t, x in enumerate(s))), refusal="steps 1 and 2 differ"
    ),
    "first spikes": Odd(one(lambda s, m: s[0]), refusal="some of the steps"),
    "named outputs": Odd(
        one(lambda s, m: {"membranes": torch.stack(m), "spikes": torch.stack(s)}),
        refusal=r"--output output\[spikes\]",
    ),
    "named output, asked": Odd(
        one(lambda s, m: {"membranes": torch.stack(m), "spikes": torch.stack(s)}),
        choices={"output": "output[membranes]"},
    ),
    "recurrence by hand": Odd(
        lambda: Made(own_recurrence, into=nn.Linear(36, 10), back=nn.Linear(10, 10), cell=free())
    ),
    "a layer a step late": Odd(
        lambda: Made(
            late_second_layer, first=nn.Linear(36, 12), second=nn.Linear(12, 10), a=free(), b=free()
        )
    ),
    "feedback between layers": Odd(
        lambda: Made(
            layers_that_feed_back,
            first=nn.Linear(36, 12),
            second=nn.Linear(12, 10),
            back=nn.Linear(10, 12),
            a=free(),
            b=free(),
        ),
        refusal="module a: found spikes of b that come back a step later",
    ),
    "rate code by hand, per step": Odd(
        lambda: Made(own_rate_code, into=nn.Linear(36, 10), cell=free())
    ),
    "rate code by hand, at once": Odd(
        lambda: Made(own_trains, into=nn.Linear(36, 10), cell=free())
    ),
    "steps in the last axis": Odd(
        lambda: Made(over_last_axis, into=nn.Linear(5, 10), cell=free()), (5, STEPS)
    ),
    "windows of a sample, a list returned": Odd(
        lambda: Made(in_windows, into=nn.Linear(6, 10), cell=free()), (36,)
    ),
    "rate code in every call": Odd(
        lambda: Made(drawn_in_each_call, into=nn.Linear(36, 10), cell=cell())
    ),
    "constants with an axis of samples": Odd(
        lambda: dense(
            cell(beta=torch.full((1, 12), 0.7), threshold=torch.linspace(0.2, 1, 12)[None])
        )
    ),
    "latency code": Odd(lambda: Made(latency_code, into=nn.Linear(36, 10), cell=free())),
    "two branches, one norm": Odd(
        lambda: Made(
            two_branches,
            wide=nn.Conv2d(2, 3, 3, padding=1),
            narrow=nn.Conv2d(2, 3, 1),
            norm=nn.BatchNorm2d(6),
            cell=cell(),
            each=nn.Conv2d(6, 6, 3, groups=6, padding=1),
            head=nn.Linear(216, 5),
            answer=cell(),
        ),
        TWO,
    ),
    "spikes of two layers side by side": Odd(
        lambda: Made(
            two_populations,
            conv1=nn.Conv2d(2, 3, 3, padding=1),
            conv2=nn.Conv2d(3, 4, 3, padding=1),
            head=nn.Linear(252, 5),
            a=cell(),
            b=cell(),
            answer=cell(),
        ),
        TWO,
    ),
    "written in place": Odd(
        lambda: Made(
            in_place,
            first=nn.Linear(36, 12),
            head=nn.Linear(12, 5),
            a=cell(),
            b=cell(),
            answer=cell(),
        )
    ),
    "channels last, flattened": Odd(
        lambda: behind_a_convolution(channels_last, 144),
        IMAGE,
    ),
    "pixels shuffled and cut": Odd(
        lambda: behind_a_convolution(shuffled_and_cut, 60),
        IMAGE,
    ),
    "two convolutions": Odd(
        lambda: images(
            nn.Conv2d(1, 4, 3),
            nn.Conv2d(4, 6, 3, stride=2),
            cell(),
            nn.Flatten(),
            nn.Linear(24, 5),
            cell(),
        ),
        IMAGE,
    ),
    "two padded convolutions": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.Conv2d(3, 3, 3, padding=1),
            cell(),
            nn.Conv2d(3, 2, 3),
            cell(),
        ),
        IMAGE,
    ),
    "transposed convolution": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            cell(),
            nn.ConvTranspose2d(3, 2, 2, stride=2),
            cell(),
        ),
        IMAGE,
    ),
    "padding on one side, even kernel": Odd(
        lambda: images(
            nn.ZeroPad2d((1, 2, 0, 1)),
            nn.Conv2d(1, 3, 2),
            cell(),
            nn.Flatten(),
            nn.Linear(240, 5),
            cell(),
        ),
        IMAGE,
    ),
    "mirrored borders": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3, padding=1, padding_mode="reflect"),
            cell(),
            nn.Conv2d(3, 2, 3),
            cell(),
        ),
        IMAGE,
    ),
    "overlapping maximum pool with padding": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3), cell(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 2, 3, padding=1), cell()
        ),
        IMAGE,
    ),
    "maximum pool that sticks out": Odd(
        lambda: images(nn.Conv2d(1, 3, 2), cell(), nn.MaxPool2d(2, ceil_mode=True), cell()),
        IMAGE,
        refusal="module 2: .*ceil_mode",
    ),
    "maximum pool over a line": Odd(
        lambda: images(
            nn.Conv1d(3, 4, 3), cell(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(28, 5), cell()
        ),
        (3, 16),
    ),
    "average pool that sticks out": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 2),
            cell(),
            nn.AvgPool2d(2, padding=1, ceil_mode=True, count_include_pad=False),
            nn.Flatten(),
            nn.Linear(48, 5),
            cell(),
        ),
        IMAGE,
    ),
    "graded spikes through a maximum": Odd(
        lambda: images(
            nn.Conv2d(1, 3, 3),
            cell(graded_spikes_factor=2.5),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(27, 5),
            cell(),
        ),
        IMAGE,
    ),
    "graded spikes, a factor each": Odd(
        lambda: dense(cell(graded_spikes_factor=torch.linspace(0.2, 2, 12)))
    ),
    "weight norm": Odd(normed),
    "a hook behind a neuron": Odd(hooked(less)),
    "a hook that lowers a membrane": Odd(
        hooked(lowers_the_membrane), refusal="module 1: found your code changes mem"
    ),
    "a subclass by name": Odd(
        lambda: dense(OwnName(beta=0.8, threshold=0.4, init_hidden=True)),
    ),
    "a subclass with another rule": Odd(
        lambda: dense(OwnThreshold(beta=0.8, threshold=0.4, init_hidden=True)),
        refusal="module 1: found OwnThreshold, a Leaky with a step of its own",
    ),
    "the neuron's own membrane": Odd(
        lambda: Made(
            membrane_of_the_cell,
            into=nn.Linear(36, 12),
            cell=cell(),
            head=nn.Linear(12, 4),
            meter=cell(reset_mechanism="none"),
        )
    ),
    "a membrane into a layer": Odd(
        lambda: Made(
            membrane_passed_on,
            into=nn.Linear(36, 12),
            cell=cell(output=True),
            head=nn.Linear(12, 4),
            answer=cell(),
        ),
        refusal="module answer: found the membrane of cell that enters a layer",
    ),
    "an optional argument that is no state": Odd(
        lambda: Masked(masked, into=nn.Linear(36, 10), cell=cell(output=True))
    ),
    "a function of the samples in front": Odd(
        lambda: nn.Sequential(nn.Hardtanh(0.2, 0.7), *dense()),
    ),
    "relu between": Odd(
        lambda: nn.Sequential(nn.Linear(36, 12), nn.ReLU(), cell()), refusal="module 1: .*relu"
    ),
    "norm of the batch itself": Odd(
        lambda: nn.Sequential(
            nn.Linear(36, 12), nn.BatchNorm1d(12, track_running_stats=False), cell()
        ),
        refusal="module 1: .*statistics of the samples themselves",
    ),
    "inhibition": Odd(lambda: dense(cell(inhibition=True)), refusal="module 1: found inhibition"),
    "softmax in every step": Odd(
        lambda: nn.Sequential(*dense(), nn.Softmax(-1)), refusal="a softmax in every step"
    ),
    "an LSTM in front": Odd(
        lambda: Made(
            lambda net, x: net.cell(net.into(net.lstm(x)[0][-1])),
            lstm=nn.LSTM(4, 6),
            into=nn.Linear(6, 5),
            cell=cell(),
        ),
        (4,),
        frames=True,
        refusal="module|forward",
    ),
}
