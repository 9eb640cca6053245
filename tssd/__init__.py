"""tssd: from a self-distilled spiking network to a neuromorphic chip.

    net = tssd.export(module, samples, labels, target="loihi2", out="build/x")

takes a snnTorch module from Python (``tssd.live``), and

    few = tssd.few_bits(module, samples, bits="4")

makes a module of few bits to train in a loop of your own and to export. ``tssd.open_bundle`` takes
what is on disk, ``tssd.compare`` and ``tssd.read_study`` what was found. Importing the package
loads neither torch nor numba; each stage is imported on use.
"""

import importlib
import types
from typing import TYPE_CHECKING, Any

import tssd.export as _stage  # before anyone else imports it

if TYPE_CHECKING:
    from tssd.live.bundles import Exported, open_bundle
    from tssd.live.comparing import compare
    from tssd.live.few_bits import few_bits
    from tssd.live.sweeping import read_study
    from tssd.report.store import read_report

__all__ = ["compare", "few_bits", "open_bundle", "read_report", "read_study"]

__version__ = "0.1.0"


class _Stage(types.ModuleType):
    """``tssd.export`` is a stage of the chain, and what it does, called: ``tssd.live``'s export."""

    def __call__(self, *given: Any, **options: Any) -> "Exported":
        from tssd.live.exporting import export

        return export(*given, **options)


_called: Any = _stage
_called.__class__ = _Stage

_LAZY = {
    "compare": "tssd.live.comparing",
    "few_bits": "tssd.live.few_bits",
    "open_bundle": "tssd.live.bundles",
    "read_report": "tssd.report.store",
    "read_study": "tssd.live.sweeping",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
