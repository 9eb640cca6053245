"""Tests that need Lava: skipped, with the reason, where its environment is absent; comparison."""

import pytest

from tssd.calibration.int_network import Activity
from tssd.checks.verify import compare_activities
from tssd.hw_targets.lava import environment
from tssd.hw_targets.lava.environment import Flavour


def needs_lava(flavour: Flavour) -> pytest.MarkDecorator:
    there = environment.existing("full") or (
        environment.existing("light") if flavour == "light" else None
    )
    line = environment.install_line(flavour)
    return pytest.mark.skipif(there is None, reason=f"no Lava environment: {line}")


def differences(expected: Activity, found: Activity) -> list[str]:
    """Every population's spikes, u and v, and the readout: the rows that are not equal."""
    rows = compare_activities("lava", expected, found, quantities=("spikes", "u", "v"))
    return [f"{row.name}: {row.found} at {row.where}" for row in rows if row.status != "pass"]
