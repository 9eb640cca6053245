"""Every command that reads JSON or TOML: what cannot be read is one message and exit code 2."""

from pathlib import Path

import pytest
from strategies import random_conv_network

from tssd.calibration.int_network import Reset
from tssd.cli import main
from tssd.export.bundle.folder import write_bundle

DAMAGE = {
    "cut": b'{"schema": ',
    "deep": b"[" * 200_000,
    "deep table": b"a = " + b"[" * 200_000,
    "no text": b"\xff\xfe\x00\x80",
    "nothing": b"",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "bundle"
    write_bundle(folder, random_conv_network(5, Reset.SOFT))
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("command", ["check", "report", "targets", "train", "verify"])
def test_damage_is_one_message(
    bundle: Path, command: str, damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = {"report": "report/report.json", "verify": "manifest.json"}.get(command, "text")
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(DAMAGE[damage])
    words = {
        "check": ["check", bundle, "--placement", path],
        "report": ["report", tmp_path],
        "targets": ["targets", "check", path],
        "train": ["train", "--config", path, "--dataset", "nowhere", "--out", tmp_path / "run"],
        "verify": ["verify", tmp_path],
    }
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words[command]])
    said = capsys.readouterr().err
    assert stopped.value.code == 2, said
    assert said.startswith("error: ")
    assert "found" in said
