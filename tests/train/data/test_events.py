"""Recordings of events: files read back, frames by the stated rules, augmentation, training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from event_files import random_events, write_nmnist, write_nmnist_set
from hypothesis import given
from hypothesis import strategies as st

from tssd.errors import ConfigError, DataError
from tssd.train.config import Method, TrainConfig, configure
from tssd.train.data.data_sets import load
from tssd.train.data.event_files import read_nmnist
from tssd.train.data.events import (
    EventAugmentation,
    Events,
    FrameRule,
    Framing,
    Recordings,
    TeacherFrames,
    augment_events,
    frames,
    gather,
)
from tssd.train.loop.augment import training_samples
from tssd.train.loop.loop import train

SHAPE = (2, 34, 34)


def recordings(count: int = 5, events: int = 300, seed: int = 0) -> Recordings:
    rng = np.random.default_rng(seed)
    drawn = [random_events(rng, events + i, SHAPE) for i in range(count)]
    return gather(drawn, SHAPE, [str(i) for i in range(count)])


def test_nmnist_files_are_read_back(tmp_path: Path) -> None:
    wanted = random_events(np.random.default_rng(1), 50, SHAPE)
    write_nmnist(tmp_path / "a.bin", wanted)
    found = read_nmnist(tmp_path / "a.bin")
    for name in ("x", "y", "channel", "time_us"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name)), name
    flipped = read_nmnist(tmp_path / "a.bin", on_is_one=True)
    assert np.array_equal(flipped.channel, 1 - wanted.channel)


def test_a_truncated_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(7))
    with pytest.raises(DataError, match=r"a\.bin: found 7 bytes; allowed: a multiple of 5"):
        read_nmnist(tmp_path / "a.bin")


def test_an_event_outside_the_camera_is_named(tmp_path: Path) -> None:
    write_nmnist_set(tmp_path, 2, 1)
    (tmp_path / "Train" / "0" / "00001.bin").write_bytes(bytes((40, 0, 0, 0, 0)))
    with pytest.raises(
        DataError, match=r"00001\.bin: found an event with x = 40; allowed: 0\.\.33"
    ):
        load("n-mnist", tmp_path)


def test_equal_time_counts_events_of_each_stretch() -> None:
    one = Events(
        *(np.array(v) for v in ([3, 3, 4, 3], [5, 5, 6, 5], [1, 1, 0, 1], [0, 24, 50, 99]))
    )
    found = frames(gather([one], SHAPE, ["a"]), Framing(4, FrameRule.TIME, gain=10))[0]
    expected = np.zeros((4, *SHAPE), np.uint8)
    expected[0, 1, 5, 3], expected[2, 0, 6, 4], expected[3, 1, 5, 3] = 20, 10, 10
    assert np.array_equal(found, expected)


def test_equal_count_gives_each_frame_as_many_events() -> None:
    found = frames(recordings(3, 120), Framing(4, FrameRule.COUNT, gain=1))
    per_frame = found.sum((2, 3, 4))
    assert per_frame.sum(1).tolist() == [120, 121, 122]
    assert (per_frame.max(1) - per_frame.min(1) <= 1).all()


def stretched(end_us: int) -> Recordings:
    """Ten events within 100 us, and four of which the last comes at *end_us*."""
    times = [[0, 10, 20, 30, 40, 50, 60, 70, 80, 99], [0, 500_000, 999_999, end_us]]
    zeros = [np.zeros(len(t), np.int64) for t in times]
    pairs = zip(zeros, times, strict=True)
    return gather([Events(z, z, z, np.array(t)) for z, t in pairs], (1, 1, 1), ["a", "b"])


@pytest.mark.parametrize("end_us", [1_000_000, 2_500_000_000, 4_500_000_000, 1 << 48])
def test_long_recordings_keep_their_events(end_us: int) -> None:
    """32 bits of microseconds end after 35 minutes: events then stood in a neighbour's frames."""
    found = frames(stretched(end_us), Framing(5, gain=1)).reshape(2, 5).tolist()
    assert found[0] == [2, 2, 2, 2, 2]
    assert found[1] == ([1, 0, 1, 0, 2] if end_us == 1_000_000 else [3, 0, 0, 0, 1])
    moved = augment_events(stretched(end_us), np.random.default_rng(0), EventAugmentation(time=0.5))
    assert (moved.time_us < moved.length_us[moved.owners()]).all()


