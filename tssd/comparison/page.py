"""A comparison as one HTML page: no script, nothing loaded from outside."""

from tssd.comparison import tables
from tssd.comparison.tables import Comparison
from tssd.report import words
from tssd.report.html import environment


def render_page(made: Comparison) -> str:
    """The page as text. The same comparison gives the same bytes."""
    template = environment().get_template("comparison.html.j2")
    return template.render(made=made, tables=tables, words=words)
