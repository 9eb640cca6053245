"""Tables for the terminal: what a window holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tssd import terminal

ROW = ("a name", "50.25 .. 73.33 %", "12,345", "6.78 µJ")
COLUMNS = ("", "accuracy", "spikes", "energy")


@given(st.integers(30, 80))
def test_no_cell_is_folded_and_no_column_leaves_in_vain(width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(terminal, "window_width", lambda: width)
        text = terminal.fitted_text(COLUMNS, [ROW], ("energy", "spikes"), "--csv")
        table, _, told = text.partition("\nno room here for: ")
        gone = told.removesuffix("; --csv have them").split(", ") if told else []
        assert gone == ["energy", "spikes"][: len(gone)]
        shown = [cell for name, cell in zip(COLUMNS, ROW, strict=True) if name not in gone]
        assert all(line in table for cell in shown for line in cell.splitlines())
        assert max(map(len, table.splitlines())) <= width
        for spare in (
            [gone[:-1]] if gone else []
        ):  # one column more, and the space behind it, would not have fitted
            patch.setattr(terminal, "window_width", lambda: 80)
            kept = [name for name in COLUMNS if name not in spare]
            cells = [cell for name, cell in zip(COLUMNS, ROW, strict=True) if name in kept]
            assert max(map(len, terminal.fitted_text(kept, [cells], (), "").splitlines())) >= width
