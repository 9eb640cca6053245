"""What a placement is for."""

from enum import StrEnum

from tssd.config import unknown_name


class Goal(StrEnum):
    """CORES: the fewest that hold the network; TIME: the shortest steps; ENERGY: the least, static
    energy included."""

    CORES = "cores"
    TIME = "time"
    ENERGY = "energy"


def goal_named(name: str) -> Goal:
    """The goal called *name*; ConfigError for another."""
    known = [str(goal.value) for goal in Goal]
    if name not in known:
        raise unknown_name("optimise", f"goal {name!r}", name, known)
    return Goal(name)
