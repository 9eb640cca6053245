"""How small and how large a chip may be: what must be there, and what memory is taken for."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a chip asks these of itself
    from tssd.hw_targets.chip.spec import ChipSpec

MUST_BE_POSITIVE = {
    "limits": ("neurons_per_core", "state_words_per_core", "synaptic_memory_per_core")
    + ("axons_in_per_core", "axons_out_per_core", "neuron_groups_per_core")
    + ("cores_per_chip", "chips", "soft_reset_compartments"),
    "mesh": ("width", "height", "cores_per_router", "chip_columns"),
    "bits": ("memory_word",),
    "time_ns": ("cycle",),
    "link": ("bandwidth", "chip_bandwidth", "message", "chip_message"),
    "buffers": ("link", "axon_in", "spike_out"),
}
MOST_PLACES, MOST_QUEUED = 1 << 22, 1 << 20  # far above any chip, and still no trouble for a laptop


def beyond_memory(spec: "ChipSpec") -> Iterator[str]:
    """Numbers of the mesh, the chips and the queues that no machine could hold."""
    for label, count, most in _sizes(spec):
        if count > most:
            yield f"{label}: found {count:,}; allowed: up to {most:,}"


def _sizes(spec: "ChipSpec") -> Iterator[tuple[str, int, int]]:
    """(number, value, most)."""
    mesh, limits = spec.mesh, spec.limits
    places = mesh.width.count * mesh.height.count * mesh.cores_per_router.count
    yield "mesh: places for cores", places, MOST_PLACES
    yield "limits.chips times the mesh's places", limits.chips.count * places, MOST_PLACES
    for name in ("link", "axon_in", "spike_out", "synapse"):
        yield f"buffers.{name}", getattr(spec.buffers, name).count, MOST_QUEUED
