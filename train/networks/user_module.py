"""Any user's snnTorch module, trained step by step through its own neurons.

``--model pkg.module:build`` names a function without arguments that returns a torch module for one
time step: images (B, C, H, W) in, logits or spikes (B, classes) out, neurons of snnTorch with
``init_hidden=True``. A weak classifier is a submodule in ``WeakHead`` (what it returns is its
logits), or any further output of forward; what the first output does not depend on is left behind
when the network is exported. The mean of the first output over the steps is the logit.

Layer-by-layer kernels need to know a network's layers, so this is the plain loop over the steps,
several times slower than a built-in network. The neuron's options of the configuration do not
apply: the module has its own.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from tssd.config import unknown_name
from tssd.errors import ConfigError, Foreign, NetworkError
from tssd.train.named import import_named
from tssd.train.networks.network import READOUT, Unrolled, Unrolling
from tssd.train.recording.watch import authors_errors

OWN_LOOP = (
    "forward as one time step, states inside (init_hidden=True); a module with its own loop or "
    "encoder is trained by its own script and deployed with tssd export --model"
)


class WeakHead(nn.Module):
    """Marks *body* as a weak classifier: trained with the network, left behind at export."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(x)
        return logits


def build_module(model: str) -> nn.Module:
    """What the function that *model* (``pkg.module:build``) names returns."""
    where = f"training: model {model!r}"
    try:
        module, function = import_named(model)
    except ImportError as error:
        raise ConfigError(
            where, found=str(error), allowed="an importable pkg.module:build"
        ) from None
    if not hasattr(module, function):
        functions = [name for name, value in vars(module).items() if callable(value)]
        raise unknown_name(
            where, f"function {function!r} of {module.__name__}", function, functions
        )
    with Foreign(lambda error: _raised(where, error)):
        built = getattr(module, function)()
    if not isinstance(built, nn.Module):
        raise ConfigError(where, found=type(built).__name__, allowed="a torch.nn.Module")
    return built


def _raised(where: str, error: BaseException) -> ConfigError:
    reason = (str(error).splitlines() or [""])[0]
    return ConfigError(where, found=f"raised by your module: {type(error).__name__}: {reason}")


class UserNet(Unrolled):
    """A user's module, run step by step: its first output is the readout."""

    def __init__(self, module: nn.Module, input_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.input_shape, self.classes = input_shape, classes
        self.module = module
        self.outputs = self._outputs()

    def wake(self, images: Tensor, steps: int) -> None:
        """Its weights are its author's."""

    @property
    def readouts(self) -> list[str]:
        return self.outputs

    def run_with_rates(
        self, images: Tensor, run: Unrolling, outputs: Sequence[str] = (READOUT,)
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        steps = run.head + run.tail
        found: dict[str, list[Tensor]] = {name: [] for name in outputs}
        rates: dict[str, list[Tensor]] = {}
        self._reset()
        for t in range(steps):
            if run.restart and t == run.head:
                self._reset()
            tail = t >= run.head
            image = images[t] if images.dim() == 5 else images
            with run.tail_context() if tail else nullcontext(), run.cast(images.device.type):
                logits, fired = self._step(image)
            for name in outputs:
                found[name].append(logits[name].float())
            if not tail:
                for name, spikes in fired.items():
                    rates.setdefault(name, []).append(spikes.mean())
        self._reset()  # leaves no graph behind
        means = {name: torch.stack(values).mean() for name, values in rates.items()}
        return {name: torch.stack(values) for name, values in found.items()}, means

    def _step(self, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One time step: the logits of every output, the spikes of every neuron layer."""
        heads: dict[str, Tensor] = {}
        spikes: dict[str, Tensor] = {}
        hooks = []
        for path, module in self.module.named_modules():
            kept = heads if isinstance(module, WeakHead) else spikes
            if isinstance(module, WeakHead | snntorch.SpikingNeuron):
                hooks.append(module.register_forward_hook(_keep(kept, path)))
        try:
            returned = self.module(images)
        finally:
            for hook in hooks:
                hook.remove()
        first, *others = returned if isinstance(returned, tuple | list) else (returned,)
        further = {f"output{index + 1}": value for index, value in enumerate(others)}
        return {READOUT: first, **heads, **further}, spikes

    def _reset(self) -> None:
        """Every membrane at rest."""
        neurons: list[Any] = list(self.module.modules())
        for neuron in neurons:
            if isinstance(neuron, snntorch.SpikingNeuron):
                neuron.reset_mem()

    def _outputs(self) -> list[str]:
        """The names of the outputs, from one silent step; each must be (B, classes)."""
        self._check_neurons()
        was_training = self.training
        self.eval()
        with torch.no_grad(), authors_errors():
            logits, _ = self._step(torch.zeros((2, *self.input_shape)))
        self.train(was_training)
        self._reset()
        for name, value in logits.items():
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            if shape != (2, self.classes):
                raise NetworkError(
                    f"module {name}",
                    found=f"an output {shape} for a batch of 2",
                    allowed=f"(2, {self.classes}), of one time step",
                    hint=OWN_LOOP,
                )
        return list(logits)

    def _check_neurons(self) -> None:
        neurons = 0
        for path, module in self.module.named_modules():
            if isinstance(module, snntorch.SpikingNeuron):
                neurons += 1
                if not getattr(module, "init_hidden", False):
                    raise NetworkError(
                        f"module {path}",
                        found=f"{type(module).__name__} without a state of its own",
                        allowed="init_hidden=True",
                        hint=OWN_LOOP,
                    )
        if not neurons:
            raise NetworkError("module", found="no spiking neuron", allowed="snntorch neurons")


class _keep:
    """A forward hook that keeps a module's (first) output under its path."""

    def __init__(self, kept: dict[str, Tensor], path: str) -> None:
        self.kept, self.path = kept, path

    def __call__(self, module: nn.Module, inputs: object, output: object) -> None:
        value = output[0] if isinstance(output, tuple) else output
        if isinstance(value, Tensor):
            self.kept[self.path] = value
