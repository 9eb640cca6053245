"""The outputs in ``docs/tutorial-lava.md``, anew: every command of the page, in an empty folder.

    python -m benchmarks.tutorial_lava             (also: make tutorial-lava; needs the Lava env)

The page's own module is trained as the page says; Intel's networks come from the wheel of lava-dl.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tssd.hw_targets.lava.environment import locate

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial-lava.md"
SESSION = re.compile(r"^```\n(\$ .*?)^```$", re.M | re.S)
MODULE = re.compile(r"^```python\n# mynet.py\n(.*?)^```$", re.M | re.S)
SAMPLES, EPOCHS, BATCH, STEPS, RATE = 1200, 10, 64, 8, 5e-3
COLUMNS = "100"
ON_THE_CHIP = ("python3.10", "cat")  # what runs in the bundle's folder, not beside it
TRAINING = f"""
import numpy as np
import torch
from mynet import build
from sklearn.datasets import load_digits
from snntorch import utils

digits = load_digits()
images = (digits.images[:{SAMPLES}] / 16 * 255).round().astype(np.uint8)[:, None]
labels = digits.target[:{SAMPLES}]
np.savez("digits.npz", inputs=images, labels=labels)
torch.manual_seed(0)
network = build()
optimizer = torch.optim.Adam(network.parameters(), lr={RATE})
x, y = torch.tensor(images / 255, dtype=torch.float32), torch.tensor(labels)
for _ in range({EPOCHS}):
    for part in torch.randperm({SAMPLES}).split({BATCH}):
        utils.reset(network)
        logits = sum(network(x[part]) for _ in range({STEPS})) / {STEPS}
        loss = torch.nn.functional.cross_entropy(logits, y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
torch.save(network.state_dict(), "mynet.pt")
"""
Run = Callable[[str], str]  # a command line -> what it prints


def main() -> None:
    """Run the page in a folder that is thrown away, and write it."""
    text, python = PAGE.read_text(encoding="utf-8"), locate("full").python
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(text, folder, python.parents[1])
        made = rewritten(text, lambda line: told(line, folder, python.parent))
    PAGE.write_text(made, encoding="utf-8")


def rewritten(text: str, run: Run) -> str:
    """*text* with the output of every command of its sessions as *run* gives it."""

    def session(found: re.Match[str]) -> str:
        lines = [line[2:] for line in found.group(1).splitlines() if line.startswith("$ ")]
        return "```\n" + "".join(f"$ {line}\n{run(line)}" for line in lines) + "```"

    return SESSION.sub(session, text)


def prepare(text: str, folder: Path, environment: Path) -> None:
    """The page's module, trained; a silent input; Intel's networks out of the *environment*."""
    found = MODULE.search(text)
    assert found is not None
    (folder / "mynet.py").write_text(found.group(1), encoding="utf-8")
    subprocess.run([sys.executable, "-c", TRAINING], cwd=folder, check=True)
    np.save(folder / "silence.npy", np.zeros((4, 3, 66, 200), int))
    recorded = next(environment.rglob("pilotnet_lif/network.net")).parents[1]
    shutil.copy(recorded / "pilotnet_lif" / "network.net", folder)
    shutil.copytree(recorded / "pilotnet_sdnn", folder / "pilotnet_sdnn")


def told(line: str, folder: Path, lava: Path) -> str:
    """What *line* prints in *folder*, home as ``~``; *lava*: where Python 3.10 is."""
    deployed = line.startswith(ON_THE_CHIP)
    bins = [str(lava if deployed else Path(sys.executable).parent), os.environ["PATH"]]
    where = folder / "build" / "mine" if deployed else folder
    command = ["bash", "-c", line]
    env = {**os.environ, "PATH": os.pathsep.join(bins), "COLUMNS": COLUMNS}
    done = subprocess.run(
        command, cwd=where, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = (line.rstrip() for line in done.stdout.replace(str(Path.home()), "~").splitlines())
    return "".join(f"{line}\n" for line in lines if line)


if __name__ == "__main__":
    main()
