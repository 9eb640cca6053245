"""What live results give besides text: axes, frames, traces; NIR graphs in memory."""

import json
import sys
from pathlib import Path

import front_nets
import nir
import numpy as np
import pytest
from matplotlib.figure import Figure

from tssd.calibration.integer import UNIT
from tssd.errors import ConfigError, FileFormatError, TssdError
from tssd.export.nir.graphs.profiles import Answers
from tssd.live.bundles import Exported, open_bundle
from tssd.live.exporting import export
from tssd.live.sweeping import Settings, read_study
from tssd.report.paper.bars import draw_energy

IMAGES = front_nets.samples()
LABELS = np.array(list(front_nets.classes(front_nets.Looped(), IMAGES)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    out = tmp_path_factory.mktemp("objects") / "x"
    return export(front_nets.Looped(), IMAGES, LABELS, out=out)


def test_plots_land_on_the_axes_given_and_return_them(exported: Exported) -> None:
    verified = exported.verify(("gpu",), samples=4)
    reported = exported.report()
    for made in (verified, reported):
        ax = Figure().subplots()
        assert made.plot_spikes(ax=ax) is ax
        assert ax.patches
    ours, drawn = Figure().subplots(), Figure().subplots()
    draw_energy(reported.report, drawn)
    bars = [patch.get_extents().bounds for patch in reported.plot_energy(ax=ours).patches]
    assert bars == [patch.get_extents().bounds for patch in drawn.patches]


def test_a_chart_that_is_none_or_not_there_is_refused(exported: Exported) -> None:
    verified = exported.verify(("gpu",), samples=2)
    with pytest.raises(ConfigError, match="unknown chart 'enrgy'.*\n.*did you mean 'energy'"):
        verified.plot("enrgy")
    with pytest.raises(ConfigError, match="plot 'steps': found a report without it"):
        verified.plot("steps")


def test_without_matplotlib_the_line_that_installs_it(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = exported.verify(("gpu",), samples=2)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(TssdError, match=r"pip install 'tssd\[plot\]'"):
        verified.plot_energy()


def test_a_trace_holds_every_spike_and_the_membranes_behind_them(exported: Exported) -> None:
    trace = exported.trace(sample=1)
    frame = trace.to_frame()
    for population in trace.network.populations:
        sent = trace.spikes(population.name)
        mine = frame[frame["layer"] == population.name]
        assert len(mine) == np.count_nonzero(sent)
        assert all(sent[r.step, r.neuron] == r.value for r in mine.itertuples())
    assert "one sample, " in repr(trace)
    lines = trace.plot_membrane("lif1", neurons=(0, 1), ax=Figure().subplots()).get_lines()
    assert [float(y) for y in np.asarray(lines[1].get_ydata())] == (
        trace.membrane("lif1")[:, 1] / UNIT
    ).tolist()
    points = trace.plot_raster("lif1", ax=Figure().subplots()).collections[0]
    assert len(np.asarray(points.get_offsets())) == np.count_nonzero(trace.spikes("lif1"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.trace(99), "sample: found 99; allowed: 0 .. "),
        (lambda net: net.trace().spikes("lif9"), "layer: found unknown 'lif9'"),
        (lambda net: net.trace().membrane("input"), "found neurons without one"),
        (lambda net: net.trace().plot_membrane("lif1", (-1,)), "found -1; allowed: 0 .. "),
        (lambda net: net.trace().plot_membrane("lif1", ()), "found none; allowed"),
    ],
)
def test_what_is_not_there_is_refused(exported: Exported, call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(ConfigError, match=message):
        call(exported)


def test_a_folder_opens_to_the_same_network(exported: Exported) -> None:
    opened = open_bundle(exported.folder)
    assert opened.verify(("gpu",), samples=2).passed
    assert [p.name for p in opened.trace().network.populations] == [
        p.name for p in exported.bundle.network.populations
    ]


def test_a_sweep_is_a_frame_of_its_points(exported: Exported) -> None:
    settings: Settings = {"chip": ["loihi2", "loihi2-n3c"], "noc.buffer": [2, 4]}
    swept = exported.sweep(settings, samples=1, workers=1)
    frame = swept.to_frame()
    assert list(frame["chip"]) == ["loihi2", "loihi2", "loihi2-n3c", "loihi2-n3c"]
    assert list(frame["noc.buffer"]) == [2.0, 4.0] * 2
    assert frame["error"].isna().all()
    assert "4 points" in repr(swept)
    with pytest.raises(ConfigError, match="noc.bufer"):
        exported.sweep({"noc.bufer": [2]})


def test_a_study_is_a_frame_of_its_conditions(tmp_path: Path) -> None:
    outcome = {
        "condition": "ce", "steps": 4, "accuracy": [90.0, 92.0], "synops": {"a": 1e3, "b": 2e3},
        "at_step": [80.0, 91.0], "rates": {"a": 0.1},
    }  # fmt: skip
    table = {"config": {"dataset": "digits"}, "outcomes": [outcome]}
    (tmp_path / "study.json").write_text(json.dumps(table))
    frame = read_study(tmp_path).to_frame()
    assert (frame["mean"][0], frame["synops_total"][0]) == (91.0, 3e3)
    assert list(frame["at_step"][0]) == [80.0, 91.0]
    with pytest.raises(FileFormatError, match="found no study.json"):
        read_study(tmp_path / "none")


def graph() -> nir.NIRGraph:
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1, (3, 6)).astype(np.float32)
    lif = nir.LIF(
        tau=np.full(3, 10.0), r=np.ones(3), v_leak=np.zeros(3), v_threshold=np.full(3, 0.2),
        v_reset=np.zeros(3),
    )  # fmt: skip
    return nir.NIRGraph.from_list(nir.Linear(weight=weight), lif)


def test_a_nir_graph_in_memory_is_taken_as_its_file_is(tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((12, 6)).astype(np.float32)
    told = Answers(dt_seconds=1.0, reset="zero", rule="euler")
    made = export(graph(), images, out=tmp_path / "a", time_steps=5, answers=told)
    nir.write(str(tmp_path / "g.nir"), graph())
    again = export(str(tmp_path / "g.nir"), images, out=tmp_path / "b", time_steps=5, answers=told)
    for one, other in zip(
        made.bundle.network.projections, again.bundle.network.projections, strict=True
    ):
        np.testing.assert_array_equal(one.weight, other.weight)
    assert made.verify(("gpu",), samples=4).passed


def test_arguments_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="readout: found an argument with nothing to act on"):
        export(graph(), IMAGES, out=tmp_path / "a", readout="count")
    with pytest.raises(ConfigError, match="answers: found an argument with nothing to act on"):
        export(front_nets.Looped(), IMAGES, out=tmp_path / "a", answers=Answers())
    assert not (tmp_path / "a").exists()
