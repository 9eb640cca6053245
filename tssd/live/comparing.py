"""``tssd.compare``: bundles, chips, reports, sweeps and studies side by side, as an object."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tssd.atomic import write_text
from tssd.comparison import tables
from tssd.comparison.chips import on_chips, requests_of
from tssd.comparison.dense import baselines_of
from tssd.comparison.page import render_page
from tssd.comparison.reading import named_apart, subjects_of
from tssd.comparison.tables import Comparison, comparison
from tssd.errors import ConfigError
from tssd.live.tables import Shown, ShownTable


@dataclass(frozen=True, eq=False, repr=False)
class Compared(Shown):
    """Subjects side by side: the best of a column is marked, what cannot be compared is said."""

    comparison: Comparison

    def table(self) -> ShownTable:
        made = self.comparison
        heads = tuple(kind.title for kind in tables.columns(made))
        rows = tuple((s.name, *tables.cells(made, s, line=" ")) for s in made.subjects)
        dense = [line for one in made.baselines for line in tables.baseline_lines(one)]
        lines = (*tables.best_lines(made), *tables.remarks(made), *dense)
        return ShownTable(lines, ("", *heads), rows, tuple(tables.records(made)), right=heads)

    def write(self, path: str | Path) -> Path:
        """The page (.html), every figure layer by layer (.csv) or the tables (.md) as a file."""
        written = {".html": render_page, ".csv": tables.to_csv, ".md": tables.to_markdown}
        path = Path(path)
        if path.suffix not in written:
            raise ConfigError(
                "write", found=repr(path.name), allowed=f"one of {', '.join(written)}"
            )
        write_text(path, written[path.suffix](self.comparison))
        return path


def compare(
    *subjects: str | Path,
    chips: Sequence[str] = (),
    samples: int | None = None,
    baseline: bool = False,
) -> Compared:
    """*subjects* (folders of bundles or studies, report.json, CSV of a sweep) side by side.

    ``chips``: the bundles simulated on each of them, on so many ``samples``, without a number on
    their golden ones; ``baseline``: a dense network of the same weights beside each bundle.
    """
    if not subjects:
        raise ConfigError("compare", found="nothing", allowed="bundles, reports, sweeps, studies")
    if samples is not None and not chips:
        raise ConfigError(
            "samples", found="an argument with nothing to act on", allowed="it with chips"
        )
    paths = tuple(map(Path, subjects))
    if chips:
        found = named_apart(
            on_chips(requests_of(paths, list(chips), samples, None), lambda _: None)
        )
    else:
        found = subjects_of(paths)
    return Compared(comparison(found, baselines_of(found) if baseline else ()))
