"""Marks for tests that need Lava: skipped, with the reason, where its environment is absent."""

import pytest

from tssd.hw_targets.lava import environment
from tssd.hw_targets.lava.environment import Flavour


def needs_lava(flavour: Flavour) -> pytest.MarkDecorator:
    there = environment.existing("full") or (
        environment.existing("light") if flavour == "light" else None
    )
    line = environment.install_line(flavour)
    return pytest.mark.skipif(there is None, reason=f"no Lava environment: {line}")
