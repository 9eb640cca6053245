"""How a bundle was made, as command lines: from what its manifest keeps."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from tssd.chain.own_data import OWN
from tssd.export.bundle.folder import Bundle
from tssd.train.config import configure

OPTIONS = ("model", "epochs", "batch_size", "lr", "seed", "method", "reset") + (
    "student_steps",
    "teacher_steps",
)  # of tssd train, with an option of their own


def origin(bundle: Bundle) -> tuple[str, ...]:
    """The lines that make the run folder and the bundle, where the manifest knows them."""
    source, line = bundle.manifest.get("source", {}), bundle.manifest.get("command")
    table = source.get("train")
    trained = () if table is None else (train_line(table, source.get("run", "run")),)
    out = shlex.quote(bundle.folder.resolve().name)
    return (*trained, *(() if line is None else (f"{line} --out {out}",)))


def train_line(table: Mapping[str, Any], out: str) -> str:
    """The `tssd train` that gives the configuration *table*: what differs from its defaults."""
    usual = configure(table["dataset"], None, {"dataset": table["dataset"]}).to_table()
    own = table["dataset"] == OWN  # the user's file, whose place is not kept
    data = ["--data", "SAMPLES"] if own else ["--dataset", str(table["dataset"])]
    words = ["tssd", "train", *data, *_options(table, usual)]
    return shlex.join([*words, "--out", out])


def _options(table: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if name == "dataset" or usual.get(name) == value:
            continue
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if name in OPTIONS:
            yield from (f"--{name.replace('_', '-')}", text)
        else:
            yield from ("--set", f"{name}={text}")