def test_windows_are_as_long_as_told_and_leave_out_what_comes_later() -> None:
    found = frames(
        stretched(4_500_000_000), Framing(3, FrameRule.WINDOW, gain=1, window_us=300_000)
    )
    assert found.reshape(2, 3).tolist() == [[10, 0, 0], [1, 1, 0]]


@pytest.mark.parametrize(("rule", "window_us"), [("window", 0), ("time", 5), ("count", 5)])
def test_a_window_and_its_rule_belong_together(rule: str, window_us: int) -> None:
    with pytest.raises(ConfigError, match="framing: window_us"):
        Framing(3, FrameRule(rule), window_us=window_us)
    with pytest.raises(ConfigError, match="training: event_window_us"):
        TrainConfig(frame_rule=FrameRule(rule), event_window_us=window_us)
    with pytest.raises(ConfigError, match="training: frame_rule"):
        TrainConfig(
            frame_rule=FrameRule.WINDOW, event_window_us=5, teacher_frames=TeacherFrames.RESLICED
        )


def test_an_event_outside_of_its_recording_is_named() -> None:
    """It would stand in a frame of the recording before or after."""
    zero = np.zeros(2, np.int64)
    one = Events(zero, zero, zero, np.array([5, 100]))
    with pytest.raises(DataError, match="a: found an event at 100 us; allowed: 0 to 99 us"):
        gather([one], (1, 1, 1), ["a"], length_us=100)
    odd = Events(zero, zero, zero, np.array([5, 1 << 60]))
    with pytest.raises(DataError, match="a: found a recording of 1,152,921,504,607 s"):
        gather([odd], (1, 1, 1), ["a"])


def test_time_goes_on_where_a_recording_says_so(tmp_path: Path) -> None:
    """Row 240 stands for 2^13 us, and for no pixel."""
    rows = [(1, 2, 0, 0, 7), (0, 240, 0, 0, 0), (3, 4, 128, 0, 9)]
    (tmp_path / "a.bin").write_bytes(np.array(rows, np.uint8).tobytes())
    found = read_nmnist(tmp_path / "a.bin")
    assert (found.x.tolist(), found.y.tolist()) == ([1, 3], [2, 4])
    assert found.time_us.tolist() == [7, 9 + 8192]
    assert found.channel.tolist() == [1, 0]


@given(st.integers(1, 12), st.sampled_from([FrameRule.TIME, FrameRule.COUNT]), st.integers(0, 20))
def test_every_event_is_in_one_frame(steps: int, rule: FrameRule, seed: int) -> None:
    events = recordings(3, 60, seed)
    found = frames(events, Framing(steps, rule, gain=1)).astype(int)
    assert found.sum((1, 2, 3, 4)).tolist() == events.counts.tolist()
    whole = frames(events, Framing(1, rule, gain=1)).astype(int)
    assert np.array_equal(found.sum(1, keepdims=True), whole)


def test_a_pixel_saturates_and_gain_255_gives_plain_spikes() -> None:
    events = recordings(2, 6000)
    assert frames(events, Framing(2, gain=200)).max() == 255
    assert set(np.unique(frames(events, Framing(3, gain=255)))) == {0, 255}


def test_chosen_recordings_are_framed_as_among_all() -> None:
    events = recordings(6)
    chosen = np.array([4, 0, 4])
    framing = Framing(5)
    assert np.array_equal(frames(events.select(chosen), framing), frames(events, framing)[chosen])


def test_a_coarser_frame_holds_the_events_of_whole_blocks() -> None:
    events = recordings(3, 500)
    fine, coarse = (frames(events, Framing(2, gain=1, shrink=k)).astype(int) for k in (1, 4))
    assert coarse.shape == (3, 2, 2, 8, 8)
    blocks = fine[..., :32, :32].reshape(3, 2, 2, 8, 4, 8, 4).sum((4, 6))
    assert np.array_equal(coarse, blocks)


