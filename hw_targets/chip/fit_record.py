"""What a chip file made from measured runs says of its fit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSide:
    """How one group of prices was fitted to measured runs (``tssd.hw_targets.measured.fit``).

    ``covariance`` is of ``prices``, in their order and units; errors are of the runs left out, one
    after the other, and empty where one run alone was fitted.
    """

    prices: tuple[str, ...]
    runs: tuple[str, ...]
    kept: tuple[str, ...]  # prices that these runs do not tell
    covariance: tuple[tuple[float, ...], ...]
    spread: float  # of log(predicted / measured)
    left_out: tuple[float, ...]  # predicted / measured - 1
    coverage: float | None = None  # share of left-out readings inside their 90 % interval


@dataclass(frozen=True)
class FitRecord:
    """What measured runs a chip file was made from."""

    data_sha256: str
    energy: FitSide | None = None
    static: FitSide | None = None
