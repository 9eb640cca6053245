"""Accuracies of finished runs, as rows beside the other results.

    tssd train --config benchmarks/recipes/fashion_soft.toml --out runs/fmnist-soft
    tssd train --config benchmarks/recipes/fashion_hard.toml --start-from runs/fmnist-soft \\
        --out runs/fmnist-hard
    python -m benchmarks.training_accuracy runs/fmnist-soft runs/fmnist-hard

    tssd train --config benchmarks/recipes/nmnist.toml --data DIR --out runs/nmnist
    python -m benchmarks.training_accuracy --name nmnist runs/nmnist

    tssd train --config benchmarks/recipes/fashion_best.toml --start-from runs/fmnist-soft \\
        --out runs/fmnist-best
    tssd train --config benchmarks/recipes/fashion_best2.toml --start-from runs/fmnist-best \\
        --out runs/fmnist-best2
    tssd train --config benchmarks/recipes/fashion_best3.toml --start-from runs/fmnist-best2 \\
        --out runs/fmnist-best3
    python -m benchmarks.training_accuracy --name training_best --goal 94 runs/fmnist-best \\
        runs/fmnist-best2 runs/fmnist-best3

    tssd train --config benchmarks/recipes/cifar_vgg9.toml --data DIR --out runs/cifar-vgg9
    tssd train --config benchmarks/recipes/cifar_vgg9_more.toml --data DIR \\
        --start-from runs/cifar-vgg9 --out runs/cifar-vgg9-more
    tssd train --config benchmarks/recipes/cifar_resnet18.toml --data DIR --out runs/cifar-resnet18
    python -m benchmarks.training_accuracy --name training_cifar runs/cifar-vgg9 \\
        runs/cifar-vgg9-more runs/cifar-resnet18
"""

import argparse
import csv
import json
from pathlib import Path

from benchmarks.harness import Row, at_least, report, write

GOALS = {"fashion-mnist": 92.5, "n-mnist": 97.0}  # per cent at T_s; others have none


def rows(folders: list[Path], goal: float | None = None) -> list[Row]:
    """Test accuracy at T_s, at each other step, and CPU seconds of every run folder.

    *goal* is for the last: those before it are what it was begun from.
    """
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
            name += f", begun from {manifest['start_from']}"
        usual = None if goal else GOALS.get(config["dataset"])
        wanted = goal if folder == folders[-1] and goal else usual
        row = (f"{name}: float test accuracy", accuracy["test"])
        found.append(report(*row, "%", how) if wanted is None else at_least(*row, wanted, "%", how))
        steps = ", ".join(f"{percent:.2f}" for percent in accuracy["test_at_step"])
        found.append(report(f"{name}: read out after 1, 2, ... steps", steps, "%", how))
        curve = ", ".join(f"{percent:.2f}" for percent in validation(folder))
        found.append(report(f"{name}: validation after each epoch", curve, "%", how))
        found.append(report(f"{name}: training", manifest["cpu_s"], "cpu s", how))
    return found


def validation(folder: Path) -> list[float]:
    """Validation accuracy in per cent after each epoch of the run."""
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        return [float(row["val_accuracy"]) for row in csv.DictReader(file)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--name", default="training_accuracy", help="of the file of results")
    parser.add_argument("--goal", type=float, help="per cent that the last should reach")
    arguments = parser.parse_args()
    names = " ".join(f"runs/{run.name}" for run in arguments.runs)
    option = "" if arguments.name == "training_accuracy" else f"--name {arguments.name} "
    option += "" if arguments.goal is None else f"--goal {arguments.goal:g} "
    command = f"python -m benchmarks.training_accuracy {option}{names}"
    write(arguments.name, command, rows(arguments.runs, arguments.goal))
