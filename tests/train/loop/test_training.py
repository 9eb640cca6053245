"""Losses, configuration, the loop and its checkpoints."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file
from small_digits import SMALL, few_digits

from tssd.cli import cli
from tssd.commands.train import train as train_command
from tssd.errors import ConfigError, FileFormatError, TrainingError
from tssd.train.config import (
    Distance,
    Method,
    ReadoutLogit,
    TrainConfig,
    configure,
    parse_setting,
)
from tssd.train.data.data_sets import Dataset
from tssd.train.handover.float_network import Reset
from tssd.train.loop.checkpoint import (
    CHECKPOINT,
    Position,
    load_net,
    read_checkpoint,
    save_checkpoint,
)
from tssd.train.loop.loop import epoch_batches, train
from tssd.train.loop.schedule import rate
from tssd.train.losses.distill import distance, losses
from tssd.train.networks.models import build


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(path / CHECKPOINT).tensors


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_kl_by_hand() -> None:
    config = TrainConfig(temperature=2.0)
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0 * math.log(3), 0.0]])
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert distance(student, teacher, config).item() == pytest.approx(4 * expected, rel=1e-6)
    plain = replace(config, temperature_squared=False)
    assert distance(student, teacher, plain).item() == pytest.approx(expected, rel=1e-6)
    mse = replace(config, loss=Distance.MSE)
    assert distance(student, teacher, mse).item() == pytest.approx(2 * math.log(3) ** 2)


def test_a_detached_teacher_gets_no_gradient() -> None:
    for detach in (True, False):
        teacher = torch.randn(2, 5).requires_grad_()
        student = torch.randn(2, 5).requires_grad_()
        distance(student, teacher, TrainConfig(detach_teacher=detach)).backward()  # type: ignore[no-untyped-call]
        assert (teacher.grad is None) is detach


@pytest.mark.parametrize("method", list(Method))
def test_terms_of_each_method(method: Method) -> None:
    config = TrainConfig(method=method, alpha=0.25, beta=4.0)
    generator = torch.Generator().manual_seed(0)
    logits, weak = (torch.randn(6, 3, 10, generator=generator) for _ in range(2))
    terms = losses(logits, weak, torch.tensor([1, 2, 3]), 4, config, ramp=0.5)
    pairs_steps = method in (Method.S2W, Method.W2S)
    assert (terms.temporal > 0).item() is (method.temporal or pairs_steps)
    assert (terms.spatial > 0).item() is method.spatial
    expected = terms.task + 0.125 * terms.temporal + 2.0 * terms.spatial
    assert terms.total.item() == pytest.approx(expected.item())


def test_task_readouts() -> None:
    logits = torch.randn(6, 3, 10, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 2, 3])
    found = {
        readout: losses(logits, None, labels, 4, TrainConfig(task_readout=readout)).task.item()
        for readout in ReadoutLogit
    }
    expected = torch.nn.functional.cross_entropy(logits[:4].mean(0), labels).item()
    assert found[ReadoutLogit.STUDENT] == pytest.approx(expected)
    mean = (found[ReadoutLogit.STUDENT] + found[ReadoutLogit.TEACHER]) / 2
    assert found[ReadoutLogit.BOTH] == pytest.approx(mean)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle", "step"])
def test_rates_stay_within_the_largest(schedule: str) -> None:
    config = configure("digits", None, {"schedule": schedule})
    rates = [rate(config, done / 100) for done in range(100)]
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert min(rates) > 0


def test_config_survives_toml(tmp_path: Path) -> None:
    config = TrainConfig(alpha=0.125, flip=True, weak_stage="conv2", reset=SMALL.reset)
    path = tmp_path / "c.toml"
    path.write_text(config.to_toml())
    assert configure(None, path) == config


@pytest.mark.parametrize("name", ["3", "1.5", "[1]", "{}", "true", '"digit"'])
def test_a_data_set_that_is_none_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"dataset = {name}\n")
    with pytest.raises(ConfigError, match="training: dataset: found unknown data set"):
        configure(None, tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"teacher_steps": 4}, "teacher_steps: found 4; allowed: > student_steps = 4"),
        ({"epochs": 0}, "epochs: found 0; allowed: >= 1"),
        ({"method": "tsdd"}, "'tsdd'; allowed: ce, tet, tsd, ssd, tssd, s2w, w2s.*(?s:.)*'tsd'"),
        ({"model": "vgg-smal"}, "did you mean 'vgg-small'"),
        ({"reset": "none"}, "allowed: soft, hard"),
        ({"lr": "fast"}, "lr: found 'fast'; allowed: a number"),
    ],
)
def test_bad_options_are_named(changes: dict[str, Any], message: str, digits: Dataset) -> None:
    with pytest.raises(ConfigError, match=message):
        train(configure("digits", None, changes), digits, Path("never"))


def test_settings_from_the_command_line() -> None:
    assert parse_setting("alpha=0.5") == ("alpha", 0.5)
    assert parse_setting("flip=true") == ("flip", True)
    assert parse_setting("shift=2") == ("shift", 2)
    with pytest.raises(ConfigError, match="allowed: a whole number"):
        parse_setting("shift=two")
    with pytest.raises(ConfigError, match="did you mean 'alpha'"):
        parse_setting("alfa=1")


def test_batches_depend_on_seed_and_epoch_alone(digits: Dataset) -> None:
    first, again, other = (
        [images for images, _ in epoch_batches(replace(SMALL, shift=1), digits.train, epoch)]
        for epoch in (0, 0, 1)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_run_is_reproducible_and_leaves_its_folder(digits: Dataset, tmp_path: Path) -> None:
    outcomes = [train(SMALL, digits, tmp_path / name) for name in "ab"]
    assert same(tensors(tmp_path / "a"), tensors(tmp_path / "b"))
    assert outcomes[0].accuracy == outcomes[1].accuracy
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert files == [CHECKPOINT, "config.toml", "history.csv", "manifest.json"]
    assert len((tmp_path / "a" / "history.csv").read_text().splitlines()) == 3
    net, checkpoint = load_net(tmp_path / "a")
    assert checkpoint.config == SMALL
    assert torch.equal(net(torch.ones(1, 1, 8, 8)), outcomes[0].net(torch.ones(1, 1, 8, 8)))


@pytest.mark.parametrize("stop", [2, 4])
def test_an_interrupted_run_resumes_bit_for_bit(digits: Dataset, tmp_path: Path, stop: int) -> None:
    """Ctrl-C after *stop* batches (in the middle of the first or the second epoch)."""
    seen = 0

    def interrupt(epoch: int, batch: int, means: dict[str, float]) -> None:
        nonlocal seen
        seen += 1
        if seen == stop:
            raise KeyboardInterrupt

    train(SMALL, digits, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(SMALL, digits, tmp_path / "cut", progress=interrupt)
    train(SMALL, digits, tmp_path / "cut", resume=True)
    assert same(tensors(tmp_path / "whole"), tensors(tmp_path / "cut"))


def test_a_loss_that_is_no_number_keeps_the_last_state(digits: Dataset, tmp_path: Path) -> None:
    """The first update makes weights that are huge but finite, the second cannot."""
    wild = replace(SMALL, lr=1e38, save_every_s=0.0)
    with pytest.raises(
        TrainingError, match=r"(?s)epoch 1, batch 2: found loss (nan|inf).*try: a lower"
    ):
        train(wild, digits, tmp_path)
    kept = read_checkpoint(tmp_path / CHECKPOINT)
    assert kept.position.batch == 1
    with pytest.raises(TrainingError, match="nothing was saved yet"):
        train(replace(wild, save_every_s=60.0), digits, tmp_path / "unsaved")
    assert all(torch.isfinite(t).all() for t in kept.tensors.values())


def test_a_run_begins_with_the_weights_of_another(digits: Dataset, tmp_path: Path) -> None:
    train(replace(SMALL, epochs=1), digits, tmp_path / "first")
    still = replace(SMALL, epochs=1, lr=1e-30, reset=Reset.HARD)
    train(still, digits, tmp_path / "second", start_from=tmp_path / "first")
    first, second = (
        {k: v for k, v in tensors(tmp_path / name).items() if k.startswith("net.")}
        for name in ("first", "second")
    )
    assert same(first, second)


@pytest.mark.parametrize(("before", "after"), [(Method.TSSD, Method.CE), (Method.CE, Method.TSSD)])
def test_weak_classifiers_need_not_be_in_the_run_to_begin_with(
    digits: Dataset, tmp_path: Path, before: Method, after: Method
) -> None:
    train(replace(SMALL, epochs=1, method=before), digits, tmp_path / "first")
    still = replace(SMALL, epochs=1, lr=1e-30, method=after)
    train(still, digits, tmp_path / "second", start_from=tmp_path / "first")
    first, second = (tensors(tmp_path / name) for name in ("first", "second"))
    trunk = [k for k in first if k.startswith("net.") and "weak" not in k]
    assert trunk
    assert same({k: first[k] for k in trunk}, {k: second[k] for k in trunk})


def test_damaged_and_foreign_checkpoints(digits: Dataset, tmp_path: Path) -> None:
    train(replace(SMALL, epochs=1), digits, tmp_path)
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    with pytest.raises(ConfigError, match="another value of lr"):
        train(replace(SMALL, epochs=1, lr=1.0), digits, tmp_path, resume=True)
    path.write_bytes(whole.replace(b"tiny", b"vgg-small"[:4]))
    with pytest.raises((FileFormatError, ConfigError)):
        load_net(tmp_path)
    path.write_bytes(whole.replace(b'"position":', b'"pasition":'))
    with pytest.raises(FileFormatError, match="a header without position"):
        load_net(tmp_path)
    path.write_bytes(whole[:-100])
    with pytest.raises(FileFormatError, match="no whole safetensors file"):
        load_net(tmp_path)
    path.unlink()
    with pytest.raises(FileFormatError, match="no such file"):
        load_net(tmp_path)


HEADERS = {
    "position": (
        "",
        "[]",
        '{"epoch": -1}',
        '{"batch": "x"}',
        '{"sums": {"loss": "x"}}',
        "[" * 999,
    ),
    "input_shape": ("null", "[0]", "[1e9]", "[1000000000, 9]", '["a"]'),
    "classes": ("{}", "[]", "[1]"),
    "config": ("[]", '{"depth": 1e9}', '{"student_steps": 1000000000}', '{"epochs": NaN}', "7"),
}


@pytest.mark.parametrize(("key", "text"), [(k, t) for k, texts in HEADERS.items() for t in texts])
def test_a_checkpoint_s_header_is_typed(key: str, text: str, tmp_path: Path) -> None:
    net = build(SMALL, (1, 8, 8), 10)
    path = tmp_path / CHECKPOINT
    save_checkpoint(path, net, None, SMALL, tuple("0123456789"), Position(), {})
    header, kept = stored(path)
    save_file(kept, path, header | {key: text})
    with pytest.raises((FileFormatError, ConfigError), match="found"):
        load_net(tmp_path)


def stored(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    with safe_open(str(path), framework="pt") as file:
        return file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("name", ["optimizer.", "optimizer.x.exp_avg", "optimizer.0.exp_avg"])
def test_a_state_of_no_optimizer_is_refused(name: str, digits: Dataset, tmp_path: Path) -> None:
    train(replace(SMALL, epochs=1), digits, tmp_path)
    header, kept = stored(tmp_path / CHECKPOINT)
    save_file(kept | {name: torch.zeros(7)}, tmp_path / CHECKPOINT, header)
    with pytest.raises(FileFormatError, match="tensor 'optimizer"):
        train(replace(SMALL, epochs=1), digits, tmp_path, resume=True)


def test_a_checkpoint_of_another_architecture(digits: Dataset, tmp_path: Path) -> None:
    from tssd.train.loop.checkpoint import load_weights

    train(replace(SMALL, epochs=1), digits, tmp_path)
    other = build(replace(SMALL, model="vgg-small"), (1, 8, 8), 10)
    with pytest.raises(FileFormatError, match=r"(?s)'stages.*another architecture"):
        load_weights(other, tensors(tmp_path), "x")


def test_the_command(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path / "run"), "--epochs", "1", "--json"]
    settings = ["--set", "train_limit=64", "--set", "batch_size=32"]
    result = CliRunner().invoke(train_command, [*arguments, *settings])
    assert result.exit_code == 0, result.output
    assert '"test":' in result.output
    with pytest.raises(ConfigError, match="--resume goes on with a run"):
        CliRunner().invoke(cli, ["train", *arguments], catch_exceptions=False)
