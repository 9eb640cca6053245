"""What a user decides about a layout; everything else follows from the chip's limits.

formats      how the synapses of a projection lie in memory, where it is not to be, core by core,
             the one that takes least of it
input_from   cores: input populations sit on cores like others; outside: their spikes enter
             through a port, a source at the corner router of the first chip, and take no core
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from tssd.calibration.int_network import IntNetwork, Population, Projection
from tssd.config import unknown_name
from tssd.errors import ConfigError


class SynapseFormat(StrEnum):
    """How the synapses of a projection lie in memory."""

    DENSE = "dense"  # a row for each source neuron, zeros too
    SPARSE = "sparse"  # synapses alone, a wider index with each
    CONV = "conv"  # kernels, which all positions on a core share


class InputFrom(StrEnum):
    """Where the spikes of an input population come from."""

    CORES = "cores"
    OUTSIDE = "outside"


@dataclass(frozen=True)
class Choices:
    """See the module; ``formats`` by projection."""

    formats: Mapping[str, SynapseFormat] = field(default_factory=dict)
    input_from: InputFrom = InputFrom.CORES

    @property
    def outside(self) -> bool:
        """Whether there is a port."""
        match self.input_from:
            case InputFrom.CORES:
                return False
            case InputFrom.OUTSIDE:
                return True
            case _:
                assert_never(self.input_from)

    def on_cores(self, network: IntNetwork) -> tuple[Population, ...]:
        """The populations that sit on cores, in network order."""
        return tuple(p for p in network.populations if not (self.outside and p is network.source))

    def asked(self, projection: Projection) -> SynapseFormat | None:
        """The format asked for; None: each core takes the one that takes least of its memory."""
        return self.formats.get(projection.name)

    def to_table(self) -> dict[str, object]:
        """What differs from the default, for a file."""
        formats = {name: str(stored) for name, stored in self.formats.items()}
        told: dict[str, object] = {"formats": formats} if formats else {}
        return told | ({"input_from": str(self.input_from)} if self.outside else {})


NO_CHOICE = Choices()


def parse_formats(texts: tuple[str, ...]) -> dict[str, SynapseFormat]:
    """``PROJECTION=FORMAT`` texts; ConfigError for anything else."""
    found: dict[str, SynapseFormat] = {}
    for text in texts:
        given, mark, stored = text.rpartition("=")
        name = re.sub(r"\s*->\s*", " -> ", given.strip())
        if not (name and mark):
            raise ConfigError(
                "--format",
                found=text,
                allowed="PROJECTION=dense, =sparse or =conv",
                hint='"fc0 -> fc1=sparse"',
            )
        known = [str(one) for one in SynapseFormat]
        if stored not in known:
            raise unknown_name("--format", f"format {stored!r}", stored, known)
        if found.setdefault(name, SynapseFormat(stored)) != stored:
            raise ConfigError("--format", found=f"{name} twice", allowed="one format each")
    return found


def check_choices(network: IntNetwork, choices: Choices) -> None:
    """ConfigError for what this network cannot be laid out as."""
    for refusal in _refusals(network, choices):
        raise refusal


def _refusals(network: IntNetwork, choices: Choices) -> Iterator[ConfigError]:
    projections = {j.name: j for j in network.projections}
    for name, stored in choices.formats.items():
        if name not in projections:
            yield unknown_name("--format", f"projection {name!r}", name, list(projections))
        elif stored is SynapseFormat.CONV and not projections[name].kind.spatial:
            yield ConfigError(
                f"--format {name}=conv",
                found="a matrix, which has no kernels to share",
                allowed="dense or sparse; conv is for convolutions",
            )
    source = network.source
    if choices.outside and not source.kind.enters:
        yield ConfigError(
            "--input-from outside",
            found=f"input that {source.name} takes as a bias, on its own cores",
            allowed="input as spikes",
            hint="export with --input spikes or graded",
        )
