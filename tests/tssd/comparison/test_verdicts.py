"""Which subject is best, and what is said instead where figures do not mean the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_report import bare_report, full_report

from tssd.comparison.reading import about_of, energy, named_apart, of_report
from tssd.comparison.subject import Estimate, Subject, column
from tssd.comparison.tables import comparison, difference, remarks, to_markdown
from tssd.comparison.verdicts import verdict
from tssd.report.energies import EnergyUj, PredictionIntervals, Range

ABOUT = {"samples": "a", "chip": "loihi2", "steps": 8, "timing": "cycle"}


def subject(name: str, key: str, figure: Estimate, **other: object) -> Subject:
    about = {**ABOUT, **other}
    made = about_of(
        str(about["samples"]), str(about["samples"]), str(about["chip"]), None,
        int(str(about["steps"])), str(about["timing"]),
    )  # fmt: skip
    return Subject(name, name, made, {key: figure})


@given(st.lists(st.floats(0.1, 1e6), min_size=2, max_size=6), st.sampled_from(["more", "less"]))
def test_the_best_is_the_largest_or_the_smallest(values: list[float], better: str) -> None:
    key = "inferences_per_s" if better == "more" else "latency_us"
    subjects = [subject(f"s{i}", key, Estimate(v)) for i, v in enumerate(values)]
    best = verdict(subjects, column(key)).best
    top = max(values) if better == "more" else min(values)
    expected = tuple(f"s{i}" for i, v in enumerate(values) if v == top)
    assert best == (() if len(set(values)) == 1 else expected)


@pytest.mark.parametrize(
    ("key", "other", "said"),
    [
        ("accuracy", {"samples": "b"}, "not compared, other samples (A: a; B: b)"),
        ("spikes", {"samples": "b"}, "not compared, other samples (A: a; B: b)"),
        ("latency_us", {"timing": "bound"}, "not compared, cycles beside a lower bound"),
        ("cores", {"chip": "loihi1"}, "not compared, other chips (A: loihi2; B: loihi1)"),
        ("memory_bytes", {"chip": "loihi1"}, "not compared, other chips"),
    ],
)
def test_what_cannot_be_compared_is_said_and_has_no_best(
    key: str, other: dict[str, object], said: str
) -> None:
    pair = [subject("A", key, Estimate(1.0)), subject("B", key, Estimate(2.0), **other)]
    found = verdict(pair, column(key))
    assert found.best == ()
    assert any(said in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("key", "other", "said"),
    [
        ("latency_us", {"chip": "loihi1"}, "other chips (A: loihi2; B: loihi1)"),
        ("spikes", {"steps": 4}, "other numbers of time steps (A: 8 steps; B: 4 steps)"),
        ("dynamic_pj", {"steps": 4}, "other numbers of time steps"),
    ],
)
def test_what_can_be_compared_all_the_same_says_what_differs(
    key: str, other: dict[str, object], said: str
) -> None:
    pair = [subject("A", key, Estimate(1.0)), subject("B", key, Estimate(2.0), **other)]
    found = verdict(pair, column(key))
    assert found.best == ("A",)
    assert any(remark.startswith(said) for remark in found.remarks)


def test_samples_that_nobody_recorded_are_not_the_same() -> None:
    about = about_of(None, "not recorded", "loihi2", None, 8, "cycle")
    pair = [Subject(n, n, about, {"accuracy": Estimate(x)}) for n, x in (("A", 0.5), ("B", 0.6))]
    assert verdict(pair, column("accuracy")).best == ()


@pytest.mark.parametrize(("chip", "said"), [("loihi1", True), ("loihi2", False)])
def test_overlapping_energies_are_said_across_chips_alone(chip: str, said: bool) -> None:
    """On one chip both rest on the same prices: their ratio is better known than either."""
    pair = [
        subject("A", "dynamic_pj", Estimate(1.0, 0.5, 2.0)),
        subject("B", "dynamic_pj", Estimate(1.5, 0.7, 3.0), chip=chip),
    ]
    found = verdict(pair, column("dynamic_pj"))
    assert found.best == ("A",)
    assert ("intervals overlap with B" in found.remarks) is said


def test_intervals_of_accuracy_that_overlap_are_said() -> None:
    pair = [
        subject("A", "accuracy", Estimate(0.9, 0.8, 0.95)),
        subject("B", "accuracy", Estimate(0.85, 0.75, 0.9)),
    ]
    assert verdict(pair, column("accuracy")).remarks == ("intervals overlap with B",)


def test_an_energy_has_the_interval_of_the_fits_and_none_without_them() -> None:
    wide = Range(1.0, 3.0, 9.0)
    fitted = EnergyUj(wide, wide, wide, None, PredictionIntervals(Range(2.0, 3.0, 4.5)))
    assert energy(fitted, "dynamic") == Estimate(3e6, 2e6, 4.5e6)
    assert energy(fitted, "total") == Estimate(3e6)
    assert energy(EnergyUj(wide), "dynamic") == Estimate(3e6)
    assert energy(EnergyUj(wide), "total") is None


def test_a_figure_that_was_not_run_is_no_figure() -> None:
    full, bare = of_report(full_report(), "full"), of_report(bare_report(), "bare")
    made = comparison(named_apart([full, bare]))
    assert "accuracy" not in bare.figures
    assert "accuracy, with static, latency, per second, cores: not run: bare" in remarks(made)
    assert "not run" in to_markdown(made)


def test_subjects_of_one_name_are_told_apart() -> None:
    one = of_report(full_report(), "a/report.json")
    assert [s.name for s in named_apart([one, replace(one, origin="b")])] == ["a/report.json", "b"]
    assert [s.name for s in named_apart([one, one])] == ["a/report.json (1)", "a/report.json (2)"]


def test_differences_are_factors_of_the_first() -> None:
    assert difference(2.0, 3.0) == "x 1.5"
    assert [difference(2.0, 2.0), difference(None, 1.0), difference(1.0, None)] == [""] * 3
    assert difference(0.0, 1.0) == "from 0"


@pytest.mark.parametrize(
    ("key", "figures", "said"),
    [
        ("latency_us", (Estimate(1.0), Estimate(2.0)), "no interval, error not known"),
        ("inferences_per_s", (Estimate(1.0), Estimate(2.0)), "no interval, error not known"),
        ("total_pj", (Estimate(1.0, 0.5, 2.0), Estimate(9.0)), "of no fit (B)"),
        ("total_pj", (Estimate(1.0, 0.5, 2.0), Estimate(9.0, 8.0, 10.0)), None),
        ("cores", (Estimate(1.0), Estimate(2.0)), None),
    ],
)
def test_an_estimate_without_an_interval_says_so(
    key: str, figures: tuple[Estimate, Estimate], said: str | None
) -> None:
    pair = [subject(name, key, x) for name, x in zip("AB", figures, strict=True)]
    found = [x for x in verdict(pair, column(key)).remarks if "interval" in x or "fit" in x]
    assert found == [] if said is None else (len(found) == 1 and said in found[0])
