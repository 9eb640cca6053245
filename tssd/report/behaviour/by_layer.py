"""What each layer did on the samples of an evaluation, beside its counts: one value for checks that
find it and for the report that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tssd.report.behaviour.model import Distribution, FiringChange


@dataclass(frozen=True, eq=False)
class ByLayer:
    """Mappings from the name of a population; what was not run, or says nothing of it, is absent.

    ``float_spikes``  the float network's total, None where it did not run
    ``only_quantized``  accuracy with only its integers, all others float
    ``agreed_quantized``, ``agreed_float``  share of the first samples answered as float does, with
        it alone in integers, with it alone in float
    ``firing``  what became of its spikes
    ``saturated``, ``wrapped``  membranes at an end of their range, currents that left theirs
    ``weights``, ``membranes``  how they are distributed
    """

    float_spikes: Mapping[str, int] | None = None
    only_quantized: Mapping[str, float] = field(default_factory=dict)
    agreed_quantized: Mapping[str, float] = field(default_factory=dict)
    agreed_float: Mapping[str, float] = field(default_factory=dict)
    firing: Mapping[str, FiringChange] = field(default_factory=dict)
    saturated: Mapping[str, int] = field(default_factory=dict)
    wrapped: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, Distribution] = field(default_factory=dict)
    membranes: Mapping[str, Distribution] = field(default_factory=dict)
