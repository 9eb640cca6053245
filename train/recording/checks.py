"""What a module has to be before it is run and recorded."""

import torch
from torch import nn

from tssd.errors import NetworkError
from tssd.train.recording.tape.neurons import is_neuron


def check_module(module: nn.Module) -> None:
    if any(part.training for part in module.modules() if not is_neuron(part)):
        raise NetworkError(
            "module",
            found="training mode",
            allowed="inference mode",
            hint="call module.eval() first",
        )
    _check_code(module)
    _check_finite(module)
    if any(p.device.type != "cpu" for p in module.parameters()):
        raise NetworkError(
            "module",
            found="weights on another device",
            allowed="weights on the CPU",
            hint="call module.cpu() first",
        )
    if not any(is_neuron(part) for part in module.modules()):
        raise NetworkError(
            "module",
            found="no spiking neuron",
            allowed="neurons of snntorch in the module",
            hint="nn.ModuleList instead of a plain list; neurons are made in __init__",
        )


def _check_code(module: nn.Module) -> None:
    """Refuse modules whose code does not run operation by operation in Python."""
    for path, part in module.named_modules():
        where = f"module {path}" if path else "module"
        if isinstance(part, torch.jit.ScriptModule):
            raise NetworkError(
                where,
                found="TorchScript, whose code does not run in Python",
                allowed="the module itself",
                hint="give it as it was before torch.jit.script or torch.jit.trace",
            )
        if type(part).__name__ == "OptimizedModule":
            raise NetworkError(
                where,
                found="a module behind torch.compile",
                allowed="the module itself",
                hint="give it as it was before torch.compile: _orig_mod of what that returned",
            )
        if getattr(part, "padding_mode", None) == "circular":
            raise NetworkError(
                where,
                found="padding_mode='circular': a convolution that reads over the borders",
                allowed="padding_mode='zeros'",
                hint="train on from these weights with padding_mode='zeros'",
            )


def _check_finite(module: nn.Module) -> None:
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        plain = tensor.is_floating_point() and tensor.layout is torch.strided
        if plain and not bool(torch.isfinite(tensor).all()):
            raise NetworkError(
                f"module {name.rpartition('.')[0] or 'forward'}",
                found=f"{name.rpartition('.')[2]} with values that are not finite",
                allowed="finite numbers",
            )
