"""The digits, few of them to judge by, and a run on them that takes seconds."""

from dataclasses import replace

from tssd.train.config import TrainConfig
from tssd.train.data.data_sets import Dataset, load

SMALL = TrainConfig(
    epochs=2, batch_size=32, train_limit=96, lr=5e-3, student_steps=2, teacher_steps=3
)


def few_digits() -> Dataset:
    """40 to validate and 40 to test with."""
    data = load("digits")
    return replace(data, val=data.val.first(40), test=data.test.first(40))
