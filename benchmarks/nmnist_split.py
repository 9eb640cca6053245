"""N-MNIST with a larger test part: some recordings of each digit move from Train to Test.

    python -m benchmarks.nmnist_split SOURCE TARGET [--moved 40] [--leave-test]

With 100 test recordings one run's accuracy is known to two points at best. The last *moved*
recordings of every digit of SOURCE/Train (by name) join TARGET/Test; the rest is TARGET/Train.
With --leave-test those of SOURCE/Test stay out: options are chosen on such a target, whose test
part has nothing in common with that of the source. Files are linked, not copied.
"""

import argparse
from pathlib import Path


def link(files: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file.resolve())


def split(source: Path, target: Path, moved: int, leave_test: bool) -> None:
    for train in sorted((source / "Train").iterdir()):
        files = sorted(train.glob("*.bin"))
        link(files[:-moved], target / "Train" / train.name)
        tests = [] if leave_test else sorted((source / "Test" / train.name).glob("*.bin"))
        link(tests + files[-moved:], target / "Test" / train.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--moved", type=int, default=40)
    parser.add_argument("--leave-test", action="store_true")
    options = parser.parse_args()
    split(options.source, options.target, options.moved, options.leave_test)
