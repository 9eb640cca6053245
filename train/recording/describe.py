"""A run in words and names: what enters the chip, what a user should know, the populations."""

from collections.abc import Sequence
from dataclasses import dataclass

from tssd.errors import NetworkError
from tssd.train.recording.recording import Site
from tssd.train.recording.steps import (
    SiteStep,
    Steps,
    encoded_once,
    encoded_order,
    entering_sources,
    refuse_current,
)
from tssd.train.recording.tape.follow import Follower
from tssd.train.recording.tape.values import Opaque


@dataclass(frozen=True)
class Entered:
    frames: bool
    shape: tuple[int, ...]
    encoder: str | None


def entered_by(follower: Follower, steps: Steps) -> Entered:
    """What enters the chip: the samples, or what the module's own code makes of them."""
    read = [s for call in follower.calls for s in entering_sources(follower, call.current)]
    encoded = encoded_order(follower)
    if encoded:
        first = follower.sources[encoded[0]]
        return Entered(not encoded_once(follower), first.feat, f"{first.output} in forward")
    if not read:
        opaque = [c.current for c in follower.calls if isinstance(c.current, Opaque)]
        if opaque:
            raise refuse_current(opaque[0])
        raise NetworkError(
            "forward",
            found="neurons that do not depend on the samples",
            allowed="a network that reads its samples",
        )
    source = follower.sources[read[0]]
    return Entered(source.kind == "frame", source.feat, None)


def notes_of(steps: Steps, entered: Entered) -> tuple[str, ...]:
    notes = []
    if entered.encoder:
        notes.append(f"what enters is what {entered.encoder} makes of the samples")
    forgets = [s.path for s in steps.sites if not s.keeps and s.state_fault is None]
    if forgets and steps.count > 1:
        named = ", ".join(forgets)
        notes.append(f"{named}: the state starts from zero in every step, as your module runs it")
    return tuple(notes)


def sites_of(steps: Sequence[SiteStep]) -> tuple[Site, ...]:
    """Names of populations: the path, numbered where one neuron is called several times."""
    paths = [s.path for s in steps]
    found: list[Site] = []
    for i, step in enumerate(steps):
        plain = step.path.replace(".", "_") or "neuron"
        if plain.isdigit() or plain in ("input", "readout", "output"):
            plain = f"lif_{plain}"
        if paths.count(step.path) > 1:
            plain = f"{plain}_call{paths[: i + 1].count(step.path)}"
        found.append(Site(step.path, plain, step.shape))
    return tuple(found)
