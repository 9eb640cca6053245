"""What a notebook shows of a result: a few lines, an HTML table, a pandas frame."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from tssd import terminal
from tssd.errors import ConfigError
from tssd.optional import install_line

Row = tuple[object, ...]


@dataclass(frozen=True, eq=False)
class ShownTable:
    """``lines`` above a table with numbers in its columns ``right``; ``records``: its rows in
    full."""

    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    records: tuple[Mapping[str, Any], ...]
    right: tuple[str, ...] = ()


class Shown(ABC):
    """Shows itself as a table: printed, in a notebook, as a frame."""

    @abstractmethod
    def table(self) -> ShownTable:
        """What is shown."""

    def __repr__(self) -> str:
        table = self.table()
        cells = [tuple(map(str, row)) for row in table.rows]
        text = terminal.to_text(
            terminal.plain_table(table.columns, cells, right=table.right, close=True)
        )
        return "\n".join([*table.lines, text.rstrip()])

    def _repr_html_(self) -> str:
        table = self.table()
        head = "".join(f"<p>{escape(line)}</p>" for line in table.lines)
        names = "".join(f"<th>{escape(name)}</th>" for name in table.columns)
        rows = "".join(f"<tr>{_cells(row)}</tr>" for row in table.rows)
        return f"{head}<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"

    def to_frame(self) -> Any:
        """The rows as a ``pandas.DataFrame``."""
        return frame(self.table().records)


def frame(records: Sequence[Mapping[str, Any]]) -> Any:
    """*records* as a ``pandas.DataFrame``; ConfigError where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        raise ConfigError(
            "to_frame",
            found="no pandas",
            allowed="pandas installed",
            hint=install_line("pandas"),
        ) from None
    return pandas.DataFrame(list(records))


def _cells(row: Row) -> str:
    return "".join(f"<td>{escape(str(cell))}</td>" for cell in row)
