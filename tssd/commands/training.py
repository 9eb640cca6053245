"""What `tssd train` and `tssd calibrate` share: the run with its bar, and the proof after it."""

from pathlib import Path
from typing import TYPE_CHECKING

from tssd.interrupts import Interrupted
from tssd.progress import line_without_bar, noted_bar

if TYPE_CHECKING:  # --help reads this module; torch can wait
    from tssd.contracts import Contract
    from tssd.train.config import TrainConfig
    from tssd.train.data.data_sets import Dataset
    from tssd.train.handover.float_network import FloatNetwork
    from tssd.train.loop.loop import Trained


def followed(
    config: "TrainConfig",
    dataset: "Dataset",
    out: Path,
    *,
    resume: bool,
    start_from: Path | None,
    teacher: Path | None,
    again: str,
    graph: "FloatNetwork | None" = None,
) -> "Trained":
    """Train with a bar; *again* is the command line that goes on with an interrupted run. *graph*:
    the float network to train on with few bits, where it is no built-in one."""
    from tssd.train.loop.folder import MANIFEST
    from tssd.train.loop.loop import train

    batches = len(dataset.train.first(config.train_limit)) // config.batch_size
    with noted_bar("training", config.epochs * batches) as bar:

        def show(epoch: int, batch: int, means: dict[str, float]) -> None:
            note = f"epoch {epoch + 1}/{config.epochs} loss {means['loss']:.3f}"
            note += f" train {means['train_accuracy']:.1f} %"
            bar(epoch * batches + batch, note)
            if batch == batches:
                line_without_bar(note)

        try:
            return train(
                config,
                dataset,
                out,
                resume=resume,
                start_from=start_from,
                graph=graph,
                taught_by=teacher,
                progress=show,
            )
        except Interrupted as stop:
            if stop.note and not (out / MANIFEST).exists():
                stop.note += f"; go on with: {again}"
            raise


def proof(outcome: "Trained", config: "TrainConfig", dataset: "Dataset") -> "Contract | None":
    """That the integers fire the spikes of the network trained in them; None for one in float.
    ContractError where one spike differs."""
    if not config.bits:
        return None
    from tssd.chain.few_bits import Quantized, precision_of_run, same_spikes
    from tssd.contracts import require

    assert isinstance(outcome.net, Quantized)
    steps, images = config.student_steps, dataset.val.images
    found = same_spikes(outcome.net, images, steps, precision_of_run(config))
    require([found])
    return found
