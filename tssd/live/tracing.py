"""One sample through the integer network: every spike and membrane, to print, to plot, as a frame.

The definition itself runs (``calibration.simulate``), so what is shown is what every engine does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tssd.calibration.encode import Inputs
from tssd.calibration.int_network import MEMBRANE, Activity, IntNetwork, Population
from tssd.calibration.integer import UNIT, IntArray
from tssd.calibration.simulate import reference
from tssd.config import unknown_name
from tssd.errors import ConfigError
from tssd.live.plots import axes_of
from tssd.live.tables import Shown, ShownTable
from tssd.report import words
from tssd.report.paper.style import lined

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Traced(Shown):
    """What one sample did: ``activity`` of a batch of one. As a frame: a row for each event."""

    network: IntNetwork
    activity: Activity

    def spikes(self, layer: str) -> IntArray:
        """(T, neurons): what each neuron sent, in C, H, W order."""
        self._population(layer)
        return self.activity.spikes[layer].reshape(self.network.time_steps, -1)

    def membrane(self, layer: str) -> IntArray:
        """(T, neurons): the membrane after each step, in membrane units (1/64 of a weight)."""
        if not self._population(layer).has_state:
            raise ConfigError(
                f"membrane of {layer!r}",
                found="neurons without one",
                allowed=", ".join(p.name for p in self.network.populations if p.has_state),
            )
        return self.activity.states[MEMBRANE][layer].reshape(self.network.time_steps, -1)

    def table(self) -> ShownTable:
        rows, records = [], []
        for population in self.network.populations:
            sent = self.spikes(population.name)
            steps, neurons = np.nonzero(sent)
            share = len(steps) / sent.size
            rows.append((population.name, population.neurons, len(steps), words.percent(share)))
            records += [
                {"layer": population.name, "step": int(t), "neuron": int(n), "value": int(v)}
                for t, n, v in zip(steps, neurons, sent[steps, neurons], strict=True)
            ]
        lines = (f"one sample, {self.network.time_steps} time steps, in integers",)
        names = ("layer", "neurons", "events", "per neuron and step")
        return ShownTable(lines, names, tuple(rows), tuple(records), right=names[1:])

    def plot_raster(self, layer: str, ax: "Axes | None" = None) -> "Axes":
        """A mark for each event of *layer*: step across, neuron down."""
        steps, neurons = np.nonzero(self.spikes(layer))
        axes = axes_of(ax)
        axes.scatter(steps, neurons, s=4, marker="|", color="#16305c")
        axes.set(xlabel="step", ylabel=f"neuron of {layer}")
        axes.set_xlim(-0.6, self.network.time_steps - 0.4)
        axes.set_ylim(self._population(layer).neurons - 0.4, -0.6)
        return axes

    def plot_membrane(
        self, layer: str, neurons: Sequence[int] = (0,), ax: "Axes | None" = None
    ) -> "Axes":
        """The membranes of *neurons* after each step, in weight units, a dotted line at the first
        one's threshold, a ring where a neuron fired."""
        population, membrane = self._population(layer), self.membrane(layer)
        outside = [n for n in neurons if not 0 <= n < population.neurons]
        if outside or not neurons:
            raise ConfigError(
                f"neurons of {layer!r}",
                found=str(outside[0]) if outside else "none",
                allowed=f"0 .. {population.neurons - 1}",
            )
        axes, fired, steps = axes_of(ax), self.spikes(layer), np.arange(len(membrane))
        for place, neuron in enumerate(neurons):
            values = membrane[:, neuron] / UNIT
            axes.plot(steps, values, label=f"neuron {neuron}", **lined(place))
            at = np.flatnonzero(fired[:, neuron])
            axes.scatter(at, values[at], s=36, facecolors="none", edgecolors="#c4413b")
        if population.kind.fires:
            level = np.broadcast_to(population.vth, population.shape).ravel()[neurons[0]]
            axes.axhline(float(level), ls=":", color="#555555")
        axes.set(xlabel="step", ylabel=f"membrane of {layer}, weight units")
        axes.legend()
        return axes

    def _population(self, layer: str) -> Population:
        names = [p.name for p in self.network.populations]
        if layer not in names:
            raise unknown_name("layer", repr(layer), layer, names)
        return self.network.population(layer)


def traced(network: IntNetwork, inputs: Inputs, sample: int) -> Traced:
    """Sample number *sample* of *inputs* through *network*; ConfigError where there is none."""
    if not 0 <= sample < inputs.samples:
        raise ConfigError("sample", found=str(sample), allowed=f"0 .. {inputs.samples - 1}")
    return Traced(network, reference(network, inputs.part(sample, sample + 1)))
