"""The small modules of ``case_networks``: right, or refused in the author's own words."""

import numpy as np
import pytest
import torch
from case_networks import CASES
from odd_parts import STEPS, Odd
from written_networks import lively

from tssd.chain.own_module import ModuleReading, Taken, take_over
from tssd.errors import TssdError


def through(case: Odd, samples: int = 8) -> Taken:
    torch.manual_seed(0)
    x = np.random.default_rng(1).random((samples, *case.shape), np.float32)
    told = {"population" if k == "groups" else k: v for k, v in case.choices.items()}
    return take_over(lively(case.build()), x, ModuleReading(default_steps=STEPS, **told))


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.refusal is None])
def test_is_right(name: str) -> None:
    agreement = through(CASES[name]).agreement
    assert agreement.holds, agreement.first
    assert agreement.answers.any()
    if not agreement.swapped:
        assert (agreement.differing, agreement.ties, agreement.same_class) == (0, 0, 1)


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if c.refusal is not None])
def test_is_refused_well(name: str) -> None:
    with pytest.raises(TssdError, match=CASES[name].refusal) as refused:
        through(CASES[name], samples=64)  # what is rare is met
    assert refused.value.hint
