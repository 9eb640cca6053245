"""Images that stay on the disk until they are asked for: data sets larger than the memory."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tssd.arrays import ByteArray
from tssd.errors import DataError

Index = slice | npt.NDArray[np.integer]
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # Pillow tries dozens of decoders otherwise
DAMAGE = (  # what Pillow raises over damaged images
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError),
    *(struct.error, zlib.error),
)


class Pictures:
    """Files that read like a uint8 array (N, 3, crop, crop) when indexed by numbers or a slice.

    The shorter side is resized to ``resize`` (bilinear), the middle ``crop`` x ``crop`` cut out.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, paths: Sequence[Path], resize: int = 256, crop: int = 224) -> None:
        self.paths, self.resize, self.crop = tuple(paths), resize, crop

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.paths), 3, self.crop, self.crop)

    def __getitem__(self, index: Index) -> ByteArray:
        chosen = np.arange(len(self))[index]
        read = [read_picture(self.paths[i], self.resize, self.crop) for i in chosen]
        return np.stack(read) if read else np.empty((0, *self.shape[1:]), np.uint8)

    def part(self, start: int, stop: int | None) -> "Pictures":
        """The files from *start* up to *stop*, still unread."""
        return Pictures(self.paths[start:stop], self.resize, self.crop)


def read_picture(path: Path, resize: int, crop: int) -> ByteArray:
    """(3, crop, crop) of one image file, in RGB; raises DataError if it is damaged."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as file:
            image = file.convert("RGB")
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise DataError(
            str(path),
            found=f"{path.stat().st_size} bytes that are no image ({error})",
            allowed="a whole image file",
            hint="the file is truncated or damaged: fetch it again",
        ) from None
    shorter = min(image.size)
    width, height = (round(side * resize / shorter) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - crop) // 2, (height - crop) // 2
    pixels = np.asarray(image.crop((left, top, left + crop, top + crop)))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
