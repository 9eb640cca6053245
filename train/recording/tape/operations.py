"""What each torch operation makes of followed values: linear ones become maps, others opaque.

The operations are those of the dispatcher (aten), so it does not matter how the author wrote them:
module, function, method or operator. An operation that is not known here is never guessed.
"""

from collections.abc import Callable

from tssd.train.recording.tape.elementwise import (
    Operation,
    cast,
    negative,
    product,
    quotient,
    subtracted_from,
    summed,
)
from tssd.train.recording.tape.layers import (
    adaptive_max_pool,
    addmm,
    batch_norm,
    batched_product,
    convolution,
    feature_map,
    join,
    matrix_product,
    max_pool,
    reduced,
)
from tssd.train.recording.tape.values import (
    Followed,
    named,
)

FEATURE_MAPS = named(
    "avg_pool1d avg_pool2d avg_pool3d _adaptive_avg_pool2d upsample_nearest1d "
    "upsample_nearest2d upsample_linear1d upsample_bilinear2d constant_pad_nd"
)


def linear(op: Operation) -> Followed | None:
    """What a known linear operation gives; None: it is not known to be linear."""
    rule = RULES.get(op.name)
    if rule is not None:
        return rule(op)
    if op.name in FEATURE_MAPS:
        return feature_map(op)
    return None


RULES: dict[str, Callable[[Operation], Followed]] = {
    "add": summed,
    "sub": lambda op: summed(op, -1.0),
    "rsub": subtracted_from,
    "mul": product,
    "div": quotient,
    "neg": negative,
    "_to_copy": cast,
    "to": cast,
    "addmm": addmm,
    "mm": matrix_product,
    "bmm": batched_product,
    "convolution": convolution,
    "native_batch_norm": batch_norm,
    "_native_batch_norm_legit": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "mean": lambda op: reduced(op, True),
    "sum": lambda op: reduced(op, False),
    "stack": join,
    "cat": join,
    "max_pool2d_with_indices": max_pool,
    "adaptive_max_pool2d": adaptive_max_pool,
}
