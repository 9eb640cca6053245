"""The hand-over kit: ``run_on_loihi.py``, a script that runs a bundle on the real chip.

It needs Python 3.10 and lava-dl, nothing of tssd: someone with access to a chip gets the bundle's
folder and returns ``measured.csv`` for ``tssd verify --measured``. What needs hardware in it
follows Intel's published lava-dl tutorials (``Loihi2HwCfg``, ``lava.utils.loihi2_profiler``,
``lava.proc.embedded_io``); only its CPU configuration can be tested without a chip.
"""

from pathlib import Path
from string import Template

from tssd.calibration.int_network import IntNetwork
from tssd.export.netx.write import check_netx

SCRIPT = "run_on_loihi.py"
TEMPLATE = Path(__file__).resolve().parent / "run_on_loihi.template"


def kit_files(network: IntNetwork) -> dict[str, bytes]:
    """The script as a bundle's extra file; nothing where netx cannot say the network."""
    return {} if check_netx(network) else {SCRIPT: handover_script(network).encode()}


def handover_script(network: IntNetwork) -> str:
    """The text of ``run_on_loihi.py`` for a bundle that holds network.net and golden.npz."""
    as_bias = network.input_coding.as_bias
    blocks = network.populations if as_bias else network.populations[1:]
    binary = as_bias or network.input_coding.binary
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        layers=repr([p.name for p in blocks]),
        time_steps=network.time_steps,
        interval=reset_interval(network),
        input_is_bias=as_bias,
        message_bits=0 if binary else network.input_max.bit_length(),
    )


def reset_interval(network: IntNetwork) -> int:
    """Steps from sample to sample: the power of two that holds T and the longest delay.

    The chip resets at powers of two only (lava-dl's netx tutorials).
    """
    least = network.time_steps + max(j.delay for j in network.projections)
    return 1 << (least - 1).bit_length()
