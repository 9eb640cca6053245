"""What the page draws of it stays inside its frame and says the same in words."""

from dataclasses import replace

import pytest
from known import known
from sample_report import bare_report, full_report

from tssd.contracts import check
from tssd.report.behaviour import view
from tssd.report.behaviour.headline import headline
from tssd.report.behaviour.model import AnswerCount, Behaviour
from tssd.report.html import render_html
from tssd.report.model import Report


def answered(*rows: tuple[int, int | None, int, int]) -> Report:
    return replace(full_report(), behaviour=Behaviour(answers=tuple(AnswerCount(*r) for r in rows)))


def test_every_place_of_a_chip_is_drawn_once_and_inside() -> None:
    drawn = view.chip_map(full_report())
    assert drawn is not None
    (chip,) = drawn.chips
    places = [*chip.empty, *((s.x, s.y) for s in chip.squares)]
    assert len(set(places)) == len(places) == 8 * 4 * 4
    assert all(0 <= x < chip.width and 0 <= y < chip.height for x, y in places)
    assert [text for _, _, text in drawn.legend][:2] == [
        "1 core, 25 % synaptic memory",
        "1 core, 50 % synaptic memory",
    ]


def test_chips_beyond_the_first_few_are_counted() -> None:
    report = full_report()
    found = report.behaviour.chip_map
    assert found is not None
    spread = tuple(replace(found.cores[0], core=i, chip=i) for i in range(7))
    wide = replace(report.behaviour, chip_map=replace(found, cores=spread))
    drawn = view.chip_map(replace(report, behaviour=wide))
    assert drawn is not None
    assert (len(drawn.chips), drawn.left_out) == (4, 3)


def test_a_matrix_sums_to_the_samples_and_its_changes_to_nothing() -> None:
    found = view.confusion(full_report())
    assert found is not None
    cells = [cell for row in found.rows for cell in row]
    assert sum(cell.count for cell in cells) == 8
    assert [sum(cell.change or 0 for cell in row) for row in found.rows] == [0, 0]
    assert found.worst == ("1 taken for 0: 1",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(0, 0, 0, 9)], "Quantization changed no answer."),
        ([(0, 0, 1, 1)], "Quantization changed 1 answer: 1 from right to wrong."),
        ([(0, 1, 0, 2)], "Quantization changed 2 answers: 2 from wrong to right."),
        ([(0, 1, 2, 1)], "Quantization changed 1 answer: 1 from one wrong to another."),
        ([(0, 1, 1, 3)], "Quantization changed no answer."),
        ([(0, None, 0, 3)], "The float network was not run on these samples."),
    ],
)
def test_what_quantization_did_to_answers(
    rows: list[tuple[int, int | None, int, int]], said: str
) -> None:
    found = view.confusion(answered(*rows))
    assert found is not None
    assert found.changes == (said,)


def test_too_many_classes_are_named_not_drawn() -> None:
    report = answered(*((i, i, i, 1) for i in range(30)))
    found = view.confusion(report)
    assert found is not None
    assert found.rows == ()
    assert "30 classes are more than a page shows" in render_html(report)


def test_a_raster_has_a_mark_for_every_event() -> None:
    drawn = view.raster(full_report())
    assert drawn is not None
    kinds = sorted(mark.kind for mark in drawn.marks)
    assert kinds == ["both", "float", "integer"]
    assert all(0 <= m.x < drawn.width and 0 <= m.y < drawn.height for m in drawn.marks)
    assert drawn.first == (view.CELL, view.CELL)


def test_what_was_looked_for_and_not_found_is_said() -> None:
    looked = replace(full_report(), behaviour=Behaviour(compared=8))
    assert "In the first 8 samples no neuron fires otherwise" in render_html(looked)
    assert "first difference" not in render_html(bare_report())


def test_the_headline_comes_first_and_says_what_fails() -> None:
    report = full_report()
    said = headline(report)
    assert said.startswith("1 of 3 contracts fails: onnx: b spikes. Fits 4 of 128 cores;")
    assert "answers in 17.5 µs" in said
    assert "no error of the energy is known" in said
    page = render_html(report)
    assert page.index(said) < page.index("Accuracy of the integers")


def test_the_headline_of_a_report_that_holds() -> None:
    passing = replace(full_report(), contracts=(check("a", True, 0, 0),))
    assert headline(passing).startswith("1 contract holds. Fits")
    layers = tuple(
        replace(x, time_share=0.9 if i == 1 else 0.0) for i, x in enumerate(passing.layers)
    )
    dear = max(layers, key=lambda layer: known(layer.energy_pj).nominal).name
    told = headline(replace(passing, layers=layers))
    both = f"{layers[1].name} decides time and energy"
    apart = f"{layers[1].name} decides the time, {dear} the energy"
    assert told.endswith(f"{both if dear == layers[1].name else apart}.")
    assert "dynamic an inference" in headline(bare_report())
