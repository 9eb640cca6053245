"""`--readout membrane-max` from the command line to a verified report."""

import json
from pathlib import Path

import front_nets
import numpy as np
import torch
from click.testing import CliRunner

from tssd.chain.torch_module import load
from tssd.cli import cli


def test_the_largest_membrane_goes_the_whole_way(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (24, 16)).astype(np.float32) / 255
    with torch.no_grad():
        membranes = front_nets.Looped()(torch.from_numpy(frames))[1]
    wanted = membranes.amax(0).argmax(1).numpy()
    assert (membranes[-1].argmax(1).numpy() != wanted).any()
    np.savez(tmp_path / "x.npz", inputs=frames, labels=wanted)
    out = tmp_path / "b"
    told = ("--model", "front_nets:Looped", "--samples", tmp_path / "x.npz", "--out", out)
    asked = ("--output", "output[1]", "--readout", "membrane-max", "--json")
    done = CliRunner().invoke(cli, ["export", *map(str, told), *asked], catch_exceptions=False)
    manifest = json.loads(done.output)
    assert manifest["source"]["read_out"].startswith("largest membrane of fc2/lif2, ")
    own, accuracy = manifest["contracts"][:2]
    assert (own["status"], accuracy["found"]) == ("pass", "100.00 %")
    module = load(out, exact=False)
    levels = np.rint(frames * 255).astype(np.uint8)
    with torch.no_grad():
        logits = module(module.inputs(levels))
    np.testing.assert_array_equal(logits.argmax(1).numpy(), wanted)
    checked = CliRunner().invoke(
        cli, ["verify", str(out), "--against", "gpu,onnx,sim", "--json"], catch_exceptions=False
    )
    assert {row["status"] for row in json.loads(checked.output)} == {"pass"}
