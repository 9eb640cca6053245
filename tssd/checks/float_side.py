"""The float networks of a bundle on the samples of an evaluation, run in torch."""

from collections.abc import Mapping

import numpy as np

from tssd.calibration.comparing import histogram
from tssd.calibration.comparing.firing import PairedEvents, merged, paired, sample_events
from tssd.calibration.comparing.folding import compare_folded
from tssd.calibration.comparing.histogram import Histogram
from tssd.calibration.comparing.sensitivity import answers_by_layer
from tssd.calibration.comparing.spread import float_membranes
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import IntArray
from tssd.calibration.simulate import reference
from tssd.chain.entering import folded_network
from tssd.chain.samples import Samples
from tssd.checks.evaluation import FloatSide
from tssd.export.bundle.folder import Bundle
from tssd.report.behaviour.by_layer import ByLayer
from tssd.report.behaviour.model import MOST_COMPARED, Divergence, FiringChange
from tssd.report.behaviour.observe import agreement, firing_change, first_difference
from tssd.train.handover.float_activity import FloatActivity
from tssd.train.handover.float_file import FLOAT_FILE
from tssd.train.handover.float_file import read as read_float
from tssd.train.handover.float_network import FloatNetwork
from tssd.train.handover.float_run import run

LOOKED_AT = 8  # samples in which the first difference is looked for: each runs both networks


def float_side(
    bundle: Bundle, samples: Samples, device: str, integer_events: Mapping[str, IntArray]
) -> FloatSide:
    """The stripped and the folded float network, and each layer's integers alone in it.

    ``integer_events``: the integers' events (B, neurons) of the first B samples, by population.
    """
    assert samples.images is not None  # the caller has looked
    images, labels = samples.images, samples.labels
    stripped = read_float(bundle.file(FLOAT_FILE))
    folded = folded_network(bundle)
    beside = LayersBeside(bundle.network, folded, integer_events)
    folding = compare_folded(stripped, folded, images, device=device, on_folded=beside.add)
    contracts = folding.contracts(labels)
    names = {p.name for p in bundle.network.populations}
    spikes = {name: total for name, total in folding.events.items() if name in names}
    looked_at = min(LOOKED_AT, len(images))
    divergence = first_divergence(bundle, folded, samples, looked_at)
    # with labels all samples, as the accuracies beside it; without, those of the agreement
    asked = images if labels is not None else images[:MOST_COMPARED]
    alone = answers_by_layer(folded, bundle.network, asked, "integers", device=device)
    mended = answers_by_layer(
        folded, bundle.network, images[:MOST_COMPARED], "float", device=device
    )
    found = {"float": folding.before, "folded": folding.after}
    layers = ByLayer(
        float_spikes=spikes,
        only_quantized=_right(alone, labels),
        agreed_quantized=_agreed(alone, folding.after),
        agreed_float=_agreed(mended, folding.after),
        firing=beside.firing,
    )
    return FloatSide(
        layers,
        _right(found, labels),
        contracts,
        folding.before,
        divergence,
        looked_at,
        folding.after,
        beside.membranes,
    )


def _right(found: Mapping[str, IntArray], labels: IntArray | None) -> dict[str, float]:
    """Accuracies; none without labels."""
    if labels is None:
        return {}
    return {name: float(np.mean(classes == labels)) for name, classes in found.items()}


def _agreed(found: Mapping[str, IntArray], folded: IntArray) -> dict[str, float]:
    shares = {name: agreement(classes, folded[: len(classes)]) for name, classes in found.items()}
    return {name: share for name, share in shares.items() if share is not None}


class LayersBeside:
    """The folded network's spikes held against the integers' events, and its membranes of the same
    samples, as its batches come."""

    def __init__(
        self, network: IntNetwork, folded: FloatNetwork, integer_events: Mapping[str, IntArray]
    ) -> None:
        self.network, self.folded, self.events = network, folded, integer_events
        self.samples = max((len(x) for x in integer_events.values()), default=0)
        self.parts: dict[str, list[PairedEvents]] = {}
        self.spread: dict[str, list[Histogram]] = {}

    def add(self, first: int, activity: FloatActivity) -> None:
        left = self.samples - first
        if left > 0:
            found = float_membranes(self.network, self.folded, activity, left)
            for name, part in found.items():
                self.spread.setdefault(name, []).append(part)
        self._pair(first, activity)

    def _pair(self, first: int, activity: FloatActivity) -> None:
        for name, integers in self.events.items():
            found = integers[first : first + activity.samples]
            if len(found) and name in activity.spikes:
                wanted = sample_events(activity.spikes[name])[: len(found)]
                part = paired(wanted, found, activity.time_steps)
                self.parts.setdefault(name, []).append(part)

    @property
    def firing(self) -> dict[str, FiringChange]:
        return {name: firing_change(merged(parts)) for name, parts in self.parts.items()}

    @property
    def membranes(self) -> dict[str, Histogram]:
        return {name: histogram.merged(parts) for name, parts in self.spread.items()}


def first_divergence(
    bundle: Bundle, folded: FloatNetwork, samples: Samples, count: int
) -> Divergence | None:
    """The first slot in which the integers fire otherwise than the folded network, in the first
    *count* samples, one after the other; None where they fire alike."""
    assert samples.images is not None
    for sample in range(count):
        image = samples.images[sample : sample + 1]
        in_float = run(folded, image, keep_spikes=True).spikes
        integers = reference(bundle.network, samples.inputs.part(sample, sample + 1)).spikes
        flat = [
            {name: x[:, 0].reshape(len(x), -1) for name, x in spikes.items()}
            for spikes in (in_float, integers)
        ]
        found = first_difference(bundle.network, sample, flat[0], flat[1])
        if found is not None:
            return found
    return None
