"""The log of a traced step: full to its last row, and never written beyond it."""

import numpy as np

from tssd.hw_targets.sim.kernels import kernel


def test_a_full_log_counts_on_and_is_not_written_beyond_its_end() -> None:
    """As plain Python, where a row too many is an error and not a word of other memory."""
    note = kernel._note.py_func  # type: ignore[attr-defined]
    log = np.zeros((3, 4), np.int64)
    for row in range(1, 5):
        note(log, kernel.LOG_LINK, row, 10 * row, 100 * row)
        assert log[0, 0] == row
    assert log[1:].tolist() == [[kernel.LOG_LINK, row, 10 * row, 100 * row] for row in (1, 2)]
