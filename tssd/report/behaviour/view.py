"""``Behaviour`` -> what the page draws: positions, shades and words."""

from dataclasses import dataclass

from tssd.errors import counted
from tssd.report import words
from tssd.report.behaviour.model import AnswerCount, ChipMap, CoreUse, Divergence
from tssd.report.model import Report

MOST_CHIPS = 4  # drawn; the table and report.json have all
MOST_CLASSES = 20  # of a confusion matrix on a page
HUES = 8
CELL = 14  # of a raster, in units of its drawing


@dataclass(frozen=True)
class CoreSquare:
    """A core on the drawing of its chip; ``fill`` 0 .. 1, ``hue``: which colour of its layer."""

    x: float
    y: float
    side: float
    fill: float
    hue: int
    text: str
    label: str


@dataclass(frozen=True)
class ChipDrawing:
    chip: int
    width: int
    height: int
    squares: tuple[CoreSquare, ...]
    empty: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class ChipMapDrawing:
    chips: tuple[ChipDrawing, ...]
    left_out: int
    legend: tuple[tuple[int, str, str], ...]  # number, layer, its cores in words


def chip_map(report: Report) -> ChipMapDrawing | None:
    """Each chip as a grid of cores, a layer's number on those that hold it; None without a map."""
    found = report.behaviour.chip_map
    if found is None or not found.cores:
        return None
    names = [layer.name for layer in report.layers]
    chips = sorted({core.chip for core in found.cores})
    drawn = tuple(_chip(found, chip, names) for chip in chips[:MOST_CHIPS])
    legend = tuple((number, name, _cores_of(found, name)) for number, name in enumerate(names, 1))
    return ChipMapDrawing(drawn, len(chips) - len(drawn), legend)


def _cores_of(found: ChipMap, name: str) -> str:
    mine = [core for core in found.cores if name in core.layers]
    if not mine:
        return words.NOT_RUN
    fullest = max(mine, key=lambda core: core.share)
    plural = "core" if len(mine) == 1 else "cores"
    return f"{len(mine)} {plural}, {words.percent(fullest.share, 0)} {fullest.resource}"


