"""Networks as people write them, through the front door: which deploy, and are they right?

    python -m benchmarks.bench_door            (also: make bench-door)
    python -m benchmarks.bench_door --folder FOLDER      (``door_folder``: other people's networks)

``tests/support/written_networks.py`` holds the forms. Each is recorded, becomes a float network,
is compared with the module neuron by neuron, and its spikes with a run by hand; then it is
calibrated, quantized and placed. Beside them the 74 networks of the exchange matrix
(``snntorch_nets``), small modules that once came out wrong (``case_networks``), and networks that
nobody expects (``odd_networks``, ``strange_networks``). ``docs/front-door.md`` is made from the
rows.
"""

import argparse
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.harness import Row, at_least, at_most, best_of, write

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from case_networks import CASES  # noqa: E402
from odd_networks import ODD  # noqa: E402
from odd_parts import Odd  # noqa: E402
from snntorch_nets import NETS, REFUSED, Net, prepared  # noqa: E402
from strange_networks import STRANGE  # noqa: E402
from written_modules import STEPS  # noqa: E402
from written_networks import WRITTEN, Written, by_hand, lively  # noqa: E402

from benchmarks.door_folder import rows_of  # noqa: E402
from tssd.chain.own_module import ModuleReading, Taken, take_over  # noqa: E402
from tssd.chain.pipeline import ExportOptions, Material, deploy  # noqa: E402
from tssd.errors import TssdError  # noqa: E402
from tssd.train.handover.float_layers import layers  # noqa: E402
from tssd.train.handover.float_network import FloatNetwork  # noqa: E402
from tssd.train.recording.agree import ModuleAgreement, compare  # noqa: E402
from tssd.train.recording.convert import to_float  # noqa: E402
from tssd.train.recording.record import entering, record  # noqa: E402
from tssd.train.recording.recording import Recording  # noqa: E402

SAMPLES = 64
MATRIX_STEPS = 20
ANY_TOLERANCE = 100.0  # points: the share is reported, the weights are untrained


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, help="other people's networks instead")
    folder: Path | None = parser.parse_args().folder
    if folder is None:
        write("door", "make bench-door", _own_rows())
    else:
        write("door_folder", "make bench-door FOLDER=folder", rows_of(folder))


def _own_rows() -> list[Row]:
    forms = {name: _form(name, written) for name, written in WRITTEN.items()}
    asked = [w for w in WRITTEN.values() if w.refusal is None]
    rows = list(forms.values())
    deployed = sum(r.met is True and WRITTEN[n].refusal is None for n, r in forms.items())
    how = "tests/support/written_networks.py"
    share = 100 * deployed / len(asked)
    rows.append(at_least("forms that deploy and are right", share, 100, "% of those that can", how))
    silent = sum("WRONG" in str(r.value) for r in forms.values())
    rows.append(at_most("forms that are wrong in silence", silent, 0, "forms", how))
    swaps = [w for w in WRITTEN.values() if w.swaps]
    swapped = sum(_swaps(w) for w in swaps)
    rows.append(
        at_least("more with their maximum pools swapped", swapped, len(swaps), "forms", how)
    )
    rows += [_net(net) for net in NETS]
    rows += [_case(f"case: {name}", case) for name, case in CASES.items()]
    rows += _odd({**ODD, **STRANGE})
    rows += [_cost(name) for name in ("loop inside, two records", "residual blocks")]
    return rows


def _net(net: Net) -> Row:
    """One network of the matrix: proved, or refused in the expected words."""
    reading = ModuleReading(time_steps=MATRIX_STEPS, frames=False)
    drawn = np.random.default_rng(0).integers(0, 256, (4, *net.shape))
    x = drawn.astype(np.float32) / 255
    with warnings.catch_warnings(action="ignore"):
        found = _taken(prepared(net), x, reading)
    return _judged(f"matrix: {net.name}", found, REFUSED.get(net.name))


def _case(name: str, case: Odd) -> Row:
    return _judged(name, _odd_taken(case), case.refusal)


def _odd(forms: Mapping[str, Odd]) -> list[Row]:
    """How many are as they should be; wrong in silence is what is accepted and is not."""
    rows = [_case(name, odd) for name, odd in forms.items()]
    silent = sum(
        row.met is False and not str(row.value).startswith(("refused", "stopped")) for row in rows
    )
    how = "tests/support/odd_networks.py, strange_networks.py"
    right = sum(row.met is True for row in rows)
    return [
        at_most(f"of {len(rows)} odd networks, wrong in silence", silent, 0, "networks", how),
        at_least(f"of {len(rows)} odd networks, as wanted", right, len(rows), "networks", how),
    ]


def _odd_taken(odd: Odd) -> Taken | TssdError:
    torch.manual_seed(0)
    shape = (STEPS, *odd.shape) if odd.frames else odd.shape
    x = samples(shape, 12).astype(np.float32) / 255
    told = {"population" if k == "groups" else k: v for k, v in odd.choices.items()}
    with warnings.catch_warnings(action="ignore"):
        return _taken(lively(odd.build()), x, ModuleReading(default_steps=STEPS, **told))


