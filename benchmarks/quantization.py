"""What quantization costs on a trained run: float against integer, by bits, search and bias route.

    python -m benchmarks.quantization RUN_FOLDER [--split val|test] [--samples N] [--table full|few]

``full`` compares searches and bias routes, ``few`` what is done about few bits. Scales come from
images of the training split. Accuracies of both networks are on the same samples of the chosen
split; ``test`` is for the final figures only.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import Row, at_most, measured, report, write
from tssd.calibration.comparing.agreement import layer_agreement
from tssd.calibration.int_network import IntNetwork
from tssd.calibration.integer import UNIT
from tssd.calibration.precision import Precision
from tssd.calibration.quantizing.fold import align, fold
from tssd.calibration.quantizing.observe import Observation, observe
from tssd.calibration.quantizing.quantize import apply
from tssd.calibration.quantizing.scales import (
    BiasRoute,
    Granularity,
    Options,
    Rounding,
    Search,
    Tuning,
    choose,
)
from tssd.calibration.tally import Tally
from tssd.hw_targets.gpu.engine import count
from tssd.train.data.data_sets import Split, load
from tssd.train.handover.float_activity import FloatActivity
from tssd.train.handover.float_network import FloatNetwork, PopulationKind, Reset
from tssd.train.handover.float_run import run
from tssd.train.loop.checkpoint import load_net
from tssd.train.networks.strip import strip

CALIBRATION_SEED = 0
PLAIN = Options(granularity=Granularity.LAYER, rounding=Rounding.NEAREST, tuning=Tuning.NONE)
CHANNEL = replace(PLAIN, granularity=Granularity.CHANNEL)
FEW = (
    *(replace(PLAIN, search=s) for s in Search),
    *(replace(CHANNEL, tuning=t) for t in Tuning),
    *(replace(CHANNEL, rounding=Rounding.COMPENSATED, tuning=t) for t in Tuning),
    replace(CHANNEL, search=Search.SPIKE_COUNTS),
    replace(
        CHANNEL,
        search=Search.SPIKE_COUNTS,
        rounding=Rounding.COMPENSATED,
        tuning=Tuning.SPIKES,
    ),
)
DROP_GOAL_POINTS = 0.3


@dataclass(frozen=True, eq=False)
class Setting:
    """What every row shares: the folded network, its float activity, the samples."""

    network: FloatNetwork
    observation: Observation
    split: Split
    activity: FloatActivity
    how: str


def main() -> None:
    arguments = _arguments()
    setting = _setting(arguments)
    accuracy = setting.activity.accuracy(setting.split.labels)
    rows = [report("float accuracy", round(accuracy, 2), "%", setting.how)]
    for bits, options in _choices(arguments):
        rows += _measure(setting, bits, options)
    command = f"python -m benchmarks.quantization {arguments.run} --split {arguments.split}"
    command += f" --samples {arguments.samples} --table {arguments.table}"
    command += f" --bits {' '.join(map(str, arguments.bits))}"
    command += f" --calibration {arguments.calibration}" if arguments.calibration != 64 else ""
    command += f" --reset {arguments.reset}" if arguments.reset else ""
    write(arguments.name, command, rows)


def _choices(arguments: argparse.Namespace) -> list[tuple[int, Options]]:
    """The defaults at every width; ``full``: also the other searches, and the routes at 8 bits;
    ``few``: one scale, then one for each channel with more and more done about rounding."""
    if arguments.table == "few":
        return [(bits, options) for bits in arguments.bits for options in FEW]
    searches = list(Search) if arguments.table == "full" else [Search.OUTPUT]
    plain = Options(bias_route=BiasRoute.SCALE)
    chosen = [(bits, replace(plain, search=s)) for bits in arguments.bits for s in searches]
    if arguments.table == "full":
        chosen += [(8, Options(bias_route=r)) for r in BiasRoute if r is not BiasRoute.SCALE]
    return chosen


def _setting(arguments: argparse.Namespace) -> Setting:
    net, checkpoint = load_net(Path(arguments.run))
    data = load(checkpoint.config.dataset)
    pick = np.random.default_rng(CALIBRATION_SEED).permutation(len(data.train))
    calibration = data.train.images[pick[: arguments.calibration]]
    network = align(fold(strip(net, calibration[:8], checkpoint.config.student_steps)))
    if arguments.reset:
        network = _with_reset(network, Reset(arguments.reset))
    split = (data.test if arguments.split == "test" else data.val).first(arguments.samples)
    activity = run(network, split.images)
    how = f"{len(split)} samples of {arguments.split}, {arguments.calibration} for calibration"
    return Setting(network, observe(network, calibration), split, activity, how)


def _with_reset(network: FloatNetwork, reset: Reset) -> FloatNetwork:
    """The same weights with another reset than they were trained with."""
    populations = tuple(
        replace(p, reset=reset) if p.kind is PopulationKind.LIF else p for p in network.populations
    )
    return replace(network, populations=populations)


def _measure(setting: Setting, bits: int, options: Options) -> list[Row]:
    precision = Precision(weight_bits=bits)
    scales, cpu_s = measured(
        lambda: choose(setting.network, setting.observation, precision, options)
    )
    integers = apply(setting.network, scales)
    tally = count(integers, setting.split.images)
    accuracy = _percent(tally.classes(), setting.split.labels)
    drop = setting.activity.accuracy(setting.split.labels) - accuracy
    agree = _percent(tally.classes(), setting.activity.classes())
    ratios = [r.ratio for r in layer_agreement(setting.activity, tally) if r.ratio is not None]
    name = f"{bits} bit, {_said(options, precision)}"
    lost = (
        at_most(f"{name}: points lost", round(drop, 2), DROP_GOAL_POINTS, "points", setting.how)
        if bits == 8
        else report(f"{name}: points lost", round(drop, 2), "points", setting.how)
    )
    return [
        report(f"{name}: accuracy", round(accuracy, 2), "%", setting.how),
        lost,
        report(f"{name}: same class as float", round(agree, 2), "%", setting.how),
        report(f"{name}: logits off", _logit_error(setting, integers, tally), "", setting.how),
        report(f"{name}: spikes of layers, least ratio", round(min(ratios), 4), "", setting.how),
        report(f"{name}: spikes of layers, largest ratio", round(max(ratios), 4), "", setting.how),
        report(f"{name}: values clipped", sum(c.count for c in scales.clips), "", setting.how),
        report(f"{name}: calibrating", round(cpu_s, 1), "cpu s", setting.how),
    ]


def _said(options: Options, precision: Precision) -> str:
    """The choices that a row is about."""
    done = options.decided(precision)
    route = "" if options.bias_route is BiasRoute.AUTO else f", bias by {options.bias_route}"
    return f"{done.granularity}, {options.search}, {done.rounding}, {done.tuning}{route}"


def _logit_error(setting: Setting, integers: IntNetwork, tally: Tally) -> float:
    """RMS difference of the logits / RMS of the float logits, each sample's mean taken out."""
    readout = tally.readout / (UNIT * integers.readout.scale * tally.time_steps)
    wanted, found = (x - x.mean(axis=1, keepdims=True) for x in (setting.activity.logits, readout))
    return round(float(np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2))), 4)


def _percent(found: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> float:
    return float(100 * np.mean(found == wanted))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", help="run folder of tssd train")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--samples", type=int, default=0, help="0: the whole split")
    parser.add_argument("--calibration", type=int, default=64, help="images of the training split")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4])
    parser.add_argument("--reset", choices=("soft", "hard"), help="instead of the trained one")
    parser.add_argument("--table", choices=("short", "full", "few"), default="short")
    parser.add_argument("--name", default="quantization", help="results/<name>.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
