"""Which neuron layers an output needs, and which of them are images."""

from collections.abc import Sequence
from math import prod

from tssd.train.recording.network.maps import image
from tssd.train.recording.steps import Link, SiteStep, Sum, every_link
from tssd.train.recording.tape.values import Shape

INPUT = -1  # the input among the layers


def needed_sites(steps: Sequence[SiteStep], step: Sum) -> list[int]:
    """Everything that *step* depends on, in the order of the module's calls."""
    found: set[int] = set()
    waiting = [step]
    while waiting:
        for link in every_link(waiting.pop()):
            site = link.origin.site
            if link.origin.kind == "neuron" and site not in found:
                found.add(site)
                current = steps[site].current
                if isinstance(current, Sum):
                    waiting.append(current)
    return sorted(found)


def image_views(
    steps: Sequence[SiteStep], sites: Sequence[int], output: Sum
) -> dict[int, tuple[Shape, ...]]:
    """(C, H, W) in which the maps around a flat layer see it: ``.view(-1, n)`` behind a pool."""
    found: dict[int, dict[Shape, None]] = {}
    sums = [(site, steps[site].current) for site in sites] + [(len(steps), output)]
    for target, total in sums:
        if not isinstance(total, Sum):
            continue
        for link in total.links:
            _note(found, target, _behind(link), prod(total.shape))
        for link in every_link(total):
            if link.origin.kind == "max":
                continue
            source = INPUT if link.origin.kind == "input" else link.origin.site
            if link.ops and link.ops[0].kind == "reshape":
                _note(found, source, link.ops[0].out, prod(link.origin.feat))
    return {site: tuple(shapes) for site, shapes in found.items()}


def _behind(link: Link) -> Shape:
    """The shape in front of the reshapes that end a chain."""
    ops = list(link.ops)
    while ops and ops[-1].kind == "reshape":
        ops.pop()
    return ops[-1].out if ops else link.origin.feat


def _note(found: dict[int, dict[Shape, None]], site: int, shape: Shape, size: int) -> None:
    seen = image(shape)
    if seen is not None and prod(seen) == size:
        found.setdefault(site, {})[seen] = None