def _taken(module: nn.Module, x: np.ndarray, reading: ModuleReading) -> Taken | TssdError:
    try:
        return take_over(module, x, reading)
    except TssdError as error:
        return error


def _judged(name: str, found: Taken | TssdError, refusal: str | None) -> Row:
    """Right: every spike and class the module's, or refused in the wanted words."""
    wanted = "deploys" if refusal is None else "refused"
    if isinstance(found, TssdError):
        met = refusal is not None and re.search(refusal, str(found)) is not None
        first = str(found).splitlines()[0].replace("|", "/")
        return Row(name, f"refused: {first}", "", wanted, met, "")
    agreement = found.agreement
    if agreement.swapped:
        same = f"{100 * agreement.same_class:.0f} % of the classes are the same"
        return Row(name, f"deploys, pools swapped: {same}", "", wanted, refusal is None, "")
    row = agreement.contract()
    if not agreement.holds:
        met = refusal is not None and re.search(refusal, f"{row.name} ({row.where})") is not None
        return Row(name, f"stopped by contract 0: {row.found}; {row.where}", "", wanted, met, "")
    met = refusal is None and agreement.same_class == 1
    return Row(name, f"{row.found}; {found.read_out()}", "", wanted, met, "")


def samples(shape: tuple[int, ...], count: int = SAMPLES) -> np.ndarray:
    """Pixels 0 .. 255."""
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


def _made(written: Written) -> nn.Module:
    torch.manual_seed(0)
    return lively(written.build())


def _form(name: str, written: Written) -> Row:
    wanted = "deploys" if written.refusal is None else "refused"
    entered = "frames " if written.frames else ""
    how = f"{entered}{written.samples}"
    try:
        found, right = _through(written)
    except TssdError as error:
        refused = str(error).splitlines()[0].replace("|", "/")
        return Row(f"form: {name}", f"refused: {refused}", "", wanted, wanted == "refused", how)
    return Row(f"form: {name}", found, "", wanted, right and wanted == "deploys", how)


def _through(written: Written) -> tuple[str, bool]:
    module, pixels = _made(written), samples(written.samples)
    x = pixels.astype(np.float32) / 255
    recording = record(module, x, default_steps=STEPS)
    network = to_float(recording, **written.choices)
    agreement = compare(module, recording, network, x, batch=SAMPLES, **written.choices)
    hand = by_hand(written, module, torch.from_numpy(x))
    total = _totals(module, recording, network, x)
    same = total == {path: hand[path] for path in total}
    differ = f"{agreement.differing:,} of {agreement.slots:,} differ"
    told = "by hand the same" if same else "by hand WRONG" if agreement.holds else "by hand other"
    integers = _integers(recording, network, pixels, agreement)
    return f"{differ}, {told}; {integers}", agreement.holds and same


def _totals(
    module: nn.Module, recording: Recording, network: FloatNetwork, x: np.ndarray
) -> dict[str, float]:
    """Spikes of each neuron layer in the float network, by module path."""
    frames = torch.from_numpy(entering(module, recording, x)).double()
    shape = network.populations[0].shape
    if recording.frames:
        frames = frames.transpose(0, 1).reshape(-1, len(x), *shape)
    else:
        frames = frames.reshape(1, len(x), *shape)
    paths = {site.name: site.path for site in recording.sites}
    return {
        paths[name]: float((sent != 0).sum()) * (network.time_steps // len(sent))
        for name, _, _, sent in layers(network, frames)
        if name in paths
    }


def _integers(
    recording: Recording, network: FloatNetwork, pixels: np.ndarray, agreement: ModuleAgreement
) -> str:
    if recording.encoder is not None:
        return "integers: behind the encoder"
    shape = network.populations[0].shape
    steps = pixels.shape[1:2] if recording.frames else ()
    x = pixels.reshape(len(pixels), *steps, *shape)
    half = SAMPLES // 2
    labels = agreement.answers.argmax(1)[half:]
    material = Material(x[:half], x[half:], labels, x[:4])
    made = deploy(network, material, ExportOptions(tolerance_points=ANY_TOLERANCE))
    return f"integers: {made.contracts[-1].found}"


def _swaps(written: Written) -> bool:
    module, x = _made(written), samples(written.samples, 8).astype(np.float32) / 255
    recording = record(module, x, default_steps=STEPS)
    network = to_float(recording, swap_max_pool=True, **written.choices)
    return compare(module, recording, network, x, **written.choices).swapped


def _cost(name: str) -> Row:
    """Recording beside the module's own run on the same samples."""
    written = WRITTEN[name]
    module, x = _made(written), samples(written.samples, 2).astype(np.float32) / 255
    once = best_of(lambda: by_hand(written, module, torch.from_numpy(x)), 3)
    recorded = best_of(lambda: record(module, x, default_steps=STEPS), 3)
    over = (recorded - 3 * once) if recorded > 3 * once else 0.0
    return at_most(f"recording beyond three runs: {name}", round(over, 3), 1, "cpu s", "2 samples")


if __name__ == "__main__":
    main()