def test_no_augmentation_changes_nothing() -> None:
    events = recordings()
    same = augment_events(events, np.random.default_rng(0), EventAugmentation())
    assert np.array_equal(frames(same, Framing()), frames(events, Framing()))


def test_a_shift_moves_whole_recordings() -> None:
    rng = np.random.default_rng(0)
    middle = random_events(rng, 200, (2, 10, 10))
    events = gather(
        [Events(middle.x + 12, middle.y + 12, middle.channel, middle.time_us)] * 30,
        SHAPE,
        ["a"] * 30,
    )
    moved = frames(augment_events(events, rng, EventAugmentation(shift=2)), Framing(gain=1))
    assert moved.sum() == 30 * 200
    original = frames(events, Framing(gain=1))[0]
    shifts = {
        (down, across)
        for frame in moved
        for down in range(-2, 3)
        for across in range(-2, 3)
        if np.array_equal(frame, np.roll(original, (down, across), (2, 3)))
    }
    assert len(shifts) > 10


def test_dropping_and_time_shift_lose_events_and_keep_the_length() -> None:
    events = recordings(20, 1000)
    rng = np.random.default_rng(0)
    thinned = augment_events(events, rng, EventAugmentation(drop=0.5))
    kept = thinned.counts / events.counts
    assert 0.65 < kept.mean() < 0.85
    assert kept.min() >= 0.45
    later = augment_events(events, rng, EventAugmentation(time=0.3))
    assert np.array_equal(later.length_us, events.length_us)
    assert (later.counts < events.counts).any()
    assert later.time_us.min() >= 0


def test_framing_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="framing: steps: found 0; allowed: 1 to 10000"):
        Framing(0)


def test_a_prefix_and_a_resliced_student_see_different_shares() -> None:
    prefix = TrainConfig(dataset="n-mnist", student_steps=2, teacher_steps=6)
    resliced = replace(prefix, teacher_frames=TeacherFrames.RESLICED)
    assert (prefix.framing().steps, resliced.framing().steps) == (6, 2)
    assert replace(prefix, frames=4).framing().steps == 4


def test_resliced_batches_hold_both_cuts(tmp_path: Path) -> None:
    write_nmnist_set(tmp_path, 20, 4)
    config = TrainConfig(
        dataset="n-mnist", student_steps=2, teacher_steps=4, teacher_frames=TeacherFrames.RESLICED
    )
    split = load("n-mnist", tmp_path, framing=config.framing()).train
    rng = np.random.default_rng(0)
    batch = training_samples(split, np.arange(3), rng, config, 0)
    assert batch.shape == (3, 6, *SHAPE)
    assert split.recordings is not None
    assert np.array_equal(batch[:, :2], split.images[:3])
    assert np.array_equal(batch[:, 2:], frames(split.recordings, Framing(4))[:3])
    plain = training_samples(split, np.arange(3), rng, replace(config, method=Method.CE), 0)
    assert plain.shape == (3, 2, *SHAPE)


@pytest.mark.parametrize("cut", list(TeacherFrames))
def test_a_network_learns_from_recordings(tmp_path: Path, cut: TeacherFrames) -> None:
    write_nmnist_set(tmp_path / "data", 100, 10)
    changes = {"epochs": 3, "batch_size": 6, "width": 1.0, "student_steps": 2, "teacher_steps": 3}
    config = configure(
        "n-mnist", None, {**changes, "shift": 0, "rotate": 0.0, "scale": 0.0, "lr": 8e-3}
    )
    config = replace(config, teacher_frames=cut)
    data = load("n-mnist", tmp_path / "data", framing=config.framing())
    assert [len(s) for s in (data.train, data.val, data.test)] == [90, 10, 10]
    outcome = train(config, data, tmp_path / "run")
    first, *_, last = outcome.position.history
    assert last["loss"] < 0.95 * first["loss"]
    assert len(outcome.accuracy["test_at_step"]) == 3
