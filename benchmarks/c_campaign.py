"""Random networks as C under the sanitizers against the definition, and whole bundles.

    python -m benchmarks.c_campaign build/fmnist       (also: make campaign-c BUNDLES=build/fmnist)

Goes on where it was stopped: what each block of networks found is kept in ``build/c_campaign``,
under the key of the code that writes, compiles and draws, until all blocks are through.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, at_least, at_most, report, write
from tssd.calibration.int_network import SPIKES, Activity, IntNetwork, state_names
from tssd.calibration.simulate import reference
from tssd.chain.samples import bundle_samples
from tssd.checks.evaluation import EngineUnderTest, compare_engines
from tssd.export.bundle.folder import read_bundle
from tssd.hw_targets.c.engine import SANITIZED, compile_network, run
from tssd.hw_targets.sim import functional
from tssd.hw_targets.sim.program import prepare

ROOT = Path(__file__).resolve().parents[1]
SUPPORT = ROOT / "tests" / "support"
sys.path.insert(0, str(SUPPORT))
KEPT = ROOT / "build" / "c_campaign"
BLOCKS, EACH = 20, 50
SAMPLES = 16  # of a bundle
DRAWERS = ("c_networks", "wild_networks", "strategies", "reset_amounts")
HOW = "spikes, u, v of every step by the definition; gcc -Wall -Wextra -Werror, sanitizers"


def main() -> None:
    """Run all blocks that are not through, then the bundles, then write the rows."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("bundles", nargs="*", type=Path)
    arguments.add_argument("--blocks", type=int, default=BLOCKS)
    arguments.add_argument("--data", type=Path, help="the bundles' data files")
    given = arguments.parse_args()
    found = [of_block(block) for block in range(given.blocks)]
    made = [*rows(found), *(r for b in given.bundles for r in bundle_rows(b, given.data))]
    write("c_campaign", "make campaign-c BUNDLES=build/fmnist", made)


def of_block(block: int) -> dict[str, int]:
    """What was counted in a block of random networks, from the file if it is kept."""
    kept = KEPT / f"{_key()}-{block}-{EACH}.json"
    if not kept.is_file():
        sums = Counter[str]()
        for seed in range(block * EACH, (block + 1) * EACH):
            sums.update(of_network(seed))
        KEPT.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(sums), encoding="utf-8")
        print(f"block {block}: {sums['networks']} networks, {sums['differing']} differ", flush=True)
    return dict(json.loads(kept.read_text(encoding="utf-8")))


def of_network(seed: int) -> dict[str, int]:
    """One network: whether it differs, values compared, and a 1 for each of its features."""
    from c_networks import c_case, features

    case = c_case(seed)
    expected = reference(case.network, case.inputs)
    found = run(compile_network(case.network, SANITIZED), case.inputs)
    differing = list(differences(expected, found))
    for what in differing:
        print(f"network {seed}: {what}")
    sums = {"networks": 1, "differing": int(bool(differing)), "values": _values(expected)}
    return sums | {f"has {name}": 1 for name in features(case.network)}


def differences(expected: Activity, found: Activity) -> Iterator[str]:
    """Every population and quantity in which some value differs."""
    for quantity in (SPIKES, *expected.states):
        for name, right in expected.recorded(quantity).items():
            if not np.array_equal(right, found.recorded(quantity)[name]):
                yield f"{name} {quantity}"


def rows(found: Iterable[dict[str, int]]) -> Iterator[Row]:
    """The campaign in figures, and in how many networks each feature was."""
    total = Counter[str]()
    for one in found:
        total.update(one)
    yield at_least("plain C: random networks", total["networks"], 1000, "networks", HOW)
    yield at_most("plain C: networks that differ", total["differing"], 0, "networks", HOW)
    yield report("plain C: values compared", total["values"], "values", HOW)
    for key in sorted(key for key in total if key.startswith("has ")):
        name = key.removeprefix("has ")
        yield report(f"plain C: networks with {name}", total[key], "networks", "of these")


def bundle_rows(folder: Path, data: Path | None) -> Iterator[Row]:
    """A whole bundle on its first samples, the simulator's engine standing in for the definition
    where it was found equal to it."""
    bundle = read_bundle(folder)
    network, samples = bundle.network, bundle_samples(bundle, SAMPLES, data)
    ready, made = prepare(network), compile_network(network, SANITIZED)
    engine = EngineUnderTest(
        "c", lambda _, inputs: run(made, inputs), (SPIKES, *state_names(network))
    )
    rows_of = compare_engines(
        network,
        samples.inputs,
        (engine,),
        stand_in=lambda n, x: functional.activity(n, functional.simulate(ready, x, record=True)),
    )[1]
    failed = sum(row.status == "fail" for row in rows_of)
    how = f"{folder.name}: {samples.shown}, {_neurons(network):,} neurons; {HOW}"
    yield at_most(f"plain C: {folder.name}, records that differ", failed, 0, "records", how)


def _values(activity: Activity) -> int:
    """Spikes and states, each neuron and step of each sample."""
    every = (activity.recorded(quantity) for quantity in (SPIKES, *activity.states))
    return sum(array.size for recorded in every for array in recorded.values())


def _neurons(network: IntNetwork) -> int:
    return sum(p.neurons for p in network.populations)


def _key() -> str:
    """Of the code under test and of what draws the networks."""
    files = [*(ROOT / "export" / "c").glob("*.py"), *(ROOT / "hw_targets" / "c").glob("engine.py")]
    files += [SUPPORT / f"{name}.py" for name in DRAWERS]
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(files))).hexdigest()[:12]


if __name__ == "__main__":
    main()
