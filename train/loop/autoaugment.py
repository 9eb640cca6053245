"""AutoAugment's policy for CIFAR-10 (arXiv 1805.09501, table 7), with Pillow's operations.

One of 25 sub-policies is drawn per image; each of its two operations happens with its probability
and at its magnitude m of 0..9, which stands for the m-th of ten equal parts of the range in the
paper's table 6. Operations with a direction take either one with equal probability. What moves in
is black.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tssd.arrays import ByteArray
from tssd.errors import ConfigError

Operation = tuple[str, float, int]  # name, probability, magnitude

MODES = {1: "L", 3: "RGB"}  # channels: Pillow's name
LARGEST_SHEAR = 0.3
LARGEST_SHIFT = 150 / 331  # of the side: 150 pixels of the paper's 331
LARGEST_TURN_DEG = 30.0
LARGEST_CHANGE = 0.9  # of colour, contrast, brightness, sharpness: 1 is the image itself
FEWEST_BITS = 4

POLICY: tuple[tuple[Operation, Operation], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)


def auto_augment(images: ByteArray, generator: np.random.Generator) -> ByteArray:
    """Each of *images* (B, C, H, W), C 1 or 3, changed by one sub-policy; ConfigError otherwise."""
    channels = images.shape[1]
    if channels not in MODES:
        raise ConfigError(
            "training: autoaugment",
            found=f"images of {channels} channels",
            allowed="1 or 3 channels",
            hint="leave autoaugment out; flip and shift work on any image",
        )
    chosen = generator.integers(0, len(POLICY), len(images))
    luck, signs = generator.random((len(images), 2)), generator.choice((-1, 1), (len(images), 2))
    result = images.copy()
    for i, number in enumerate(chosen):
        result[i] = _changed(images[i], POLICY[number], luck[i].tolist(), signs[i].tolist())
    return result


def _changed(
    image: ByteArray, operations: tuple[Operation, Operation], luck: list[float], signs: list[int]
) -> ByteArray:
    picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
    for (name, probability, magnitude), drawn, sign in zip(operations, luck, signs, strict=True):
        if drawn < probability:
            picture = OPERATIONS[name](picture, magnitude / 9, sign)
    changed: ByteArray = np.asarray(picture)
    return changed[None] if changed.ndim == 2 else changed.transpose(2, 0, 1)


def _moved(picture: Image.Image, *coefficients: float) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, coefficients)


class _Enhance(Protocol):
    def enhance(self, factor: float) -> Image.Image: ...


def _enhanced(
    kind: Callable[[Image.Image], _Enhance],
) -> Callable[[Image.Image, float, int], Image.Image]:
    return lambda picture, part, sign: kind(picture).enhance(1 + sign * LARGEST_CHANGE * part)


OPERATIONS: dict[str, Callable[[Image.Image, float, int], Image.Image]] = {  # part is 0..1
    "shear_y": lambda p, part, sign: _moved(p, 1, 0, 0, sign * LARGEST_SHEAR * part, 1, 0),
    "translate_x": lambda p, part, sign: _moved(
        p, 1, 0, round(sign * LARGEST_SHIFT * part * p.width), 0, 1, 0
    ),
    "translate_y": lambda p, part, sign: _moved(
        p, 1, 0, 0, 0, 1, round(sign * LARGEST_SHIFT * part * p.height)
    ),
    "rotate": lambda p, part, sign: p.rotate(sign * LARGEST_TURN_DEG * part),
    "autocontrast": lambda p, part, sign: ImageOps.autocontrast(p),
    "invert": lambda p, part, sign: ImageOps.invert(p),
    "equalize": lambda p, part, sign: ImageOps.equalize(p),
    "solarize": lambda p, part, sign: ImageOps.solarize(p, round(256 * (1 - part))),
    "posterize": lambda p, part, sign: ImageOps.posterize(p, 8 - round((8 - FEWEST_BITS) * part)),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "color": _enhanced(ImageEnhance.Color),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
}
