"""Losses of temporal, spatial and precision distillation, pure functions of logits (T, B, classes).

    L = task + alpha * temporal + beta * spatial + gamma * precision

    temporal:  the mean logits over the first T_s steps follow those over all T_t steps
    spatial:   the mean logits of a weak classifier follow those of the final readout
    precision: the mean logits of few bits over T_s steps follow those of the float network over T_t

The structure is that of TSSD (arXiv 2406.07862); the forms and weights below are *ours*, as the
paper's equations could not be checked. See docs/training.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from tssd.train.config import Distance, Method, ReadoutLogit, TrainConfig


@dataclass(frozen=True)
class Losses:
    """The terms of one batch, unweighted, and their weighted total."""

    total: Tensor
    task: Tensor
    temporal: Tensor
    spatial: Tensor
    precision: Tensor


def mean_logits(logits: Tensor, steps: int) -> Tensor:
    """(B, classes): the mean over the first *steps* steps."""
    return logits[:steps].mean(0)


def distance(student: Tensor, teacher: Tensor, config: TrainConfig) -> Tensor:
    """KL(softmax(teacher / tau) || softmax(student / tau)), times tau^2 if asked, or the MSE, in
    the mean of the samples."""
    goal = teacher.detach() if config.detach_teacher else teacher
    return divergences(student, goal, config).mean()


def divergences(student: Tensor, goal: Tensor, config: TrainConfig) -> Tensor:
    """``distance`` of every sample by itself: (..., classes) -> (...)."""
    if config.loss is Distance.MSE:
        return (student - goal).square().mean(-1)
    tau = config.temperature
    divergence = functional.kl_div(
        functional.log_softmax(student / tau, -1),
        functional.log_softmax(goal / tau, -1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    return divergence * tau**2 if config.temperature_squared else divergence


def task_loss(
    logits: Tensor, labels: Tensor, student_steps: int, config: TrainConfig, teacher_start: int = 0
) -> Tensor:
    """Cross-entropy of the student's mean, the teacher's mean, or the mean of both; of each step
    alone for TET."""
    if config.method is Method.TET:
        return torch.stack([_cross_entropy(step, labels, config) for step in logits]).mean()
    student, teacher = mean_logits(logits, student_steps), logits[teacher_start:].mean(0)
    alone = logits.shape[0] == student_steps  # without a teacher's steps there is one readout
    chosen = {
        ReadoutLogit.STUDENT: (student,),
        ReadoutLogit.TEACHER: (teacher,),
        ReadoutLogit.BOTH: (student,) if alone else (student, teacher),
    }[config.task_readout]
    parts = [_cross_entropy(mean, labels, config) for mean in chosen]
    return torch.stack(parts).mean()


def _cross_entropy(logits: Tensor, labels: Tensor, config: TrainConfig) -> Tensor:
    return functional.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)


def by_confidence(logits: Tensor) -> tuple[int, int]:
    """(strongest, weakest) step: the batch mean of the largest class probability."""
    confidence = logits.detach().softmax(-1).amax(-1).mean(-1)
    return int(confidence.argmax()), int(confidence.argmin())


def strong_weak(logits: Tensor, config: TrainConfig) -> Tensor:
    """The strongest step teaches the weakest one (s2w), or the weakest the strongest (w2s).

    One pair of steps per batch, as in arXiv 2510.07924; whether its teacher is detached and a
    factor tau^2 is on are options of ours here.
    """
    strong, weak = by_confidence(logits)
    teacher, student = (strong, weak) if config.method is Method.S2W else (weak, strong)
    return distance(logits[student], logits[teacher], config)


def precision(student: Tensor, teacher: Tensor, labels: Tensor, config: TrainConfig) -> Tensor:
    """How far few bits are from the float network: *student* (T_s, B, classes) beside *teacher*
    (T_t, B, classes), both as distributions, the teacher's without gradient.

        plain   distance(mean of student's steps, mean of teacher's)
        gated   mean over steps t and samples b of  [argmax student[t, b] is wrong] * confidence[b]
                * distance(student[t, b], mean of teacher's b)

    with confidence[b] the probability that the teacher's mean gives the right class: a step that
    is right is left alone, and a teacher in doubt says little. The gated form is *ours*.
    """
    goal = teacher.mean(0).detach()
    if not config.gated:
        return distance(student.mean(0), goal, config)
    wrong = (student.argmax(-1) != labels).to(goal)
    confidence = goal.softmax(-1).gather(1, labels[:, None])[:, 0]
    apart = divergences(student, goal.expand_as(student), config)
    return (wrong * confidence * apart).mean()


def _spatial(student: Tensor, teacher: Tensor, labels: Tensor, config: TrainConfig) -> Tensor:
    """One weak classifier's distance to the final readout, and its cross-entropy if asked."""
    term = distance(student, teacher, config)
    return term + _cross_entropy(student, labels, config) if config.weak_cross_entropy else term


def losses(
    logits: Tensor,
    weak: Tensor | Sequence[Tensor] | None,
    labels: Tensor,
    student_steps: int,
    config: TrainConfig,
    ramp: float = 1.0,
    teacher_start: int = 0,
    in_float: Tensor | None = None,
) -> Losses:
    """All terms; *ramp* in 0..1 scales alpha and beta; weak classifiers count by their mean.

    The teacher's steps are those from *teacher_start* on: all, or those behind the student's
    where it made a run of its own. *in_float* are the float network's logits, the precision term's
    teacher.
    """
    task = task_loss(logits, labels, student_steps, config, teacher_start)
    zero = task.new_zeros(())
    temporal = spatial = narrow = zero
    if config.method.temporal:
        teacher = logits[teacher_start:].mean(0)
        temporal = distance(mean_logits(logits, student_steps), teacher, config)
    if config.method in (Method.S2W, Method.W2S):
        temporal = strong_weak(logits, config)
    if config.method.spatial and weak is not None:
        by_student = config.spatial_steps is ReadoutLogit.STUDENT
        steps = slice(student_steps) if by_student else slice(teacher_start, None)
        heads = weak if isinstance(weak, Sequence) else [weak]
        parts = [
            _spatial(head[steps].mean(0), logits[steps].mean(0), labels, config) for head in heads
        ]
        spatial = torch.stack(parts).mean()
    if in_float is not None:
        narrow = precision(logits[:student_steps], in_float, labels, config)
    total = task + ramp * (config.alpha * temporal + config.beta * spatial) + config.gamma * narrow
    return Losses(total, task, temporal, spatial, narrow)
