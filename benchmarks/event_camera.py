"""The simulated event camera beside real N-MNIST recordings of the same digits.

    python -m benchmarks.event_camera --mnist DIR --nmnist DIR

N-MNIST's recording number i shows MNIST's image number i - 1, so the k-th recording of a digit
shows the k-th image of that digit, in whatever order the files hold the classes. Compared are the
number of events, the share of ON events, the cosine of the summed frames (over space) and of the
frames (over space and time), and what a network trained on one kind reads of the other.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, at_least, near, report, write
from tssd.arrays import ByteArray
from tssd.train.config import TrainConfig, configure
from tssd.train.data.camera import Camera, record
from tssd.train.data.data_sets import Dataset, load
from tssd.train.data.event_data import of_recordings
from tssd.train.data.events import Framing, Recordings, frames
from tssd.train.data.splits import LabelArray, Split
from tssd.train.loop.evaluate import accuracies
from tssd.train.loop.loop import train

STEPS = 6
RECIPE = Path(__file__).parent / "recipes" / "nmnist.toml"


def paired_images(stills: Split, labels: LabelArray) -> ByteArray:
    """The still image behind each recording: the k-th of its digit."""
    order = np.argsort(stills.labels, kind="stable")
    begin = np.searchsorted(stills.labels[order], np.arange(10))
    rank = np.zeros(len(labels), np.int64)
    for digit in range(10):
        rank[labels == digit] = np.arange(int((labels == digit).sum()))
    paired: ByteArray = stills.images[order[begin[labels] + rank]]
    return paired


def cosine(a: ByteArray, b: ByteArray) -> float:
    """Mean over samples of the cosine of what remains flattened."""
    x, y = (v.reshape(len(v), -1).astype(np.float64) for v in (a, b))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return float(np.mean((x * y).sum(1) / np.maximum(norms, 1e-12)))


def likeness(real: Recordings, simulated: Recordings, how: str) -> list[Row]:
    counts, on = ([f(r) for r in (real, simulated)] for f in (_events, _on_share))
    framing = Framing(STEPS, gain=1)
    shown, made = frames(real, framing), frames(simulated, framing)
    sums = [v.astype(np.uint16).sum(1) for v in (shown, made)]
    return [
        report("real N-MNIST: events per recording", counts[0], "events", how),
        near("simulated: events per recording", counts[1], counts[0], 10, "events", how),
        report("real N-MNIST: share of ON events", on[0], "", how),
        near("simulated: share of ON events", on[1], on[0], 5, "", how),
        report("cosine, summed over time, per polarity", cosine(*sums), "", how),
        report(f"cosine, {STEPS} frames, per polarity", cosine(shown, made), "", how),
    ]


def _events(recordings: Recordings) -> float:
    return float(recordings.counts.mean())


def _on_share(recordings: Recordings) -> float:
    return float(recordings.channel.mean())


def crossed(
    real: Dataset, simulated: Dataset, config: TrainConfig, folder: Path, how: str
) -> list[Row]:
    """Accuracy of a network trained on one kind, on the test recordings of both."""
    rows = []
    for name, data in (("real", real), ("simulated", simulated)):
        net = train(config, data, folder / name).net
        for other, test in (("real", real.test), ("simulated", simulated.test)):
            percent = accuracies(net, test, config.student_steps)[-1]
            label = f"trained on {name}, tested on {other} recordings"
            goal = at_least(label, percent, 90, "%", how) if name != other else None
            rows.append(goal or report(label, percent, "%", how))
    return rows


def simulated_set(
    real: Dataset, train_stills: Split, test_stills: Split, camera: Camera
) -> Dataset:
    """The same digits as in *real*, seen by the simulated camera."""
    labels = np.concatenate([real.train.labels, real.val.labels])
    images = paired_images(train_stills, labels)
    framing = Framing(real.test.images.shape[1])
    whole = of_recordings(record(images, camera), labels, framing)
    cut = len(real.train)
    shown = record(paired_images(test_stills, real.test.labels), camera, first=len(labels))
    test = of_recordings(shown, real.test.labels, framing)
    return Dataset("simulated", whole.part(0, cut), whole.part(cut, None), test, real.classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--nmnist", type=Path, required=True)
    arguments = parser.parse_args()
    config = configure("n-mnist", RECIPE)
    real = load("n-mnist", arguments.nmnist, framing=config.framing())
    stills = load("mnist", arguments.mnist)
    before = Split(*_joined(stills.train, stills.val))
    simulated = simulated_set(real, before, stills.test, Camera())
    assert real.train.recordings is not None
    assert simulated.train.recordings is not None
    how = f"{len(real.train)} recordings of the training set and the same digits simulated"
    rows = likeness(real.train.recordings, simulated.train.recordings, how)
    with tempfile.TemporaryDirectory() as folder:
        how = (
            f"{config.model}, width {config.width}, ce, {config.epochs} epochs of "
            f"{len(real.train)} recordings, T = {config.student_steps}, seed {config.seed}; "
            f"{len(real.test)} tested"
        )
        rows += crossed(real, simulated, config, Path(folder), how)
    command = "python -m benchmarks.event_camera --mnist DIR --nmnist DIR"
    write("event_camera", command, rows)


def _joined(a: Split, b: Split) -> tuple[ByteArray, LabelArray]:
    return np.concatenate([a.images, b.images]), np.concatenate([a.labels, b.labels])


if __name__ == "__main__":
    main()
