# pyright: reportMissingImports=false
"""What stock Lava lacks: a soft reset, a bias that changes in time, relays, delays, recorders.

The arithmetic of the neuron stays Lava's own: ``OurLifModel`` overrides only the reset.
"""

from collections import deque
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset

LEVELS = ("reset_by",)  # what a soft reset subtracts; without it, vth
STATES = ("u", "v")  # the variables of a neuron process, named as the integer neuron's


class OurLif(LIFReset):  # type: ignore[misc]
    """LIFReset with a choice of reset (hard, soft, none) and, on request, a bias per step.

    ``levels``: what stock Lava has no word for, in weight units, by name: ``LEVELS``.
    ``schedule``: None, or the bias mantissas (steps, *shape).
    """

    def __init__(
        self, *, reset_kind: str, levels: Any, schedule: Any = None, **parameters: Any
    ) -> None:
        super().__init__(**parameters)
        self.proc_params["reset_kind"] = reset_kind
        self.proc_params["levels"] = levels
        self.proc_params["schedule"] = schedule


@implements(proc=OurLif, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class OurLifModel(PyLifResetModelBitAcc):  # type: ignore[misc]
    """Lava's fixed-point LIF; soft reset: v <- v - (reset_by << 6) where it fired."""

    implements_process: Any = None  # not the parent's: the decorator refuses to replace one

    def run_spk(self) -> None:
        schedule = self.proc_params["schedule"]
        if schedule is not None:
            self.bias_mant[:] = schedule[self.time_step - 1]
        super().run_spk()

    def reset_voltage(self, spike_vector: Any) -> None:
        kind = self.proc_params["reset_kind"]
        if kind == "hard":
            super().reset_voltage(spike_vector)
        elif kind == "soft":
            amount = self.proc_params["levels"].get("reset_by")
            amount = self.effective_vth if amount is None else amount * (1 << 6)
            self.v[spike_vector] -= np.broadcast_to(amount, self.v.shape)[spike_vector]


class Relay(AbstractProcess):  # type: ignore[misc]
    """Passes its summed activation on as a payload in the same step."""

    def __init__(self, *, shape: Any) -> None:
        super().__init__(shape=shape)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)


@implements(proc=Relay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RelayModel(PyLoihiProcessModel):  # type: ignore[misc]
    a_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)

    def run_spk(self) -> None:
        self.s_out.send(self.a_in.recv())


class DelayLine(AbstractProcess):  # type: ignore[misc]
    """Passes spikes on *delay* steps later (the synapse behind it adds its own step).

    ``places``: None, or for width and height the size of a larger image and where each place goes.
    """

    def __init__(self, *, shape: Any, delay: int, places: Any = None) -> None:
        super().__init__(shape=shape, delay=delay, places=places)
        self.s_in = InPort(shape=shape)
        out = shape if places is None else (*(size for size, _ in places), shape[2])
        self.s_out = OutPort(shape=out)


@implements(proc=DelayLine, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DelayLineModel(PyLoihiProcessModel):  # type: ignore[misc]
    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: Any = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        silent = np.zeros(proc_params["shape"], np.int32)
        self.waiting: Any = deque([silent] * proc_params["delay"])

    def run_spk(self) -> None:
        self.waiting.append(self.s_in.recv())
        self.s_out.send(self._spread(self.waiting.popleft()))

    def _spread(self, spikes: Any) -> Any:
        places = self.proc_params["places"]
        if places is None:
            return spikes
        (width, x), (height, y) = ((size, np.asarray(to)) for size, to in places)
        image = np.zeros((width, height, spikes.shape[2]), np.int32)
        x_kept, y_kept = ((to >= 0) & (to < size) for to, size in ((x, width), (y, height)))
        image[np.ix_(x[x_kept], y[y_kept])] = spikes[np.ix_(x_kept, y_kept)]
        return image


class SpikeRecorder(AbstractProcess):  # type: ignore[misc]
    """Keeps the spikes of each sample's window and writes them to a file at the last step.

    ``window``: depth, interval, time_steps, samples. Reading a variable back after the run would
    send one message per element.
    """

    def __init__(self, *, shape: Any, window: Any, path: str) -> None:
        super().__init__(shape=shape, window=window, path=path)
        self.s_in = InPort(shape=shape)


class StateRecorder(SpikeRecorder):
    """The same with the neurons' states, read after each step."""

    def __init__(self, *, shape: Any, window: Any, path: str) -> None:
        super().__init__(shape=shape, window=window, path=path)
        for name in STATES:
            setattr(self, name, RefPort(shape))


class _Recording(PyLoihiProcessModel):  # type: ignore[misc]
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        depth, interval, time_steps, samples = proc_params["window"]
        self.depth, self.interval, self.steps, self.samples = depth, interval, time_steps, samples
        shape = (time_steps, samples, *proc_params["shape"])
        self.kept: Any = {label: np.zeros(shape, np.int32) for label in self.LABELS}

    LABELS: Any = ("spikes",)

    def place(self) -> Any:
        """(local step, sample) of this step, or None outside every window."""
        sample, t = divmod(self.time_step - 1 - self.depth, self.interval)
        return (t, sample) if 0 <= sample < self.samples and t < self.steps else None

    def keep(self, label: str, value: Any) -> None:
        where = self.place()
        if where is not None:
            self.kept[label][where] = value

    def write_when_done(self) -> None:
        if self.place() == (self.steps - 1, self.samples - 1):
            np.savez(self.proc_params["path"], **self.kept)


@implements(proc=SpikeRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SpikeRecorderModel(_Recording):
    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)

    def run_spk(self) -> None:
        self.keep("spikes", self.s_in.recv())
        self.write_when_done()


@implements(proc=StateRecorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class StateRecorderModel(_Recording):
    LABELS = ("spikes", *STATES)
    s_in: Any = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    u: Any = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    v: Any = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def run_spk(self) -> None:
        self.keep("spikes", self.s_in.recv())

    def post_guard(self) -> bool:
        return True

    def run_post_mgmt(self) -> None:
        for name in STATES:
            self.keep(name, getattr(self, name).read())
        self.write_when_done()
