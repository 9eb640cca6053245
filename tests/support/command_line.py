"""``tssd`` as it is called on the command line, in this process; and a bundle to call it on."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from strategies import random_conv_network

from tssd.calibration.int_network import Reset
from tssd.cli import cli
from tssd.export.nir.integers.write import write_nir


def ran(*words: object) -> Result:
    """However it ends; an error, refusals too, is raised here."""
    return CliRunner().invoke(cli, list(map(str, words)), catch_exceptions=False)


def call(*words: object, code: int = 0) -> str:
    """What it prints, standard error too, before it ends with *code*."""
    done = ran(*words)
    assert done.exit_code == code, done.output
    return done.output


def said(*words: object) -> str:
    """What it prints to standard output before it ends well."""
    done = ran(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


def bundle_with_pictures(folder: Path, samples: int) -> Path:
    """A small bundle ``b``, and ``x.npz`` beside it: so many random pictures, all of class 0."""
    network = random_conv_network(2, Reset.SOFT, time_steps=3)
    write_nir(network, folder / "network.nir")
    pictures = np.random.default_rng(3).integers(0, 256, (samples, *network.source.shape))
    np.savez(folder / "x.npz", inputs=pictures, labels=np.zeros(samples, np.int64))
    call("import", folder / "network.nir", "--out", folder / "b")
    return folder / "b"
