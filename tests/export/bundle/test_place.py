"""What --force may replace: a bundle, and nothing that is not one."""

from pathlib import Path

import pytest
from strategies import random_conv_network

from tssd.calibration.int_network import Reset
from tssd.errors import ConfigError
from tssd.export.bundle.folder import write_bundle
from tssd.export.bundle.place import check_place


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    out = tmp_path / "b"
    write_bundle(out, random_conv_network(3, Reset.HARD))
    return out


def test_a_bundle_with_its_report_is_replaced_with_force_alone(bundle: Path) -> None:
    (bundle / "report").mkdir()
    (bundle / "report" / "report.json").touch()
    check_place(bundle, force=True)
    with pytest.raises(ConfigError, match="exists already.*\n.*--force to replace the bundle"):
        check_place(bundle, force=False)


def refused(out: Path, words: str, *inputs: Path) -> None:
    before = sorted(out.parent.rglob("*"))
    with pytest.raises(ConfigError, match=words):
        check_place(out, force=True, inputs=inputs)
    assert sorted(out.parent.rglob("*")) == before


def test_files_links_and_other_folders_stay(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(bundle)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "photos").mkdir()
    refused(tmp_path / "file", "found a file")
    refused(tmp_path / "link", "found a link")
    refused(tmp_path / "dangling", "found a link")
    refused(tmp_path / "photos", r"found no bundle \(.*manifest.json: no such file\)")
    (tmp_path / "photos" / "manifest.json").write_text("{}")
    refused(tmp_path / "photos", "found no bundle .*schema None")


@pytest.mark.parametrize("name", ["notes.txt", "report/plot.png", ".git", "report/report.json.bak"])
def test_a_bundle_with_something_else_in_it_stays(bundle: Path, name: str) -> None:
    path = bundle / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    refused(bundle, f"found a bundle with {name}, which is not of it")


def test_no_input_is_replaced(bundle: Path, tmp_path: Path) -> None:
    refused(bundle, "the place of the input .*network.nir", bundle / "network.nir")
    refused(bundle, "the place of the input", tmp_path / "x" / ".." / "b")
    check_place(bundle, force=True, inputs=(tmp_path / "other.nir",))


def test_the_folder_one_works_in_stays(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bundle)
    for out in (Path(), Path(".."), bundle):
        with pytest.raises(ConfigError, match="found the folder that you work in"):
            check_place(out, force=True)


def test_a_place_below_a_file_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--out .*file/b: found a file"):
        check_place(tmp_path / "file" / "b", force=False)
