"""The float networks of a bundle on the samples of an evaluation, run in torch."""

import numpy as np

from tssd.calibration.comparing.folding import compare_folded
from tssd.calibration.comparing.sensitivity import accuracy_if_only_this_layer_is_quantized
from tssd.calibration.integer import IntArray
from tssd.chain.entering import folded_network
from tssd.checks.evaluation import FloatSide
from tssd.export.bundle.folder import Bundle
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_file import FLOAT_FILE
from tssd.train.handover.float_file import read as read_float


def float_side(
    bundle: Bundle, images: ImageArray, labels: IntArray | None, device: str
) -> FloatSide:
    """The stripped and the folded float network, and each layer's integers alone in it."""
    stripped = read_float(bundle.file(FLOAT_FILE))
    folded = folded_network(bundle)
    folding = compare_folded(stripped, folded, images, device=device)
    contracts = folding.contracts(labels)
    names = {p.name for p in bundle.network.populations}
    spikes = {name: total for name, total in folding.events.items() if name in names}
    if labels is None:
        return FloatSide(spikes, {}, contracts, {})
    found = {"float": folding.before, "folded": folding.after}
    alone = accuracy_if_only_this_layer_is_quantized(folded, bundle.network, images, labels)
    return FloatSide(
        spikes,
        {name: float(np.mean(classes == labels)) for name, classes in found.items()},
        contracts,
        {name: percent / 100 for name, percent in alone.items()},
    )