def _chip(found: ChipMap, chip: int, names: list[str]) -> ChipDrawing:
    across = 2 if found.slots > 1 else 1  # cores of a router side by side
    down = -(-found.slots // across)
    side = 10.0

    def place(x: int, y: int, slot: int) -> tuple[float, float]:
        return (x * across + slot % across) * side, (y * down + slot // across) * side

    mine = [core for core in found.cores if core.chip == chip]
    taken = {(core.x, core.y, core.slot) for core in mine}
    empty = tuple(
        place(x, y, slot)
        for y in range(found.height)
        for x in range(found.width)
        for slot in range(found.slots)
        if (x, y, slot) not in taken
    )
    squares = tuple(_square(core, place(core.x, core.y, core.slot), side, names) for core in mine)
    size = found.width * across * int(side), found.height * down * int(side)
    return ChipDrawing(chip, *size, squares, empty)


def _square(core: CoreUse, at: tuple[float, float], side: float, names: list[str]) -> CoreSquare:
    numbers = [names.index(name) + 1 for name in core.layers if name in names]
    text = str(numbers[0]) + ("+" if len(numbers) > 1 else "") if numbers else ""
    label = (
        f"core {core.core} ({core.x}, {core.y}): {', '.join(core.layers)}; {core.resource} "
        f"{words.percent(core.share, 0)}; {words.number(core.synops)} synops"
    )
    hue = (numbers[0] - 1) % HUES if numbers else 0
    return CoreSquare(*at, side, round(min(core.share, 1.0), 3), hue, text, label)


@dataclass(frozen=True)
class CourseBar:
    """One time step: the heights of both charts in percent, and their figures in words."""

    step: int
    accuracy: float
    accuracy_words: str
    rate: float
    rate_words: str


def over_time(report: Report) -> tuple[CourseBar, ...]:
    """A bar for each time step; the rate's longest is the whole height."""
    points = report.behaviour.over_time
    most = max((point.rate for point in points), default=0.0) or 1.0
    return tuple(
        CourseBar(
            point.step,
            round(100 * (point.accuracy or 0.0), 2),
            words.percent(point.accuracy, 1),
            round(100 * point.rate / most, 2),
            words.percent(point.rate, 1),
        )
        for point in points
    )


@dataclass(frozen=True)
class ConfusionCell:
    """``count`` samples of a label got this answer in integers, ``change`` more than in float."""

    count: int
    shade: float
    change: int | None


@dataclass(frozen=True)
class Confusion:
    """Rows are labels, columns answers; without rows where there are too many classes."""

    classes: tuple[int, ...]
    rows: tuple[tuple[ConfusionCell, ...], ...]
    changes: tuple[str, ...]
    worst: tuple[str, ...]


def confusion(report: Report) -> Confusion | None:
    """Who is taken for whom, and what quantization changed; None without labels."""
    answers = report.behaviour.answers
    if not answers:
        return None
    known = {x.label for x in answers} | {x.integer for x in answers}
    classes = tuple(sorted(known | {x.float for x in answers if x.float is not None}))
    rows = () if len(classes) > MOST_CLASSES else tuple(_row(answers, c, classes) for c in classes)
    return Confusion(classes, rows, changes(answers), _worst(answers))


def _row(
    answers: tuple[AnswerCount, ...], label: int, classes: tuple[int, ...]
) -> tuple[ConfusionCell, ...]:
    mine = [x for x in answers if x.label == label]
    whole = sum(x.samples for x in mine)
    run = all(x.float is not None for x in answers)
    cells = []
    for answer in classes:
        count = sum(x.samples for x in mine if x.integer == answer)
        before = sum(x.samples for x in mine if x.float == answer)
        shade = round(count / whole, 3) if whole else 0.0
        cells.append(ConfusionCell(count, shade, count - before if run else None))
    return tuple(cells)


def changes(answers: tuple[AnswerCount, ...]) -> tuple[str, ...]:
    """What quantization did to the answers, in sentences."""
    if any(x.float is None for x in answers):
        return ("The float network was not run on these samples.",)
    lost = sum(x.samples for x in answers if x.float == x.label != x.integer)
    won = sum(x.samples for x in answers if x.integer == x.label != x.float)
    other = sum(
        x.samples for x in answers if x.integer != x.label and x.float not in (x.label, x.integer)
    )
    if not lost + won + other:
        return ("Quantization changed no answer.",)
    moved = [(lost, "right to wrong"), (won, "wrong to right"), (other, "one wrong to another")]
    told = ", ".join(f"{count:,} from {what}" for count, what in moved if count)
    return (f"Quantization changed {counted(lost + won + other, 'answer')}: {told}.",)


def _worst(answers: tuple[AnswerCount, ...]) -> tuple[str, ...]:
    """The three commonest mistakes."""
    wrong: dict[tuple[int, int], int] = {}
    for x in answers:
        if x.label != x.integer:
            wrong[x.label, x.integer] = wrong.get((x.label, x.integer), 0) + x.samples
    ranked = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:3]
    return tuple(f"{label} taken for {answer}: {count}" for (label, answer), count in ranked)


@dataclass(frozen=True)
class RasterMark:
    """A slot in which a neuron fired: in ``both`` networks, or in one alone."""

    x: int
    y: int
    kind: str
    label: str


@dataclass(frozen=True)
class RasterDrawing:
    width: int
    height: int
    marks: tuple[RasterMark, ...]
    first: tuple[int, int]  # where the difference begins
    divergence: Divergence


def raster(report: Report) -> RasterDrawing | None:
    """The neurons beside the first difference, a row each, a column for each step."""
    found = report.behaviour.divergence
    if found is None:
        return None
    rows = {neuron: i for i, neuron in enumerate(found.neurons)}
    ours, theirs = set(found.integer), set(found.float)
    marks = []
    for step, neuron in sorted(ours | theirs):
        event = step, neuron
        kind = "both" if event in ours & theirs else ("integer" if event in ours else "float")
        label = f"step {step}, neuron {neuron}: {kind}"
        marks.append(RasterMark((step - found.first_step) * CELL, rows[neuron] * CELL, kind, label))
    first = (found.step - found.first_step) * CELL, rows[found.neuron] * CELL
    size = found.steps * CELL, len(rows) * CELL
    return RasterDrawing(*size, tuple(marks), first, found)
