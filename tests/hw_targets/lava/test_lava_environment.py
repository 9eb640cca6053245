"""The Lava environment's life: built once, renamed when whole, safe to kill, honest when absent."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tssd.errors import TargetError
from tssd.hw_targets.lava import environment

ROOT = Path(__file__).resolve().parents[3]
FAKE = '#!/bin/sh\necho "3 10"\n'  # answers the probe like a Python 3.10


def fake_python(path: Path, text: str = FAKE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake_build(flavour: environment.Flavour, interpreter: Path, new: Path) -> dict[str, str]:
    fake_python(new / "bin" / "python")
    return {"lava-nc": "0.10.0"}


@pytest.fixture
def interpreter(tmp_path: Path) -> str:
    return str(fake_python(tmp_path / "python3.10"))


def test_install_builds_once_and_is_idempotent(tmp_path: Path, interpreter: str) -> None:
    built: list[str] = []

    def build(flavour: environment.Flavour, interpreter: Path, new: Path) -> dict[str, str]:
        built.append(flavour)
        return fake_build(flavour, interpreter, new)

    first = environment.install("light", interpreter, tmp_path / "cache", build)
    again = environment.install("light", interpreter, tmp_path / "cache", build)
    assert first == again
    assert built == ["light"]
    assert first.versions == {"lava-nc": "0.10.0"}


def test_a_failed_build_leaves_nothing(tmp_path: Path, interpreter: str) -> None:
    def broken(flavour: environment.Flavour, interpreter: Path, new: Path) -> dict[str, str]:
        (new / "half").write_text("done")
        raise TargetError("the Lava environment", found="pip failed (exit 1)")

    with pytest.raises(TargetError, match="pip failed"):
        environment.install("light", interpreter, tmp_path / "cache", broken)
    assert environment.existing("light", tmp_path / "cache") is None
    assert not list((tmp_path / "cache").glob(".building-*"))


def test_what_a_killed_build_left_is_not_taken_for_finished_and_is_removed(
    tmp_path: Path, interpreter: str
) -> None:
    root = tmp_path / "cache"
    fake_python(root / ".building-light-x" / "bin" / "python")
    fake_python(environment.folder("light", root) / "bin" / "python")  # no marker: not finished
    assert environment.existing("light", root) is None
    environment.install("light", interpreter, root, fake_build)
    assert environment.existing("light", root) is not None
    assert not list(root.glob(".building-*"))


def test_a_full_environment_does_light_work_but_not_the_reverse(
    tmp_path: Path, interpreter: str
) -> None:
    root = tmp_path / "cache"
    environment.install("light", interpreter, root, fake_build)
    with pytest.raises(TargetError, match="tssd lava install --full"):
        environment.locate("full", root)
    environment.install("full", interpreter, root, fake_build)
    assert environment.locate("full", root).flavour == "full"


def test_an_interpreter_that_does_not_start_is_refused(tmp_path: Path) -> None:
    shim = fake_python(tmp_path / "python3.10", "#!/bin/sh\nexit 127\n")
    with pytest.raises(TargetError, match="no Python 3.10 that starts"):
        environment.find_interpreter(str(shim))
    with pytest.raises(TargetError, match="--python PATH"):
        environment.find_interpreter(sys.executable)  # starts, but is another version


UV = """#!/bin/sh
case "$2 $3" in
  "find --no-project") [ -e "$0.fetched" ] && echo "$0.python" ;;
  "install 3.10") : > "$0.fetched" ;;
esac
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any Python 3.10: its only folder of commands."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path / "bin"


def test_what_uv_knows_is_found(bare: Path, tmp_path: Path) -> None:
    fake_python(bare / "uv", UV)
    known = fake_python(bare / "uv.python")
    (bare / "uv.fetched").touch()
    assert environment.find_interpreter() == known
    assert environment.status(tmp_path).interpreter == known


def test_uv_fetches_a_python_where_there_is_none(bare: Path, tmp_path: Path) -> None:
    fake_python(bare / "uv", UV)
    fake_python(bare / "uv.python")
    assert environment.status(tmp_path).fix == "tssd lava install --full"
    assert not (bare / "uv.fetched").exists()  # to ask is not to fetch
    built = environment.install("light", None, tmp_path / "cache", fake_build)
    assert (bare / "uv.fetched").exists()
    assert environment.existing("light", tmp_path / "cache") == built


def test_a_fetch_that_fails_shows_what_uv_said(bare: Path, tmp_path: Path) -> None:
    fake_python(bare / "uv", "#!/bin/sh\necho 'no route to host' >&2\nexit 2\n")
    with pytest.raises(TargetError, match=r"uv cannot fetch Python 3\.10 \(exit 2\)\nno route"):
        environment.install("light", None, tmp_path / "cache", fake_build)


def test_without_python_and_uv_install_says_what_helps(bare: Path, tmp_path: Path) -> None:
    assert not bare.exists()
    with pytest.raises(TargetError, match="pip install uv"):
        environment.install("light", None, tmp_path / "cache", fake_build)


def test_other_pins_mean_another_folder() -> None:
    assert environment.folder("light") != environment.folder("full")
    for flavour in environment.FLAVOURS:
        pins = [
            line
            for line in environment.requirements(flavour).read_text().splitlines()
            if line and not line.startswith("#")
        ]
        assert all("==" in line for line in pins)


def test_status_names_the_line_that_fixes(bare: Path, tmp_path: Path) -> None:
    without = environment.status(tmp_path)
    assert without.interpreter is None
    assert without.fix is not None
    assert without.fix.startswith("install Python 3.10, or uv")
    fake_python(tmp_path / "pyenv" / "versions" / "3.10.9" / "bin" / "python")
    assert environment.status(tmp_path).fix == "tssd lava install --full"


SLOW_BUILD = """
import sys, time
from pathlib import Path
from tssd.hw_targets.lava import environment

def build(flavour, interpreter, new):
    (new / "half").write_text("done")
    print("building", flush=True)
    time.sleep(600)

environment.install("light", sys.argv[1], Path(sys.argv[2]), build)
"""


def test_a_build_that_was_killed_leaves_the_way_free(tmp_path: Path, interpreter: str) -> None:
    root = tmp_path / "cache"
    command = [sys.executable, "-c", SLOW_BUILD, interpreter, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as build:
        assert build.stdout is not None
        assert build.stdout.readline() == "building\n"
        build.kill()
    assert list(root.glob(".building-*/half"))
    assert environment.existing("light", root) is None
    assert environment.install("light", interpreter, root, fake_build).flavour == "light"
    assert not list(root.glob(".building-*"))
