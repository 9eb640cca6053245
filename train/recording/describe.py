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
        several = mixed_encoders(follower, steps)
        if several is not None:
            raise several
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


def mixed_encoders(follower: Follower, steps: Steps) -> NetworkError | None:
    """A chip has one input: one frame a step, or one for all steps."""
    encoded = encoded_order(follower)
    if not encoded or encoded_once(follower) or len(encoded) == steps.count:
        return None
    names = sorted({follower.sources[s].output for s in encoded})
    return NetworkError(
        "forward",
        found=f"{len(encoded)} values made of the samples ({', '.join(names)}) for {steps.count} "
        "steps",
        allowed="one frame for every step, or the samples as they are",
        hint="do this to the samples before they are handed in: frames (samples, steps, ...)",
    )


def notes_of(follower: Follower, steps: Steps, entered: Entered) -> tuple[str, ...]:
    notes = []
    carried = _carried(follower)
    if carried and follower.runs == 1 and steps.count > 1:
        notes.append(
            f"{', '.join(carried)}: forward runs all steps and does not reset the state "
            "(reset_mem, utils.reset): here every sample starts from rest, in your own runs from "
            "what the last batch left"
        )
    if entered.encoder:
        notes.append(f"what enters is what {entered.encoder} makes of the samples")
    forgets = [s.path for s in steps.sites if not s.keeps and s.state_fault is None]
    if forgets and steps.count > 1:
        named = ", ".join(forgets)
        notes.append(f"{named}: the state starts from zero in every step, as your module runs it")
    return tuple(notes)


def _carried(follower: Follower) -> list[str]:
    """Neurons that begin with the state that they held before the run."""
    begun = {follower.begun[id(t)][0] for t in follower.rest if id(t) in follower.begun}
    return list(dict.fromkeys(follower.calls[call].path for call in sorted(begun)))


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
