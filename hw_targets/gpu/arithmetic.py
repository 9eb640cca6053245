"""Torch switched to plain arithmetic: products and sums as written, in full precision.

TF32 and bf16 shortcuts round the factors; Winograd and Fourier convolutions (cuDNN, NNPACK) use
fractions. Inside ``exact_products`` they are off and torch is left with: on the CPU, oneDNN's
direct convolution (torch asks for no other) and BLAS; on CUDA, torch's own unfold and cuBLAS.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

FULL_PRECISION = "ieee"


def _switches() -> list[tuple[Any, str, object]]:
    """(owner, attribute, safe value) of every precision switch that this torch has."""
    owners = [
        torch.backends.cuda.matmul,
        getattr(torch.backends.mkldnn, "matmul", None),
        getattr(torch.backends.mkldnn, "conv", None),
    ]
    return [
        (owner, "fp32_precision", FULL_PRECISION)
        for owner in owners
        if hasattr(owner, "fp32_precision")
    ]


@contextmanager
def exact_products() -> Iterator[None]:
    """No reduced-precision products and no transformed convolutions; restored on the way out."""
    with ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(enabled=False, allow_tf32=False))
        stack.enter_context(torch.backends.nnpack.flags(enabled=False))
        for owner, attribute, _ in _switches():
            stack.callback(setattr, owner, attribute, getattr(owner, attribute))
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("highest")
        for owner, attribute, safe in _switches():
            setattr(owner, attribute, safe)
        yield
