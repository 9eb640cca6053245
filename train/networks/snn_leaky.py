"""``ExactLeaky``: a snnTorch neuron whose recurrence is exactly that of ``neuron.py``.

It wraps ``snntorch.Leaky`` with ``reset_mechanism="none"`` and resets the membrane itself, in the
same step. snnTorch's ``subtract`` resets one step late and its spike is strict (>); the surrogate
given here makes it inclusive (>=). Use it step by step in your own modules.
"""

import snntorch
from torch import Tensor, nn

from tssd.train.networks.neuron import NeuronModel, reset_membrane, spike


class ExactLeaky(nn.Module):
    """One step of the recurrence for any shape; ``init()`` gives the first membrane."""

    def __init__(self, model: NeuronModel | None = None) -> None:
        super().__init__()
        self.model = model or NeuronModel()
        self.leaky = snntorch.Leaky(
            beta=self.model.decay,
            threshold=self.model.threshold,
            spike_grad=lambda distance: spike(distance, self.model),
            reset_mechanism="none",
        )

    def init(self, like: Tensor) -> Tensor:
        return like.new_zeros(like.shape)

    def forward(self, current: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        """(spikes, membrane after the reset), shapes of *current*."""
        spikes, integrated = self.leaky(current, membrane)
        return spikes, reset_membrane(integrated, spikes, self.model)
