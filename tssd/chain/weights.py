"""Weights of a user's module from a file: ``.safetensors``, or ``.pt``/``.pth`` of torch.

A file of torch is a pickle. It is read by torch's restricted reader alone (``weights_only``), which
knows tensors and plain containers and calls nothing, and first in the guarded process. A file that
needs more is refused: what it would run cannot be known.
"""

import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from tssd.errors import FileFormatError, NetworkError, TssdError
from tssd.export.reading.stand_in import refuse_stand_in
from tssd.guard import guarded

Tensors = dict[str, Tensor]

SUFFIXES = (".safetensors", ".pt", ".pth")
HOLDERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
WRAPPERS = ("module.", "_orig_mod.", "model.", "net.")  # of DataParallel, compile, trainers
NAMED = 6  # names that an error lists
DAMAGE = (  # what torch raises over a file that is none of its own, or damaged
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, zipfile.BadZipFile, struct.error),
)


def load_weights(module: nn.Module, path: Path) -> None:
    """Put the tensors of *path* into *module*: the same names and shapes, all finite."""
    tensors = unwrapped(read_weights(path), module.state_dict())
    _check_names(tensors, module.state_dict(), str(path))
    module.load_state_dict(tensors)


def read_weights(path: Path) -> Tensors:
    """The named tensors in *path*, by its suffix."""
    refuse_stand_in(path, f"a {', '.join(SUFFIXES)} file of weights")
    readers: Mapping[str, Callable[[Path], Tensors]] = {".pt": read_torch, ".pth": read_torch}
    return readers.get(path.suffix, read_safetensors)(path)


def read_safetensors(path: Path) -> Tensors:
    """The tensors of a ``.safetensors`` file."""
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FileFormatError(
            str(path),
            found=f"no readable weights ({error})",
            allowed=f"a {', '.join(SUFFIXES)} file",
        ) from None


@guarded
def read_torch(path: Path) -> Tensors:
    """The state dict of a file that ``torch.save`` wrote, also inside ``{"state_dict": ...}``."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles of another age: read or refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *DAMAGE) as error:
        raise _not_only_weights(path, str(error) or type(error).__name__) from None
    return _tensors_in(content, str(path))


def _not_only_weights(path: Path, said: str) -> TssdError:
    _, needs_code, named = said.partition("Unsupported global: GLOBAL ")
    if needs_code:
        return FileFormatError(
            str(path),
            found=f"a pickled {named.split()[0]}, which only running its code could load",
            allowed="tensors by name: a state dict",
            hint="where it was trained: torch.save(net.state_dict(), 'model.pt')",
        )
    *_, reason = said.partition("WeightsUnpickler error:")
    first = (reason or said).strip().splitlines()[0].partition(". ")[0]
    return FileFormatError(
        str(path),
        found=f"no readable weights ({first[:120]})",
        allowed="a state dict written by torch.save",
    )


def _tensors_in(content: Any, where: str) -> Tensors:
    """*content* if it is a state dict, else the one it holds under a usual name."""
    if not isinstance(content, Mapping):
        raise FileFormatError(where, found=type(content).__name__, allowed="a state dict")
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return {str(name): value for name, value in content.items()}
    for name in HOLDERS:
        if isinstance(content.get(name), Mapping):
            return _tensors_in(content[name], f"{where}: {name}")
    raise FileFormatError(
        where,
        found=f"the keys {_listed(map(str, content))}" if content else "nothing",
        allowed=f"tensors by name, or a state dict under {', '.join(HOLDERS)}",
    )


def unwrapped(tensors: Tensors, expected: Mapping[str, Tensor]) -> Tensors:
    """*tensors* without the prefix that a wrapper put before every name, where it fits nothing."""
    for prefix in WRAPPERS:
        if not all(name.startswith(prefix) for name in tensors):
            continue
        stripped = {name.removeprefix(prefix): value for name, value in tensors.items()}
        if not expected.keys() & tensors.keys() and expected.keys() & stripped.keys():
            return stripped
        if not any(name.startswith(prefix) for name in expected):
            return unwrapped(stripped, expected)
    return tensors


def _check_names(tensors: Tensors, expected: Mapping[str, Tensor], where: str) -> None:
    """Refuse missing, further and misshapen tensors, all of them in one message."""
    missing = [name for name in expected if name not in tensors]
    further = [name for name in tensors if name not in expected]
    odd = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(expected[name].shape)}"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    parts = [
        f"{what}: {_listed(names)}"
        for what, names in (("missing", missing), ("not in the module", further), ("shape", odd))
        if names
    ]
    if parts:
        raise NetworkError(
            where,
            found="; ".join(parts),
            allowed="the tensors of the module, all of them and no others",
            hint="are the weights of this very class, built with the same arguments?",
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise NetworkError(f"{where}: {name}", found="NaN or infinity", allowed="numbers")


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
    return ", ".join(known[:NAMED]) + more
