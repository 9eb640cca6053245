"""Accuracies of finished runs, as rows beside the other results.

    tssd train --config benchmarks/recipes/fashion_soft.toml --out runs/fmnist-soft
    tssd train --config benchmarks/recipes/fashion_hard.toml --start-from runs/fmnist-soft \\
        --out runs/fmnist-hard
    python -m benchmarks.training_accuracy runs/fmnist-soft runs/fmnist-hard
"""

import json
import sys
from pathlib import Path

from benchmarks.harness import Row, at_least, report, write

GOAL = 92.5  # per cent on Fashion-MNIST at T_s = 4


def rows(folders: list[Path]) -> list[Row]:
    """Test accuracy at T_s, at each other step, and CPU seconds of every run folder."""
    found: list[Row] = []
    for folder in folders:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        config, accuracy = manifest["config"], manifest["accuracy"]
        name = f"{config['model']} on {config['dataset']}, {config['reset']} reset"
        how = (
            f"{config['method']}, {config['epochs']} epochs of {manifest['data']['train']} images, "
            f"seed {config['seed']}, T_s {config['student_steps']}, T_t {config['teacher_steps']}, "
            f"{manifest['data']['test']} test images"
        )
        if manifest.get("start_from"):
            how += f"; begun with the weights of {manifest['start_from']}"
        found.append(at_least(f"{name}: float test accuracy", accuracy["test"], GOAL, "%", how))
        steps = ", ".join(f"{percent:.2f}" for percent in accuracy["test_at_step"])
        found.append(report(f"{name}: read out after 1, 2, ... steps", steps, "%", how))
        found.append(report(f"{name}: training", manifest["cpu_s"], "cpu s", how))
    return found


if __name__ == "__main__":
    runs = [Path(argument) for argument in sys.argv[1:]]
    names = " ".join(f"runs/{run.name}" for run in runs)
    write("training_accuracy", f"python -m benchmarks.training_accuracy {names}", rows(runs))
