"""tssd: from a self-distilled spiking network to a neuromorphic chip.

    net = tssd.export(module, samples, labels, target="loihi2", out="build/x")

takes a snnTorch module from Python (``tssd.live``), and

    few = tssd.few_bits(module, samples, bits="4")

makes a module of few bits to train in a loop of your own and to export. Importing the package loads
neither torch nor numba; each stage is imported on use.
"""

import types
from typing import TYPE_CHECKING, Any

import tssd.export as _stage  # before anyone else imports it

if TYPE_CHECKING:
    from tssd.live.exporting import Exported
    from tssd.live.few_bits import FewBits

__version__ = "0.1.0"


class _Stage(types.ModuleType):
    """``tssd.export`` is a stage of the chain, and what it does, called: ``tssd.live``'s export."""

    def __call__(self, *given: Any, **options: Any) -> "Exported":
        from tssd.live.exporting import export

        return export(*given, **options)


_called: Any = _stage
_called.__class__ = _Stage


def few_bits(*given: Any, **options: Any) -> "FewBits":
    """A snnTorch module in few bits: ``tssd.live.few_bits``."""
    from tssd.live import few_bits as live

    return live.few_bits(*given, **options)
