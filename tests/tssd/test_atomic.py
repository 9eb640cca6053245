"""Files and folders that appear whole: who writes, who died, what is in the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tssd import atomic
from tssd.atomic import check_room, check_writable, folder_written_whole, held, written_whole
from tssd.errors import ConfigError, FileFormatError

WRITER = """
import sys
from pathlib import Path
from tssd.atomic import written_whole
with written_whole(Path(sys.argv[1])) as part:
    part.write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that has half written ``out.json``."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "out.json")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_living_writer_is_left_alone(tmp_path: Path, writer: "subprocess.Popen[str]") -> None:
    atomic.write_text(tmp_path / "out.json", "ours")
    assert len(names(tmp_path)) == 2  # its part is still there
    writer.communicate()  # and it ends as if it were alone
    assert writer.returncode == 0
    assert (tmp_path / "out.json").read_text() == "half"
    assert names(tmp_path) == ["out.json"]


def test_a_dead_writer_s_part_is_cleared_by_the_next(
    tmp_path: Path, writer: "subprocess.Popen[str]"
) -> None:
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    (part,) = tmp_path.iterdir()
    # in a container the next program may well have the number of the dead one
    part.rename(tmp_path / f".out.json.{os.getpid()}.part")
    atomic.write_text(tmp_path / "out.json", "ours")
    assert names(tmp_path) == ["out.json"]


def test_leftovers_of_other_names_stay(tmp_path: Path) -> None:
    for name in (".other.1234.part", ".out[1].5.part"):
        (tmp_path / name).mkdir()
    atomic.write_text(tmp_path / "out1", "x")
    assert names(tmp_path) == [".other.1234.part", ".out[1].5.part", "out1"]
    atomic.write_text(tmp_path / "out[1]", "x")
    assert names(tmp_path) == [".other.1234.part", "out1", "out[1]"]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def fail() -> None:
        with written_whole(path) as part:
            part.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_link_stays_and_a_device_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    atomic.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    atomic.write_text(Path("/dev/null"), "gone")
    assert not Path("/dev/null").is_file()


def test_long_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 125)
    atomic.write_text(path, "x")
    assert names(tmp_path) == [path.name]


def refuse() -> None:
    raise FileFormatError("there", found="another")


def test_a_folder_replaces_nothing_that_came_meanwhile(tmp_path: Path) -> None:
    """Two writers of one name: the first to end stays, whole."""
    out = tmp_path / "b"

    def second() -> None:
        with folder_written_whole(out, refuse) as part:
            (part / "who").write_text("second")
            with folder_written_whole(out, refuse) as first:
                (first / "who").write_text("first")

    with pytest.raises(FileFormatError, match="found another"):
        second()
    assert (out / "who").read_text() == "first"
    assert names(tmp_path) == ["b"]


def test_the_last_moment_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place was free when asked and is not when renamed: rename itself refuses."""
    out = tmp_path / "b"
    out.mkdir()
    (out / "who").write_text("first")
    monkeypatch.setattr(os.path, "lexists", lambda path: False)

    def second() -> None:
        with folder_written_whole(out, refuse) as part:
            (part / "who").write_text("second")

    with pytest.raises(FileFormatError, match="another process wrote meanwhile"):
        second()
    assert (out / "who").read_text() == "first"


def test_without_an_atomic_exchange_a_kill_between_two_renames_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old folder then stands in the dead writer's part; the next writer puts it back first."""
    out = tmp_path / "b"
    part = tmp_path / ".b.0123.part"
    (part / "b.old").mkdir(parents=True)
    (part / "b.old" / "who").write_text("old")

    def write() -> None:
        with folder_written_whole(out, refuse):
            pass

    with pytest.raises(FileFormatError, match="found another"):
        write()
    assert (out / "who").read_text() == "old"
    assert names(tmp_path) == ["b"]


def test_outputs_are_tried_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "trace.json", "--trace")
    assert names(tmp_path) == []
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path, "found a folder; allowed: the name of a file"),
        (tmp_path / "none" / "x", "found no folder .*none"),
        (Path("/proc/x"), "found a place that cannot be written to"),
    ):
        with pytest.raises(ConfigError, match=rf"--trace {path}: {words}"):
            check_writable(path, "--trace")
    check_room(tmp_path / "new" / "deep" / "b", "--out")
    assert names(tmp_path) == ["file"]
    with pytest.raises(ConfigError, match="found a file .*file; allowed: a folder above it"):
        check_room(tmp_path / "file" / "b", "--out")


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with held(tmp_path) as first, held(tmp_path) as second:
        assert (first, second) == (True, False)
    with held(tmp_path) as again:
        assert again


def test_all_that_the_dead_left_in_a_folder_goes(
    tmp_path: Path, writer: "subprocess.Popen[str]"
) -> None:
    """Whatever they were writing; what a living one writes stays, and so does what is another's."""
    old = tmp_path / ".b.01234567.part" / "b.old"
    old.mkdir(parents=True)
    for name in (".a.89abcdef.part", ".mine.part"):
        (tmp_path / name).mkdir()
    atomic.clear_leftovers(tmp_path)
    (living,) = tmp_path.glob(".out.json.*.part")
    assert names(tmp_path) == sorted([".mine.part", living.name, "b"])
    writer.communicate()
    assert (tmp_path / "out.json").read_text() == "half"
