"""Counters priced with a chip's table -> what each layer of a report costs, per inference."""

from tssd.hw_targets.chip.spec import ChipSpec
from tssd.hw_targets.costs.counters import Counters
from tssd.hw_targets.costs.energy import Energy, EnergyRange, price, running_pj
from tssd.hw_targets.costs.interval import Promised, trust
from tssd.hw_targets.mapping.placement import Placement
from tssd.hw_targets.mapping.rules import amount_of, fullest_resource, resource_word
from tssd.report.energies import EnergyPj, EnergyTrust, Parts, PredictionIntervals, Range
from tssd.report.making.assemble import LayerCost
from tssd.report.model import ENERGY_PARTS, Fullest


def layer_costs(counted: Counters, placement: Placement, chip: ChipSpec) -> dict[str, LayerCost]:
    """Population to its cost: means over the samples of *counted*."""
    synops, updates = counted.synops(), counted.neuron_updates()
    messages, samples = counted.by_population("message_out"), counted.samples
    used = {name: placement.cores_of(name) for name in counted.populations}
    priced = price(counted, chip)
    return {
        name: LayerCost(
            synops=synops[name] / samples,
            neuron_updates=updates[name] / samples,
            messages=messages[name] / samples,
            energy_pj=_energy_pj(priced, name, samples) if chip.energy_known else None,
            cores=len(cores),
            memory_bytes=sum(placement.needs[core].memory_bytes for core in cores),
        )
        for name, cores in used.items()
    }


def stepping(chip: ChipSpec, chips: int, time_us: float) -> Range | None:
    """uJ that *chips* chips take for stepping over *time_us*, whatever the network does; None where
    the chip file does not tell."""
    if not chip.power_known:
        return None
    return _uj(running_pj(chip, chips, time_us))


def in_uj(found: Promised | None) -> PredictionIntervals | None:
    """Prediction intervals as the report has them."""
    if found is None:
        return None
    static, total = (None if r is None else _uj(r) for r in (found.static, found.total))
    return PredictionIntervals(_uj(found.dynamic), static, total)


def _uj(pj: EnergyRange) -> Range:
    scaled = pj.scaled(1e-6)
    return Range(scaled.low, scaled.nominal, scaled.high)


def energy_trust(
    counted: Counters, chip: ChipSpec, chips: int, time_us: float
) -> EnergyTrust | None:
    """How good the energy of *counted* is, *time_us* an inference; None where the chip file was not
    fitted to measured runs."""
    found = trust(counted, chip, chips, time_us * counted.samples)
    if found is None:
        return None
    return EnergyTrust(
        found.runs,
        found.silicon,
        found.median,
        found.worst,
        found.factor,
        found.coverage,
        found.dominant,
        found.not_told,
    )


def fullest(placement: Placement, chip: ChipSpec) -> Fullest:
    """The resource of a core that is used up most, and where."""
    full = [fullest_resource(need, chip) for need in placement.needs]
    core = max(range(len(full)), key=lambda core: full[core][1])
    name, share, limit = full[core]
    found = int(getattr(placement.needs[core], name))
    layers = dict.fromkeys(s.population for s in placement.slices if s.core == core)
    return Fullest(
        resource_word(name, chip), share, core, ", ".join(layers), amount_of(name, found, limit)
    )


def _energy_pj(priced: Energy, name: str, samples: int) -> EnergyPj:
    whole = priced.layer(name).scaled(1 / samples)
    parts = {part: priced.layer(name, part).nominal / samples for part in ENERGY_PARTS}
    return EnergyPj(whole.low, whole.nominal, whole.high, Parts(**parts))
