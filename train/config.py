"""TrainConfig: everything a training run depends on, read from TOML or the command line.

What the TSSD paper (arXiv 2406.07862) leaves open is an option here. Its abstract fixes that a
longer run teaches a shorter one and that a weak classifier at an intermediate stage is taught by
the final output; the form and weights of the losses, T_t, the place and design of the weak
classifier and the task readout are *our* defaults, not the paper's. docs/training.md lists them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tssd.config import from_mapping, load_toml, unknown_name
from tssd.errors import ConfigError
from tssd.train.data.events import EventAugmentation, FrameRule, Framing, TeacherFrames
from tssd.train.handover.float_network import Reset


class Method(StrEnum):
    """Which distillation terms are added to the task loss.

    ce none; tet cross-entropy of every step (arXiv 2202.11946, without its MSE term); tsd, ssd
    and tssd the temporal term, the spatial term, both; s2w and w2s the most confident step
    teaching the least confident one, or the reverse (arXiv 2510.07924).
    """

    CE = "ce"
    TET = "tet"
    TSD = "tsd"
    SSD = "ssd"
    TSSD = "tssd"
    S2W = "s2w"
    W2S = "w2s"

    @property
    def temporal(self) -> bool:
        return self in (Method.TSD, Method.TSSD)

    @property
    def spatial(self) -> bool:
        return self in (Method.SSD, Method.TSSD)


class Distance(StrEnum):
    """How a student's logits are compared with its teacher's."""

    KL = "kl"
    MSE = "mse"


class ReadoutLogit(StrEnum):
    """Which mean logits: over the first T_s steps, over all T_t steps, or both."""

    STUDENT = "student"
    TEACHER = "teacher"
    BOTH = "both"


class WeakDesign(StrEnum):
    """The weak classifier: average pooling and a linear layer, or a spiking convolution before."""

    POOL_LINEAR = "pool-linear"
    CONV_POOL_LINEAR = "conv-pool-linear"


class Surrogate(StrEnum):
    """The derivative used for the step function; each has height 1/a and area 1 (a the width)."""

    RECTANGULAR = "rectangular"
    TRIANGULAR = "triangular"
    SIGMOID = "sigmoid"
    ATAN = "atan"
    FAST_SIGMOID = "fast-sigmoid"


class Schedule(StrEnum):
    """Learning rate over the run."""

    CONSTANT = "constant"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"
    STEP = "step"


class Optimizer(StrEnum):
    """The update rule; SGD has momentum 0.9."""

    ADAM = "adam"
    ADAMW = "adamw"
    SGD = "sgd"


class TrainingPrecision(StrEnum):
    """Arithmetic of the convolutions and linear layers; membranes are always float32."""

    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Steps are time steps; ``student_steps`` is T_s, ``teacher_steps`` T_t.

    The neuron is H = (1 - 1/tau) H + I, fires at H >= threshold, and has a surrogate gradient
    of width ``surrogate_width``. The loss is task + alpha * temporal + beta * spatial + gamma *
    precision, with alpha and beta growing linearly over the first ``ramp`` share of the run (the
    float teacher of gamma is trained already), plus the regularisers of
    ``tssd.train.losses.regularise``, whose weights are 0. For ``warm_epochs`` the run uses
    ``warm_student_steps`` and ``warm_teacher_steps`` instead: cheap early epochs.
    """

    dataset: str = "digits"
    model: str = "tiny"
    width: float = 1.0  # factor on every stage's channels and neurons
    depth: float = 1.0  # factor on the convolutions or blocks of every group
    channels: str = ""  # of single stages, where fewer than the model has: conv1=12,fc1=64
    epochs: int = 10
    batch_size: int = 128
    optimizer: Optimizer = Optimizer.ADAM
    lr: float = 2e-3
    schedule: Schedule = Schedule.ONE_CYCLE
    weight_decay: float = 0.0
    clip: float = 0.0  # largest norm of the gradient; 0 switches clipping off
    seed: int = 0
    precision: TrainingPrecision = TrainingPrecision.FP32

    reset: Reset = Reset.SOFT
    tau: float = 2.0
    threshold: float = 1.0
    surrogate: Surrogate = Surrogate.RECTANGULAR
    surrogate_width: float = 1.0
    detach_reset: bool = True  # ours: the paper does not say
    learn_leak: bool = False  # one leak per population, sigmoid(w), starting at 1 - 1/tau

    bits: str = ""  # of the deployed weights: 4, ternary, binary, or 4,conv1=8; "" trains in float
    chip_weight_bits: int = 8  # ranges of the chip that the bits are for: see quantization.widths
    chip_decay_bits: int = 12
    chip_vth_max: int = 131071
    chip_bias_max: int = 4095
    chip_activation_max: int = 131071
    chip_payload_max: int = 255

    method: Method = Method.TSSD
    student_steps: int = 4
    teacher_steps: int = 6  # ours: T_t = 1.5 T_s
    alpha: float = 0.5  # ours
    beta: float = 0.2  # ours
    gamma: float = 0.0  # of the precision term, with bits: the float network of T_t steps teaches
    gated: bool = False  # it teaches single steps that are wrong, not their mean
    ramp: float = 0.3  # ours
    loss: Distance = Distance.KL  # ours: the same group's later work uses KL
    temperature: float = 2.0  # ours, after arXiv 2510.07924
    temperature_squared: bool = True  # ours: the usual factor on a softened KL
    task_readout: ReadoutLogit = (
        ReadoutLogit.BOTH
    )  # ours: an unsupervised teacher drifts below its student
    detach_teacher: bool = True  # ours
    spatial_steps: ReadoutLogit = ReadoutLogit.STUDENT  # ours
    weak_stage: str = ""  # ours: "" is the model's middle stage; "conv1,conv3" are two
    weak_design: WeakDesign = WeakDesign.POOL_LINEAR  # ours
    weak_cross_entropy: bool = False  # ours
    label_smoothing: float = 0.0

    rate_target: float = 0.1  # spikes per neuron and step that every population is drawn to
    rate_weight: float = 0.0
    synop_budget: float = 1e6  # synaptic operations per inference above which a penalty grows
    synop_weight: float = 0.0
    range_limit: float = 4.0  # largest |weight| over the layer's root mean square
    range_weight: float = 0.0

    ema: float = 0.0  # decay per update of the averaged weights that are deployed; 0 is off
    norm_batches: int = 0  # batches of T_s steps to estimate the statistics anew at the end
    save_every_s: float = 60.0  # seconds between checkpoints in the middle of an epoch
    tensorboard: bool = False  # event files beside history.csv (extra "tensorboard")
    device: str = "cpu"

    warm_epochs: int = 0
    warm_student_steps: int = 2
    warm_teacher_steps: int = 3

    flip: bool = False  # mirror half of the training images left to right
    shift: int = 0  # shift training images by up to so many pixels
    autoaugment: bool = False  # AutoAugment's CIFAR-10 policy on training images of 1 or 3 channels
    rotate: float = 0.0  # event recordings: turn by up to so many degrees
    scale: float = 0.0  # event recordings: enlarge or shrink by up to this share
    event_drop: float = 0.0  # event recordings: leave out up to this share of the events
    time_shift: float = 0.0  # event recordings: shift by up to this share of the length
    train_limit: int = 0  # use only the first so many training images; 0 means all

    frames: int = 0  # a recording is cut into so many; 0: T_t (prefix), T_s (resliced)
    frame_rule: FrameRule = FrameRule.TIME
    teacher_frames: TeacherFrames = TeacherFrames.PREFIX  # ours: the paper does not say
    event_gain: int = 32  # what one event adds to a pixel of 0..255
    event_shrink: int = 1  # so many of the camera's rows and columns make one of the frame
    event_window_us: int = 0  # length of a frame, with frame_rule "window"

    def __post_init__(self) -> None:
        for name, allowed, good in _limits(self):
            if not good:
                raise ConfigError(
                    f"training: {name}", found=repr(getattr(self, name)), allowed=allowed
                )

    @property
    def decay(self) -> float:
        return 1.0 - 1.0 / self.tau

    def steps(self, epoch: int) -> tuple[int, int]:
        """(T_s, T_t) of *epoch*, counted from 0; a method without a teacher runs T_s only."""
        warm = epoch < self.warm_epochs
        student = self.warm_student_steps if warm else self.student_steps
        teacher = self.warm_teacher_steps if warm else self.teacher_steps
        return student, teacher if self.uses_teacher else student

    @property
    def uses_teacher(self) -> bool:
        return self.method.temporal

    def framing(self) -> Framing:
        """How recordings of events become the frames of training and of every later test."""
        prefix = self.teacher_frames is TeacherFrames.PREFIX
        steps = self.frames or (self.teacher_steps if prefix else self.student_steps)
        shape = (self.event_gain, self.event_shrink, self.event_window_us)
        return Framing(steps, self.frame_rule, *shape)

    def event_augmentation(self) -> EventAugmentation:
        """What is done to each recording of a training batch."""
        return EventAugmentation(
            self.shift, self.rotate, self.scale, self.event_drop, self.time_shift, self.flip
        )

    @property
    def float_steps(self) -> int:
        """The steps that the float teacher of few bits runs: T_t, or T_s where that is longer."""
        return max(self.student_steps, self.teacher_steps)

    @property
    def teacher_runs_apart(self) -> bool:
        """Whether student and teacher read two cuts of a recording, in two runs."""
        return self.uses_teacher and self.teacher_frames is TeacherFrames.RESLICED

    def to_table(self) -> dict[str, Any]:
        """Plain values for TOML and JSON."""
        return {k: v.value if isinstance(v, StrEnum) else v for k, v in asdict(self).items()}

    def to_toml(self) -> str:
        return "".join(f"{key} = {_toml(value)}\n" for key, value in self.to_table().items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _limits(c: TrainConfig) -> list[tuple[str, str, bool]]:
    """(field, what is allowed, whether it holds) for every numeric field."""
    counts = ("epochs", "batch_size", "student_steps", "warm_student_steps")
    weights = (
        *("alpha", "beta", "gamma", "weight_decay", "clip", "warm_epochs", "shift", "train_limit"),
        *("rotate", "frames", "rate_weight", "synop_weight", "range_weight"),
        *("norm_batches", "save_every_s", "chip_payload_max"),
    )
    positive = (
        *("width", "depth", "lr", "threshold", "surrogate_width", "temperature"),
        *("synop_budget", "range_limit", "chip_weight_bits", "chip_vth_max", "chip_bias_max"),
        "chip_activation_max",
    )
    unit = ("ramp", "label_smoothing", "scale", "event_drop", "time_shift", "rate_target")
    return [
        *((name, ">= 1", getattr(c, name) >= 1) for name in counts),
        *((name, ">= 0", getattr(c, name) >= 0) for name in weights),
        *((name, "> 0", getattr(c, name) > 0) for name in positive),
        *((name, "0 to 1", 0 <= getattr(c, name) <= 1) for name in unit),
        *((name, "<= 64", getattr(c, name) <= 64) for name in ("width", "depth")),
        *((name, f"<= {MOST_STEPS}", getattr(c, name) <= MOST_STEPS) for name in STEPS),
        ("ema", "0 to 1, 1 excluded", 0 <= c.ema < 1),
        (
            "precision",
            "fp32 with bits: bf16 rounds whole numbers",
            not c.bits or c.precision is TrainingPrecision.FP32,
        ),
        ("gamma", "0 without bits: it teaches few bits alone", bool(c.bits) or not c.gamma),
        (
            "gamma",
            "0 with teacher_frames resliced: both read the same frames",
            not c.gamma or c.teacher_frames is TeacherFrames.PREFIX,
        ),
        ("gated", "false without gamma", bool(c.gamma) or not c.gated),
        ("tau", "> 1 with learn_leak" if c.learn_leak else ">= 1", c.tau > 1 - (not c.learn_leak)),
        ("seed", ">= 0", c.seed >= 0),
        ("chip_decay_bits", "1 to 12", 1 <= c.chip_decay_bits <= 12),
        ("event_gain", "1 to 255", 1 <= c.event_gain <= 255),
        ("event_shrink", "1 to 64", 1 <= c.event_shrink <= 64),
        (
            "event_window_us",
            "above 0 with frame_rule window, else 0",
            (c.event_window_us > 0) == (c.frame_rule is FrameRule.WINDOW)
            and c.event_window_us >= 0,
        ),
        (
            "frame_rule",
            "time or count with teacher_frames resliced: a window does not follow the steps",
            not (c.frame_rule is FrameRule.WINDOW and c.teacher_frames is TeacherFrames.RESLICED),
        ),
        ("reset", "soft, hard", not c.reset.keeps),
        ("spatial_steps", "student, teacher", c.spatial_steps is not ReadoutLogit.BOTH),
        (
            "teacher_steps",
            f"> student_steps = {c.student_steps}: the longer run teaches the shorter",
            c.teacher_steps > c.student_steps or not c.uses_teacher,
        ),
        (
            "warm_teacher_steps",
            f"> warm_student_steps = {c.warm_student_steps}",
            c.warm_teacher_steps > c.warm_student_steps or not c.uses_teacher,
        ),
    ]


MOST_STEPS = 10_000  # as many as a recording is cut into
STEPS = ("student_steps", "teacher_steps", "warm_student_steps", "warm_teacher_steps")

EVENT_PRESET: dict[str, Any] = {
    "model": "tiny",
    "epochs": 30,
    "batch_size": 32,
    "shift": 2,
    "rotate": 10.0,
    "scale": 0.1,
    "event_drop": 0.3,
}

# How a run is carried out rather than what it computes: these may change when it is resumed.
CONDUCT = frozenset({"save_every_s", "tensorboard", "device"})

# What differs from TrainConfig's own defaults for a data set, found by short trials.
PRESETS: dict[str, dict[str, Any]] = {
    "digits": {"model": "tiny", "epochs": 20, "batch_size": 64, "lr": 5e-3, "shift": 1},
    "fashion-mnist": {"model": "vgg-small", "flip": True},
    "mnist": {"model": "tiny", "shift": 2},
    "own": {"model": "tiny"},
    "cifar10": {"model": "vgg-small", "flip": True, "shift": 4, "epochs": 30},
    "cifar100": {"model": "vgg-small", "flip": True, "shift": 4, "epochs": 30},
    "imagenet-folder": {"model": "resnet-18", "flip": True, "shift": 16, "epochs": 100},
    "cifar10-dvs": {"model": "vgg-small", "flip": True, "shift": 10, "batch_size": 16},
    "dvs-gesture": {"model": "vgg-small", "shift": 10, "batch_size": 16, "frame_rule": "count"},
    "shd": {"model": "tiny", "time_shift": 0.05},
    "n-mnist": EVENT_PRESET,
    "n-mnist-simulated": EVENT_PRESET,
    "n-fashion-simulated": EVENT_PRESET,
}


def configure(
    dataset: str | None, path: Path | None = None, changes: Mapping[str, Any] | None = None
) -> TrainConfig:
    """The preset of the data set, then the TOML file, then *changes*; unknown keys are errors."""
    table = load_toml(path) if path else {}
    overrides = {**table, **(changes or {})}
    name = overrides.get("dataset", "digits") if dataset is None else dataset
    if not isinstance(name, str) or name not in PRESETS:
        raise unknown_name("training: dataset", f"data set {name!r}", str(name), PRESETS)
    merged = {**PRESETS[name], **overrides, "dataset": name}
    return from_mapping(TrainConfig, merged, str(path) if path else "training")


def recorded(table: Mapping[str, Any], where: str) -> TrainConfig:
    """The configuration a run recorded; what it did not know yet has its default."""
    return from_mapping(TrainConfig, table, where)


def parse_setting(text: str) -> tuple[str, Any]:
    """``key=value`` from the command line, the value read as the type of that field's default."""
    key, _, raw = text.partition("=")
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    if key not in defaults:
        raise unknown_name("--set", f"key {key!r}", key, defaults)
    default = defaults[key]
    if isinstance(default, bool):
        if raw not in ("true", "false"):
            raise ConfigError(f"--set {key}", found=repr(raw), allowed="true, false")
        return key, raw == "true"
    if isinstance(default, str):
        return key, raw
    kind = int if isinstance(default, int) else float
    try:
        return key, kind(raw)
    except ValueError:
        allowed = "a whole number" if kind is int else "a number"
        raise ConfigError(f"--set {key}", found=repr(raw), allowed=allowed) from None


def with_changes(config: TrainConfig, **changes: Any) -> TrainConfig:
    return replace(config, **changes)
