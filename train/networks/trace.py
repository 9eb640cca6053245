"""A user's module as a graph of its layers, by torch.fx."""

from torch import fx, nn
from torch.fx.proxy import TraceError

from tssd.errors import NetworkError


class _Tracer(fx.Tracer):
    """snnTorch's neurons stay whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        known = m.__module__.startswith("snntorch")
        return known or super().is_leaf_module(m, module_qualified_name)


def trace(module: nn.Module) -> fx.Graph:
    """What one call of *module* does; NetworkError where forward depends on its data."""
    try:
        return _Tracer().trace(module)
    except (TraceError, TypeError, RuntimeError, NotImplementedError) as error:
        raise NetworkError(
            f"module {type(module).__name__}",
            found=f"a forward that depends on its data ({str(error).splitlines()[0][:120]})",
            allowed="one time step per call, no control flow on tensors",
            hint="move the loop over time out of forward",
        ) from None
