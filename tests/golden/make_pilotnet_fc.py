"""Make ``pilotnet_fc.npz`` from the PilotNet LIF records in the wheel of lava-dl 0.6.0.

Run: ``python tests/golden/make_pilotnet_fc.py`` (needs ``tssd lava install --full``). The fixture
holds the last convolution's recorded spikes, the three dense layers behind it, and their recorded
spikes, u and v. Source: lava-dl, Copyright (C) 2022 Intel Corporation, BSD-3-Clause, folder
``tests/lava/lib/dl/netx/gts/pilotnet_lif`` (see ``pilotnet_fc.LICENSE``).
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
LAYERS = ("fc1", "fc2", "fc3")


def main() -> None:
    sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parents[1])]
    import pilotnet

    folder = pilotnet.folder()
    if folder is None:
        sys.exit("tssd lava install --full first")
    network, _ = pilotnet.load(folder)
    recorded = {(name, q): array for name, q, array in pilotnet.records(folder, network)}
    arrays: dict[str, Any] = {
        "conv5/spikes": np.packbits(recorded["conv5", "spikes"].astype(np.uint8))
    }
    for name in LAYERS:
        arrays[f"{name}/weight"] = network.incoming(name)[0].weight.astype(np.int8)
        arrays[f"{name}/bias_mant"] = network.population(name).bias_mant.astype(np.int16)
        for quantity in ("spikes", "u", "v"):
            arrays[f"{name}/{quantity}"] = recorded[name, quantity].astype(np.int32)
    np.savez_compressed(HERE / "pilotnet_fc.npz", **arrays)


if __name__ == "__main__":
    main()
