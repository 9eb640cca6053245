"""A snnTorch module of the user: by its importable name or in hand, with its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tssd.chain.weights import load_weights
from tssd.errors import ConfigError, Foreign, NetworkError, TssdError
from tssd.train.named import import_named


@dataclass(frozen=True)
class ModelSource:
    """A snnTorch module: ``pkg.module:build``, its weights, its input of one sample ("1,28,28")."""

    name: str
    weights: Path | None = None
    input_shape: str | None = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape that ``input_shape`` says, if anything."""
        if self.input_shape is None:
            return None
        parts = self.input_shape.replace("x", ",").split(",")
        if not all(part.strip().isdecimal() and int(part) for part in parts):
            raise ConfigError(
                "--input-shape", found=repr(self.input_shape), allowed="C,H,W or N, as in 1,28,28"
            )
        return tuple(int(part) for part in parts)

    def load(self) -> nn.Module:
        """The module with its weights, in inference mode."""
        return load_module(self.name, self.weights)


def load_module(name: str, weights: Path | None) -> nn.Module:
    """``pkg.module:build`` called (or a module found there), with *weights*, in inference mode."""
    module = named_module(name)
    if weights is not None:
        load_weights(module, weights)
    return module.eval()


def named_module(name: str) -> nn.Module:
    """What ``pkg.module:build`` leads to: the module itself, or what a function returns."""
    if not all(name.partition(":")):
        raise ConfigError("--model", found=repr(name), allowed="package.module:function")
    with Foreign(lambda error: _not_imported(name, error)):
        found = getattr(*import_named(name))
    is_made = isinstance(found, nn.Module) or not callable(found)
    module: Any = found if is_made else _built(name, found)
    if not isinstance(module, nn.Module):
        raise ConfigError("--model", found=type(module).__name__, allowed="a torch module")
    return module


def _built(name: str, build: Callable[[], Any]) -> Any:
    with Foreign(lambda error: _authors(name, error)):
        return build()


def _not_imported(name: str, error: BaseException) -> TssdError:
    if isinstance(error, ImportError | AttributeError):
        found = f"{name!r} ({error})"
        return ConfigError("--model", found=found, allowed="a module that can be imported")
    return _authors(f"import of {name.partition(':')[0]}", error)


def _authors(where: str, error: BaseException) -> NetworkError:
    said = (str(error).splitlines() or [""])[0]
    needs = isinstance(error, TypeError) and "required positional argument" in said
    return NetworkError(
        where,
        found=f"raised by your module: {type(error).__name__}: {said}",
        hint="a function without arguments that returns it: def build(): return Net(...)"
        if needs
        else None,
    )
