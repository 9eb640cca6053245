"""Studies of the training method, as rows beside the other results.

tssd study --config benchmarks/recipes/study_fashion.toml --seeds 5 --out runs/study-fashion
python -m benchmarks.nmnist_split DIR runs/n-mnist-600
tssd study --config benchmarks/recipes/study_nmnist.toml --data runs/n-mnist-600 --seeds 3 \\
    --only tssd --only tsd --only ssd --only "ce at T_t" --out runs/study-nmnist
python -m benchmarks.study_results runs/study-fashion runs/study-nmnist
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, report, write


def rows(folder: Path) -> list[Row]:
    """Accuracy and cost of every condition, and the differences to both controls."""
    table = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    config, outcomes = table["config"], table["outcomes"]
    controls = (("to_baseline", outcomes[0]["condition"]), ("to_cut", "ce at T_t read at T_s"))
    how = _how(config, len(outcomes[0]["accuracy"]))
    found = []
    for outcome in outcomes:
        name = f"{folder.name}: {outcome['condition']}"
        mean = sum(outcome["accuracy"]) / len(outcome["accuracy"])
        found.append(report(f"{name}, accuracy", round(mean, 2), "%", how))
        found += [
            report(f"{name}, minus {control}", _pair(outcome[key]), "points", how)
            for key, control in controls
            if outcome[key] is not None and outcome["steps"] == config["student_steps"]
        ]
        synops = round(sum(outcome["synops"].values()))
        found.append(report(f"{name}, synops per inference", synops, "synops", how))
    return found


def _pair(difference: dict[str, Any]) -> str:
    if difference["half_width"] is None:
        return f"{difference['mean']:+.2f} (one seed)"
    return f"{difference['mean']:+.2f} ± {difference['half_width']:.2f}"


def _how(config: dict[str, Any], seeds: int) -> str:
    size = config["train_limit"] or "all"
    return (
        f"{config['model']} on {config['dataset']}, T_s {config['student_steps']}, "
        f"T_t {config['teacher_steps']}, {config['epochs']} epochs of {size} training samples, "
        f"{seeds} seeds; 95 % intervals of paired differences"
    )


if __name__ == "__main__":
    folders = [Path(argument) for argument in sys.argv[1:]]
    names = " ".join(f"runs/{folder.name}" for folder in folders)
    every = [row for folder in folders for row in rows(folder)]
    write("study", f"python -m benchmarks.study_results {names}", every)
