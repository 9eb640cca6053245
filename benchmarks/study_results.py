"""Studies of the training method, as rows beside the other results.

make study-results NMNIST=DIR
python -m benchmarks.study_results runs/study-fashion runs/study-nmnist
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, report, write
from tssd.train.study.report import control_named
from tssd.train.study.runs import PairedDifference


def rows(folder: Path) -> list[Row]:
    """One row per condition: accuracy at T_s, differences to both controls, synops."""
    table = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    config, outcomes = table["config"], table["outcomes"]
    how = _how(config, outcomes)
    return [report(f"{folder.name}: {o['condition']}", _value(o), "", how) for o in outcomes]


def _value(outcome: dict[str, Any]) -> str:
    mean = sum(outcome["accuracy"]) / len(outcome["accuracy"])
    pairs = [_pair(outcome[key]) for key in ("to_baseline", "to_cut")]
    return "; ".join([f"{mean:.2f} %", *pairs, f"{sum(outcome['synops'].values()):,.0f} synops"])


def _pair(table: dict[str, Any] | None) -> str:
    return "-" if table is None else str(PairedDifference(**table))


def _how(config: dict[str, Any], outcomes: list[dict[str, Any]]) -> str:
    second = control_named([outcome["condition"] for outcome in outcomes])
    size, seeds = config["train_limit"] or "all", len(outcomes[0]["accuracy"])
    bits = f"bits {config['bits']}, " if config.get("bits") else ""
    return (
        f"{config['model']} on {config['dataset']}, {bits}T_s {config['student_steps']}, "
        f"T_t {config['teacher_steps']}, {config['epochs']} epochs of {size} training samples, "
        f"{seeds} seeds; accuracy; minus {outcomes[0]['condition']}; minus {second}; "
        "per inference"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("studies", type=Path, nargs="+")
    parser.add_argument("--name", default="study", help="results/<name>.json")
    arguments = parser.parse_args()
    names = " ".join(f"runs/{folder.name}" for folder in arguments.studies)
    option = "" if arguments.name == "study" else f"--name {arguments.name} "
    every = [row for folder in arguments.studies for row in rows(folder)]
    write(arguments.name, f"python -m benchmarks.study_results {option}{names}", every)
