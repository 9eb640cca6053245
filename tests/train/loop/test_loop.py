"""The loop: killed and resumed, averaged, shared by two processes; logs."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_digits import SMALL, few_digits

from tssd.errors import ConfigError
from tssd.train.config import recorded
from tssd.train.data.data_sets import Dataset
from tssd.train.loop.average import estimate_norms
from tssd.train.loop.checkpoint import CHECKPOINT, load_net, read_checkpoint
from tssd.train.loop.loop import train
from tssd.train.networks.coding import to_current
from tssd.train.networks.models import build
from tssd.train.networks.network import Unrolling

ROOT = Path(__file__).parents[3]
KILLED = """
import sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
from tssd.train.config import TrainConfig
from tssd.train.data.data_sets import load
from tssd.train.loop.loop import train
config = TrainConfig(epochs=2, batch_size=32, train_limit=96, lr=5e-3, student_steps=2,
                     teacher_steps=3, ema=0.9, save_every_s=0.0)
data = load("digits")
data = replace(data, val=data.val.first(40), test=data.test.first(40))
def show(epoch, batch, means):
    if epoch == 1 and batch == 2 and "die" in sys.argv:
        print("now", flush=True)
        import time; time.sleep(60)
train(config, data, Path(sys.argv[1]), resume="resume" in sys.argv, progress=show)
"""


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return few_digits()


def states(folder: Path, start: str) -> dict[str, torch.Tensor]:
    tensors = read_checkpoint(folder / CHECKPOINT).tensors
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def script(*arguments: str) -> list[str]:
    return [sys.executable, "-c", KILLED, *arguments]


@pytest.mark.slow
def test_a_killed_process_resumes_bit_for_bit(tmp_path: Path) -> None:
    """kill -9 in the middle of the second epoch."""
    subprocess.run(script(str(tmp_path / "whole")), check=True, cwd=ROOT, timeout=300)
    dying = script(str(tmp_path / "cut"), "die")
    with subprocess.Popen(dying, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGKILL)
    position = read_checkpoint(tmp_path / "cut" / CHECKPOINT).position
    assert (position.epoch, position.batch) == (1, 2)
    resuming = script(str(tmp_path / "cut"), "resume")
    subprocess.run(resuming, check=True, cwd=ROOT, timeout=300)
    whole, cut = (
        read_checkpoint(tmp_path / name / CHECKPOINT).tensors for name in ("whole", "cut")
    )
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[key], cut[key]) for key in whole)


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    digits: Dataset, tmp_path: Path
) -> None:
    config = replace(SMALL, epochs=1)
    train(config, digits, tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "config.toml").write_text(config.to_toml())
    train(config, digits, tmp_path / "cut", resume=True)
    a, b = (states(tmp_path / name, "net.") for name in ("whole", "cut"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_the_average_is_what_is_deployed(digits: Dataset, tmp_path: Path) -> None:
    outcome = train(replace(SMALL, ema=0.5), digits, tmp_path)
    raw, mean = states(tmp_path, "net."), states(tmp_path, "deployed.")
    assert raw.keys() == mean.keys()
    assert any(not torch.equal(raw[key], mean[key]) for key in raw)
    net, _ = load_net(tmp_path)
    assert all(torch.equal(net.state_dict()[key], mean[key]) for key in mean)
    assert all(torch.equal(outcome.net.state_dict()[key], mean[key]) for key in mean)


def test_the_average_by_hand(digits: Dataset) -> None:
    from tssd.train.loop.average import Average

    net = build(SMALL, (1, 8, 8), 10)
    average = Average(net, 0.75, {})
    before = next(net.parameters()).detach().clone()
    with torch.no_grad():
        next(net.parameters()).add_(4.0)
    average.update(net)
    name = next(iter(dict(net.named_parameters())))
    torch.testing.assert_close(average.values[name], before + 1.0)


def test_statistics_estimated_anew_are_the_mean_over_the_batches() -> None:
    net = build(replace(SMALL, model="vgg-small", width=0.2), (1, 8, 8), 10)
    batches = [
        (np.random.default_rng(i).integers(0, 256, (8, 1, 8, 8), np.uint8), np.zeros(8, np.int64))
        for i in range(3)
    ]
    found = []
    for chosen in ([batches[0]], [batches[1]], batches[:2]):
        estimate_norms(net, iter(chosen), 5, 2)
        found.append(net.state_dict()["stages.conv1.links.0.norm.running_mean"].clone())
    torch.testing.assert_close(found[2], (found[0] + found[1]) / 2)
    assert not net.training


def test_accuracy_with_and_without_estimated_statistics(digits: Dataset, tmp_path: Path) -> None:
    config = replace(SMALL, model="vgg-small", width=0.2, epochs=1, norm_batches=2)
    outcome = train(config, digits, tmp_path)
    assert {"test", "test_before_norm_batches"} <= outcome.accuracy.keys()
    name = "stages.conv1.links.0.norm.running_mean"
    raw, deployed = states(tmp_path, "net."), states(tmp_path, "deployed.")
    assert not torch.equal(raw[name], deployed[name])
    assert torch.equal(load_net(tmp_path)[0].state_dict()[name], deployed[name])


def test_history_has_the_accuracy_at_every_number_of_steps(digits: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    train(replace(SMALL, tensorboard=True), digits, tmp_path)
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(row["val_accuracy"] == row["val_at_2"] for row in rows)
    assert {"val_at_1", "val_at_3", "spike_rate", "synops"} <= rows[0].keys()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_an_older_run_has_the_defaults_of_newer_options(digits: Dataset) -> None:
    table = {k: v for k, v in SMALL.to_table().items() if k not in ("ema", "surrogate", "depth")}
    assert recorded(table, "x") == SMALL


def test_how_a_run_is_carried_out_may_change(digits: Dataset, tmp_path: Path) -> None:
    train(replace(SMALL, epochs=1), digits, tmp_path)
    train(replace(SMALL, epochs=1, save_every_s=7.0), digits, tmp_path, resume=True)
    with pytest.raises(ConfigError, match="another value of ema"):
        train(replace(SMALL, epochs=1, ema=0.9), digits, tmp_path, resume=True)


SHARED = """
import sys
import numpy as np, torch
from tssd.train.networks import distributed
from tssd.train.config import Method, TrainConfig
from tssd.train.networks.models import build
from tssd.train.networks.network import scale_to_unit_current
from tssd.train.loop.step import update
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.Tensor.float = torch.Tensor.double  # images too
config = TrainConfig(model=sys.argv[2], width=0.1, student_steps=2, teacher_steps=3, clip=1.0,
                     method=Method(sys.argv[3]), rate_weight=1.0, synop_weight=1.0,
                     synop_budget=100.0, range_weight=0.1, range_limit=1.0, learn_leak=True)
