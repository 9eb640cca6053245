"""Report -> one HTML page: style and drawings inside, nothing loaded from outside.

Its one script sorts tables, and nothing is lost without it.
"""

from collections import Counter

from jinja2 import Environment, PackageLoader, StrictUndefined

from tssd.errors import counted
from tssd.report import view, words
from tssd.report.behaviour import view as behaviour
from tssd.report.behaviour.headline import headline
from tssd.report.behaviour.layers import COLUMNS, layer_table
from tssd.report.behaviour.profiles import profiles
from tssd.report.findings import findings
from tssd.report.model import Report


def render_html(report: Report) -> str:
    """The page as text. The same report gives the same bytes."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            stages=report.accuracy.items(),
            engines=report.engines,
            verdict=Counter(contract.status for contract in report.contracts),
            findings=findings(report),
            spikes=view.spike_chart(report),
            energy=view.energy_chart(report),
            totals=view.totals_chart(report),
            timeline=view.timeline(report),
            heat=view.heat(report),
            headline=headline(report),
            map=behaviour.chip_map(report),
            course=behaviour.over_time(report),
            confusion=behaviour.confusion(report),
            raster=behaviour.raster(report),
            quantized=layer_table(report),
            quantized_columns=COLUMNS,
            profiles=profiles(report),
            words=words,
            watts=words.power_w(report),
            counted=counted,
        )
    )


def environment() -> Environment:
    """Templates of the package; everything is escaped, an unknown name is an error."""
    return Environment(
        loader=PackageLoader("tssd.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
