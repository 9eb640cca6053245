"""A report of a deep network: its page stays small, and is made without work that grows faster."""

from dataclasses import replace

import pytest
from sample_report import full_report

from tssd.contracts import check
from tssd.report.behaviour.model import AnswerCount, ChipMap, CoreUse
from tssd.report.html import render_html
from tssd.report.model import MeshCell, Report, TimelineStep


def deep_report(layers: int = 40) -> Report:
    """*layers* layers on 600 cores of 5 chips, 8 engines, 2,048 steps, 100 classes."""
    report = full_report()
    engines = tuple(f"engine{i}" for i in range(8))
    rows = tuple(
        replace(
            report.layers[1],
            name=f"stage{i // 10}.block{i}.conv",
            spikes=dict.fromkeys(("float", "integer", *engines), 1000 + i),
        )
        for i in range(layers)
    )
    cores = tuple(
        CoreUse(i, i // 120, i % 8, i // 8 % 4, i % 4, (rows[i % layers].name,),
                "synaptic memory", 0.5, 1e4)
        for i in range(600)
    )  # fmt: skip
    answers = tuple(AnswerCount(i % 100, i % 97, i % 100, 3) for i in range(5000))
    return replace(
        report,
        accuracy={**report.accuracy, **dict.fromkeys(engines, 0.875)},
        layers=rows,
        contracts=tuple(
            check(f"{e}: {x.name} (spikes)", True, 0, 0) for e in engines for x in rows
        ),
        timeline=tuple(TimelineStep(i, 2.0 + i % 3, "compute", "c2") for i in range(2048)),
        mesh=tuple(MeshCell(x, y, float(x * y), "messages") for x in range(8) for y in range(4)),
        behaviour=replace(report.behaviour, chip_map=ChipMap(8, 4, 4, cores), answers=answers),
    )


def test_a_page_of_forty_layers_is_smaller_than_three_megabytes() -> None:
    assert len(render_html(deep_report()).encode()) < 3_000_000


def test_a_page_grows_with_the_layers_not_faster() -> None:
    """Bytes beyond those of the same report with fewer layers: so many for each of them."""
    at = {n: len(render_html(deep_report(n)).encode()) for n in (10, 20, 40)}
    assert (at[40] - at[20]) / (at[20] - at[10]) == pytest.approx(2, rel=0.1)