images = np.random.default_rng(0).integers(0, 256, (8, 1, 16, 16), np.uint8)
labels = np.arange(8) % 10
with distributed.group("cpu"):
    net = build(config, (1, 16, 16), 10).double().train()
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    part = 8 // distributed.world()
    mine = images[distributed.rank() * part:(distributed.rank() + 1) * part]
    for _ in range(3):
        values = update(net, optimizer, config, mine, labels, 0, 1.0, net.connections())
    if distributed.rank() == 0:
        torch.save((net.state_dict(), values), sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "method"), [("vgg-small", "tssd"), ("ms-resnet-18", "s2w"), ("tiny", "tssd")]
)
def test_two_processes_equal_one_of_the_double_batch(
    model: str, method: str, tmp_path: Path
) -> None:
    """Three updates in float64: weights, running statistics and loss terms, to 1e-9."""
    program = tmp_path / "shared.py"
    program.write_text(SHARED)
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = []
    for start in ([], together):
        out = tmp_path / f"{len(start)}.pt"
        command = [sys.executable, *start, str(program), str(out), model, method]
        subprocess.run(command, check=True, env=environment, cwd=ROOT, timeout=500)
        found.append(torch.load(out))
    (alone, terms), (shared, same_terms) = found
    for key in alone:
        torch.testing.assert_close(shared[key], alone[key], rtol=1e-9, atol=1e-9)
    assert same_terms == pytest.approx(terms, rel=1e-9)


@pytest.mark.slow
def test_torchrun_trains_by_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += ["2", "-m", "tssd", "train", "--epochs", "1", "--out", str(tmp_path / "run")]
    command += ["--set", "train_limit=128", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"test":') == 1  # one process reports
    net, _ = load_net(tmp_path / "run")
    with torch.no_grad():
        assert net.run(to_current(np.zeros((1, 1, 8, 8), np.uint8)), Unrolling(1, 4))
