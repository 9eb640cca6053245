"""Sweeps: one bundle, many chips; each point a simulation of its own, in a pool of processes.

A point that cannot be simulated is a row with its reason, whatever the reason; the others go on.
The pool is one function, ``map_points``: anything that maps a function over requests in order will
do. ``in_processes`` is a pool on this machine, ``on_cluster`` hands the points to Dask.
"""

import itertools
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from tssd.errors import ConfigError, TargetError, TssdError
from tssd.export.bundle.folder import read_bundle
from tssd.hw_targets.sim import summary
from tssd.simulating.simulation import ALIASES, Request, chip_of, prepared, simulate
from tssd.simulating.workers import answers

MapPoints = Callable[
    [Callable[[Request], "Point"], Sequence[Request]], Generator["Point", None, None]
]  # closed, it ends what still runs


@dataclass(frozen=True)
class Point:
    """One simulated point (``summary.Totals`` says what its figures are); a chip that cannot take
    the network has an ``error`` instead. ``dynamic_low_pj`` and ``dynamic_high_pj``: the prediction
    interval of the chip's fit, None without one, and where a price was set."""

    latency_us: float | None
    us_per_step: float | None
    inferences_per_s: float | None
    dynamic_pj: float | None
    dynamic_low_pj: float | None
    dynamic_high_pj: float | None
    static_pj: float | None
    cores: int | None
    bottleneck: str | None
    host_pj: float | None  # beside the others, of a sweep with the host
    placement: str | None  # the bundle's own, or afresh on the fewest cores
    error: str | None = None


def parse_axes(texts: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """``name=a,b,c`` texts; names may be ``chip`` or a number of the chip."""
    axes = []
    for text in texts:
        name, mark, values = text.partition("=")
        options = tuple(v for v in values.split(",") if v)
        if not name or not mark or not options:
            raise ConfigError(
                "--set", found=text, allowed="NAME=VALUE,VALUE,...", hint="noc.buffer=2,4,8"
            )
        axes.append((name, options))
    return axes


def requests(base: Request, axes: Sequence[tuple[str, tuple[str, ...]]]) -> list[Request]:
    """The grid of all combinations, the last axis moving fastest."""
    points = []
    for values in itertools.product(*(options for _, options in axes)):
        point = base
        for (name, _), value in zip(axes, values, strict=True):
            point = with_setting(point, name, value)
        points.append(point)
    return points


def with_setting(request: Request, name: str, value: str) -> Request:
    """*request* with one more setting."""
    if name == "chip":
        return replace(request, chip=value)
    try:
        return replace(request, settings=(*request.settings, (name, float(value))))
    except ValueError:
        raise ConfigError("--set", found=f"{name}={value}", allowed=f"{name}=NUMBER") from None


def refused(why: str) -> Point:
    """The row of a point that could not be simulated."""
    row: dict[str, Any] = {f.name: None for f in fields(Point)}
    row["error"] = why
    return Point(**row)


def check_names(base: Request, points: Sequence[Request]) -> None:
    """ConfigError for a setting or a chip that does not exist: before hours of work, not after."""
    bundle = read_bundle(base.bundle)
    for chip in dict.fromkeys(point.chip for point in points):
        found = chip_of(replace(base, chip=chip), bundle)
        for name in dict.fromkeys(name for point in points for name, _ in point.settings):
            found.number(ALIASES.get(name, name))


def simulate_point(request: Request) -> Point:
    """Simulate one point; what is refused is part of the table, not the end of the sweep."""
    try:
        ready = prepared(request)
        run = simulate(ready)
    except (TssdError, OSError, MemoryError) as error:
        return refused(" ".join(str(error).split("\n  try:")[0].split()) or type(error).__name__)
    total = summary.totals(run)
    fitted = None if total.promised is None else total.promised.dynamic
    return Point(
        total.latency_us,
        total.us_per_step,
        total.inferences_per_s,
        None if total.dynamic_pj is None else total.dynamic_pj.nominal,
        None if fitted is None else fitted.low,
        None if fitted is None else fitted.high,
        None if total.static_pj is None else total.static_pj.nominal,
        total.cores,
        total.bottleneck,
        None if total.host_pj is None else total.host_pj.nominal,
        str(ready.placed),
    )


def in_processes(workers: int | None = None) -> MapPoints:
    """Points in worker processes here, results in order; a worker's death is its point's row."""

    def map_points(
        function: Callable[[Request], Point], points: Sequence[Request]
    ) -> Generator[Point, None, None]:
        count = workers or os.cpu_count() or 1
        return answers(function, points, count, lambda end: refused(f"the worker died: {end}"))

    return map_points


def on_cluster(address: str) -> MapPoints:
    """Points on the Dask cluster whose scheduler listens at *address*, results in order.

    Its workers need this package and see bundles and chip files under the same paths.
    """
    distributed = _distributed()

    def map_points(
        function: Callable[[Request], Point], points: Sequence[Request]
    ) -> Generator[Point, None, None]:
        try:
            client = distributed.Client(address, timeout="20s")
        except (OSError, ValueError) as error:
            raise ConfigError(
                "--cluster",
                found=f"{address} ({error})",
                allowed="the address of a Dask scheduler",
                hint="start one with `dask scheduler`, then --cluster tcp://host:8786",
            ) from None
        with client:
            for future in client.map(function, points, pure=False):
                try:
                    yield future.result()
                except distributed.KilledWorker as error:
                    yield refused(f"the worker died: {' '.join(str(error).split())[:160]}")

    return map_points


def _distributed() -> Any:
    """Dask's ``distributed``, which is an extra."""
    try:
        import distributed
    except ModuleNotFoundError:
        raise TargetError(
            "a cluster", found="no package distributed", hint="pip install 'tssd[dask]'"
        ) from None
    return distributed
