"""A snnTorch module of the user: by its importable name or in hand, with its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tssd.chain.weights import load_weights
from tssd.errors import ConfigError
from tssd.train.networks.user_module import import_named


@dataclass(frozen=True)
class ModelSource:
    """A snnTorch module: ``pkg.module:build``, its weights, its input of one sample ("1,28,28")."""

    name: str
    weights: Path | None = None
    input_shape: str | None = None

    def load(self) -> nn.Module:
        """The module with its weights, in inference mode."""
        return load_module(self.name, self.weights)


def load_module(name: str, weights: Path | None) -> nn.Module:
    """``pkg.module:build`` called (or a module found there), with *weights*, in inference mode."""
    if not all(name.partition(":")):
        raise ConfigError("--model", found=repr(name), allowed="package.module:function")
    try:
        found = getattr(*import_named(name))
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            "--model", found=f"{name!r} ({error})", allowed="a module that can be imported"
        ) from None
    module: Any = found() if callable(found) and not isinstance(found, nn.Module) else found
    if not isinstance(module, nn.Module):
        raise ConfigError("--model", found=type(module).__name__, allowed="a torch module")
    if weights is not None:
        load_weights(module, weights)
    return module.eval()
