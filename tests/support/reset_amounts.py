"""Amounts of their own for soft resets of random populations."""

from dataclasses import replace

import numpy as np

from tssd.calibration.int_network import Population, PopulationKind, Reset

TIMES = (-1, 0, 0.5, 1.25, 3, 40)  # of the threshold: lifting v, leaving it, below zero, far below


def with_amount(population: Population, share: float = 0.5) -> Population:
    """*population* with a ``reset_by`` now and then, if it resets softly.

    Drawn from the thresholds, so that whoever else draws numbers gets the same ones as before.
    """
    rng = np.random.default_rng(np.abs(population.vth).ravel())
    fires = population.kind is PopulationKind.LIF and population.reset is Reset.SOFT
    if not fires or rng.random() >= share:
        return population
    times = rng.choice(TIMES)
    amount = (times * population.vth).astype(np.int64) + rng.integers(-20, 21, population.vth.shape)
    return replace(population, reset_by=amount)
