"""Weights as people save them: taken by name and shape, never by running what a pickle holds."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tssd.chain.weights import load_weights, read_weights, unwrapped
from tssd.errors import FileFormatError, NetworkError


def build() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def trained() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return dict(build().state_dict())


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in trained().items()}


class Payload:
    """A pickle that would make a folder when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth"])
def test_every_kind_of_file_gives_the_same_network(name: str, tmp_path: Path) -> None:
    save = save_file if name.endswith("safetensors") else torch.save
    save(trained(), tmp_path / name)
    net = build()
    load_weights(net, tmp_path / name)
    assert all(torch.equal(net.state_dict()[key], value) for key, value in trained().items())


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": trained(), "epoch": 3, "optimizer": {"lr": 0.1}},
        {"model_state_dict": trained()},
        {"state_dict": prefixed("module.")},
        prefixed("module."),
        prefixed("_orig_mod.module."),
        {"state_dict": prefixed("model.")},
    ],
)
def test_what_wraps_a_state_dict_is_understood(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    net = build()
    load_weights(net, tmp_path / "w.pt")
    assert torch.equal(net.state_dict()["1.weight"], trained()["1.weight"])


def test_a_module_that_is_called_module_keeps_its_name() -> None:
    wrapped = prefixed("module.")
    assert unwrapped(wrapped, wrapped) is wrapped


def test_names_and_shapes_that_do_not_fit_are_listed_together(tmp_path: Path) -> None:
    odd = trained() | {"2.weight": torch.zeros(1), "0.weight": torch.zeros(3, 5)}
    del odd["1.bias"]
    torch.save(odd, tmp_path / "w.pt")
    wanted = (
        r"missing: 1\.bias; not in the module: 2\.weight; shape: 0\.weight \(3, 5\) for \(3, 2\)"
    )
    with pytest.raises(NetworkError, match=wanted):
        load_weights(build(), tmp_path / "w.pt")


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    torch.save(trained() | {"1.bias": torch.tensor([torch.nan])}, tmp_path / "w.pt")
    with pytest.raises(NetworkError, match=r"w\.pt: 1\.bias: found NaN or infinity"):
        load_weights(build(), tmp_path / "w.pt")


def test_a_whole_module_is_refused_with_the_line_that_saves_its_weights(tmp_path: Path) -> None:
    torch.save(build(), tmp_path / "w.pt")
    with pytest.raises(
        FileFormatError, match=r"(?s)pickled torch\.nn\..*Sequential.*state_dict\(\)"
    ):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("save", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_nothing_a_pickle_holds_is_run(save: Callable[..., object], tmp_path: Path) -> None:
    save({"0.weight": Payload(tmp_path / "ran")}, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match="a pickled posix.mkdir|no readable weights"):
        read_weights(tmp_path / "w.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("cut", [0, 1, 100, -100])
def test_cut_files_are_refused(cut: int, tmp_path: Path) -> None:
    for old in (False, True):
        torch.save(trained(), tmp_path / "w.pt", _use_new_zipfile_serialization=not old)
        whole = (tmp_path / "w.pt").read_bytes()
        (tmp_path / "w.pt").write_bytes(whole[:cut])
        with pytest.raises(FileFormatError, match="no readable weights|an empty file"):
            read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pt", None, "no such file"),
        ("w.pt", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        ("w.safetensors", b"no weights", "no readable weights"),
        ("w.bin", b"no weights", "no readable weights"),
    ],
)
def test_other_files_are_refused(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_weights(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "found list; allowed: a state dict"),
        ({"epoch": 3, "lr": 0.1}, "found the keys epoch, lr"),
        ({}, "found nothing"),
    ],
)
def test_a_file_without_tensors_says_what_it_holds(
    content: object, message: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match=message):
        read_weights(tmp_path / "w.pt")
