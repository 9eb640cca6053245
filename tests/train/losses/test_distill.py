"""The precision term by hand: plain and gated."""

import math

import pytest
import torch

from tssd.errors import ConfigError
from tssd.train.config import Distance, TrainConfig, recorded
from tssd.train.losses.distill import distance, losses, precision

PLAIN = TrainConfig(bits="4", gamma=0.5)
GATED = TrainConfig(bits="4", gamma=0.5, gated=True)
THREE = math.log(3)


def test_the_plain_term_compares_mean_logits() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(t, 3, 10, generator=generator) for t in (2, 6))
    found = precision(student, teacher, torch.tensor([1, 2, 3]), PLAIN)
    wanted = distance(student.mean(0), teacher.mean(0), PLAIN)
    assert found.item() == pytest.approx(wanted.item())


def test_the_gated_term_teaches_wrong_steps_alone_as_far_as_the_teacher_is_sure() -> None:
    """Two steps, two samples of class 0: one slot of four is wrong; its teacher gives class 0 with
    a probability of 3/4, and as logits (2 log 3, 0) at temperature 2 the same 3/4 against 1/4."""
    config = TrainConfig(bits="4", gamma=1, gated=True, loss=Distance.MSE)
    student = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    teacher = torch.tensor([[[5.0, 0.0], [THREE, 0.0]]])
    labels = torch.tensor([0, 0])
    apart = (THREE**2 + 1) / 2
    found = precision(student, teacher, labels, config).item()
    assert found == pytest.approx(0.75 * apart / 4)


def test_a_student_that_is_right_everywhere_is_left_alone() -> None:
    student = torch.eye(3)[None].expand(4, 3, 3)
    teacher = torch.randn(6, 3, 3, generator=torch.Generator().manual_seed(1))
    assert precision(student, teacher, torch.arange(3), GATED).item() == 0


def test_a_teacher_in_doubt_says_less() -> None:
    student, labels = torch.tensor([[[0.0, 4.0]]]), torch.tensor([0])
    sure, unsure = (torch.tensor([[[x, 0.0]]]) for x in (4.0, -4.0))
    terms = [precision(student, teacher, labels, GATED).item() for teacher in (sure, unsure)]
    assert terms[0] > 50 * terms[1]


@pytest.mark.parametrize("config", [PLAIN, GATED])
def test_the_float_teacher_gets_no_gradient(config: TrainConfig) -> None:
    student, teacher = (torch.randn(4, 3, 5, requires_grad=True) for _ in range(2))
    precision(student, teacher, torch.tensor([0, 1, 2]), config).backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_gamma_weighs_it_in_the_total_whatever_the_ramp() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, teacher = (torch.randn(4, 3, 10, generator=generator) for _ in range(2))
    labels = torch.tensor([1, 2, 3])
    terms = losses(logits, None, labels, 4, PLAIN, ramp=0.0, in_float=teacher)
    assert terms.precision.item() > 0
    assert terms.total.item() == pytest.approx((terms.task + 0.5 * terms.precision).item())
    assert losses(logits, None, labels, 4, PLAIN).precision.item() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": 1.0}, "gamma.*allowed: 0 without bits"),
        ({"gamma": -1.0, "bits": "4"}, "gamma.*allowed: >= 0"),
        ({"gated": True, "bits": "4"}, "gated.*allowed: false without gamma"),
        (
            {"gamma": 1.0, "bits": "4", "teacher_frames": "resliced", "dataset": "n-mnist"},
            "gamma.*allowed: 0 with teacher_frames resliced",
        ),
    ],
)
def test_what_cannot_act_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recorded({**TrainConfig().to_table(), **changes}, "test")
