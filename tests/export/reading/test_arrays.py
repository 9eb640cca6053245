"""Arrays from anywhere: what could harm Python itself is refused, too."""

from pathlib import Path

import numpy as np
import pytest

from tssd.export.reading.arrays import read_array, read_arrays


@pytest.mark.parametrize("order", "<>")
def test_texts_are_read(order: str, tmp_path: Path) -> None:
    texts = np.array(["", "a\N{SNOWMAN}", "\U0010ffff"], f"{order}U3")
    np.save(tmp_path / "a.npy", texts)
    assert read_array(tmp_path / "a.npy").tolist() == texts.tolist()


@pytest.mark.parametrize("order", ["<u4", ">u4"])
def test_numbers_that_are_no_characters_are_no_text(order: str, tmp_path: Path) -> None:
    """numpy makes a str of them that Python's own functions break over."""
    for code, is_text in ((0x10FFFF, True), (0x110000, False), (0xFFFFFFFF, False)):
        path = tmp_path / "a.npy"
        np.save(path, np.array([65, code], order).view(f"{order[0]}U2"))
        if is_text:
            assert read_array(path).tolist() == ["A\U0010ffff"]
        else:
            with pytest.raises(ValueError, match="a.npy: a text of no characters"):
                read_array(path)


def test_so_in_an_archive(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", schema=np.array([0x110000], "<u4").view("<U1"))
    with pytest.raises(ValueError, match="schema: a text of no characters"):
        read_arrays(tmp_path / "a.npz")
