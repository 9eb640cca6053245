"""A header of safetensors whose numbers are none."""

import struct
from pathlib import Path

import pytest

from tssd.errors import FileFormatError
from tssd.inspecting.inspection import inspect


@pytest.mark.parametrize("size", ["1e999", "NaN", "null", '"x"', "[]"])
def test_a_size_that_is_no_number_is_refused(size: str, tmp_path: Path) -> None:
    text = f'{{"w": {{"dtype": "F32", "shape": [{size}], "data_offsets": [0, 0]}}}}'.encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(FileFormatError, match="a damaged safetensors header"):
        inspect(path)
