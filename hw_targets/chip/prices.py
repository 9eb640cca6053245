"""What each fitted price pays for: numbers of a chip file, once for the fit and for its use."""

from dataclasses import dataclass

from tssd.hw_targets.chip.spec import EnergyTablePj


@dataclass(frozen=True)
class Paid:
    """``sets``: the numbers of a *section* that a fit of the price writes; ``along``: further ones
    that rise and fall with it."""

    section: str
    sets: tuple[str, ...]
    along: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Everything that is counted at this price."""
        return (*self.sets, *self.along)

    def followers(self, table: EnergyTablePj) -> tuple[str, ...]:
        """Those ``along`` that a table has at the same figure, so that a fit writes them too."""
        return tuple(
            f"{self.section}.{name}"
            for name in self.along
            if getattr(table, name).value == getattr(table, self.sets[0]).value
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """``sets`` as ``section.name``."""
        return tuple(f"{self.section}.{name}" for name in self.sets)


PAID = {
    "synop": Paid("energy_pj", ("synop_dense", "synop_sparse", "synop_conv")),
    "neuron": Paid("energy_pj", ("neuron_active",), ("neuron_idle",)),
    "message": Paid("energy_pj", ("message_out",)),
    "running": Paid("power_w", ("running_per_chip",)),
    "static_chip": Paid("power_w", ("static_per_chip",)),
    "static_core": Paid("power_w", ("static_per_core",)),
}
