"""Files from elsewhere run no code: a module is imported only if this command line names it."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tssd.cli import cli, main
from tssd.errors import ConfigError
from tssd.train.config import TrainConfig
from tssd.train.loop.checkpoint import CHECKPOINT, Position, save_checkpoint
from tssd.train.networks.models import build

CONFIG = TrainConfig(model="tiny", epochs=1, batch_size=32, train_limit=32, student_steps=1)
EVIL = "import pathlib\npathlib.Path('ran').touch()\n\ndef build():\n    raise SystemExit(0)\n"


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder that names a module, and the module beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil_net.py").write_text(EVIL)
    run = tmp_path / "run"
    run.mkdir()
    net = build(CONFIG, (1, 8, 8), 10)
    named = replace(CONFIG, model="evil_net:build")
    save_checkpoint(run / CHECKPOINT, net, None, named, tuple("0123456789"), Position(), {})
    (run / "config.toml").write_text(named.to_toml())
    return run


@pytest.mark.parametrize(
    "words",
    [
        "export run --out b",
        "export run --out b --model another:build",
        "train --resume --out run",
        "train --config run/config.toml --out new",
        "study --config run/config.toml --out new",
        "inspect run",
    ],
)
def test_a_module_that_a_file_names_is_not_imported(words: str, hostile: Path) -> None:
    result = CliRunner().invoke(cli, words.split())
    assert not (hostile.parent / "ran").exists()
    if words != "inspect run":  # which shows the tensors and builds nothing
        assert isinstance(result.exception, ConfigError)
        assert "the module 'evil_net:build', whose code would run" in str(result.exception)
        assert "with --model 'evil_net:build' on this command line" in str(result.exception)
    assert not (hostile.parent / "b").exists()


def test_no_function_of_python_ends_an_export_as_if_it_were_done(
    hostile: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = build(CONFIG, (1, 8, 8), 10)
    named = replace(CONFIG, model="sys:exit")
    save_checkpoint(hostile / CHECKPOINT, net, None, named, tuple("0123456789"), Position(), {})
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(hostile), "--out", "b"])
    assert stopped.value.code == 2
    assert "'sys:exit', whose code would run" in capsys.readouterr().err
