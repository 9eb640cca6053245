"""How samples enter the network of a bundle, whatever its coding.

Only input as bias is computed in torch, which is imported for it alone.
"""

from collections.abc import Callable
from functools import partial

from tssd.calibration.encode import Encoder, encode
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.quantizing.fold import align, fold
from tssd.errors import DataError
from tssd.export.bundle.folder import Bundle
from tssd.hw_targets.chip.chip_copy import bundled_chip
from tssd.train.handover.float_file import FLOAT_FILE, read
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.input_map import InputMap, plain_map


def encoder(network: IntNetwork, folded: Callable[[], FloatNetwork]) -> Encoder:
    """How samples enter *network*: by itself, or through the front end of the *folded* network."""
    if not network.input_coding.as_bias:
        return partial(encode, network)
    from tssd.calibration.quantizing.front_end import front_end_of

    return front_end_of(network, folded()).encode


def encoder_of(bundle: Bundle) -> Encoder:
    """uint8 images or frames -> inputs (T, B, *input shape) of the bundle's network."""
    return encoder(bundle.network, lambda: folded_network(bundle))


def sample_shape(bundle: Bundle) -> tuple[int, ...]:
    """The shape of one sample and step, (C, H, W) or (N,), before it is coded: without a constant
    channel, and before a first layer that the host computes."""
    if FLOAT_FILE in bundle.manifest["files"]:
        return read(bundle.file(FLOAT_FILE)).populations[0].shape
    return bundle.network.source.shape


def entry_of(bundle: Bundle) -> InputMap:
    """What the levels of a sample mean in the user's own numbers."""
    plain = plain_map(sample_shape(bundle))
    if FLOAT_FILE not in bundle.manifest["files"]:
        return plain
    return read(bundle.file(FLOAT_FILE)).entry or plain


def folded_network(bundle: Bundle) -> FloatNetwork:
    """The float network as it was quantized: folded, and aligned for the bundle's chip."""
    if FLOAT_FILE not in bundle.manifest["files"]:
        raise DataError(
            str(bundle.folder),
            found="input as bias, and no float network that computes it from samples",
            allowed="a bundle of a float network",
            hint="its golden mantissas run without --data",
        )
    chip = bundled_chip(bundle.folder, bundle.manifest)
    stripped = read(bundle.file(FLOAT_FILE))
    return align(fold(stripped, bundle.manifest["options"]["pooling"]), chip.limits.delay.count)
