"""A *simulated* event camera that looks at a still image while it is moved: no real recording.

Protocol of N-MNIST (Orchard et al. 2015): three saccades around a triangle; the image moves over
a 34 x 34 sensor by (3.5, 7), (3.5, -7) and (-7, 0) pixels. The path and the bell-shaped speed

    s(u) = 10 u^3 - 15 u^4 + 6 u^5                 (minimum jerk, u = 0..1 of a saccade)

are a model of the platform, and so are the parameters below. They were fitted to 100 real N-MNIST
recordings of the same digits and describe no other camera: the noise is what far from any edge was
recorded (0.44 to 0.69 Hz), the threshold what then gives the same number of events.

    I(t) = background + (255 - background) pixel / 255     bilinear between pixels
    L    = ln I where I >= floor, else linear with the same value at the floor
    event where |L - L_at_the_last_event| reaches the pixel's threshold, not within the refractory
    time of its last event; ON where L grew

Thresholds differ from pixel to pixel (a normal factor, one draw per camera and polarity), and
events without cause come at random (Poisson, either polarity). The lin-log threshold model is the
common one (v2e, arXiv 2006.07722); the code is ours.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tssd.arrays import ByteArray, FloatArray, IntArray
from tssd.compiling import kernel
from tssd.errors import ConfigError, DataError
from tssd.train.data.events import Events, Recordings, gather

SMALLEST_FACTOR = 0.2  # of a pixel's threshold, whatever the mismatch draws


@dataclass(frozen=True)
class Camera:
    """Sensor, movement and pixel model; lengths in pixels, intensities on 0..255."""

    size: tuple[int, int] = (34, 34)  # height, width
    corners: tuple[tuple[float, float], ...] = ((0.0, 0.0), (3.5, 7.0), (7.0, 0.0), (0.0, 0.0))
    offset: tuple[float, float] = (0.0, 1.5)  # x, y from where the whole way is centred
    saccade_us: int = 105_000
    step_us: int = 500  # the image stands still for so long; event times lie between
    threshold: float = 0.505  # of ln I
    floor: float = 10.0
    background: float = 28.0
    refractory_us: int = 1000
    mismatch: float = 0.15  # standard deviation of the thresholds' factor
    noise_hz: float = 0.5  # events without cause, per pixel
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("threshold", "floor", "saccade_us", "step_us")
        limits = [(name, "> 0", getattr(self, name) > 0) for name in positive]
        none = ("background", "refractory_us", "mismatch", "noise_hz", "seed")
        limits += [(name, ">= 0", getattr(self, name) >= 0) for name in none]
        limits.append(("corners", "two or more", len(self.corners) >= 2))
        for name, allowed, good in limits:
            if not good:
                raise ConfigError(
                    f"camera: {name}", found=repr(getattr(self, name)), allowed=allowed
                )

    @property
    def length_us(self) -> int:
        return self.saccade_us * (len(self.corners) - 1)


def path(camera: Camera) -> FloatArray:
    """Where the image is after each step: (steps + 1, 2) of x and y, from the first corner."""
    times = np.arange(0, camera.length_us + 1, camera.step_us) / camera.saccade_us
    leg = np.minimum(times.astype(np.int64), len(camera.corners) - 2)
    u = times - leg
    share = 10 * u**3 - 15 * u**4 + 6 * u**5
    corners = np.array(camera.corners)
    moved: FloatArray = corners[leg] + share[:, None] * (corners[leg + 1] - corners[leg])
    return moved


def thresholds(camera: Camera) -> FloatArray:
    """(2, height, width): of OFF and of ON events, the same for every image."""
    rng = np.random.default_rng((camera.seed, 0))
    factor = 1 + camera.mismatch * rng.standard_normal((2, *camera.size))
    return camera.threshold * np.maximum(factor, SMALLEST_FACTOR)


def record(images: ByteArray, camera: Camera, first: int = 0) -> Recordings:
    """Simulated recordings of *images* (N, 1, H, W).

    Noise is drawn from (camera.seed, number of the image), numbers counting from *first*.
    """
    if images.ndim != 4 or images.shape[1] != 1 or images.dtype != np.uint8:
        raise DataError(
            "simulated camera",
            found=f"{images.dtype} array of shape {images.shape}",
            allowed="uint8 (N, 1, H, W), grey images",
        )
    moved, limits = path(camera), thresholds(camera)
    moved = moved + _begin(camera, images.shape[2:])

    def one(number: int) -> Events:
        return _record(images[number, 0], camera, moved, limits, first + number)

    with ThreadPoolExecutor() as pool:  # the kernel runs without the interpreter's lock
        events = list(pool.map(one, range(len(images))))
    names = [f"simulated recording {first + number}" for number in range(len(images))]
    return gather(events, (2, *camera.size), names, camera.length_us)


def _begin(camera: Camera, image: tuple[int, ...]) -> FloatArray:
    """The image's corner at the start: its whole way is centred on the sensor."""
    corners = np.array(camera.corners)
    room = np.array(camera.size[::-1]) - np.array(image[::-1]) - np.ptp(corners, axis=0)
    begin: FloatArray = room / 2 - corners.min(axis=0) + camera.offset
    return begin


def _record(
    image: ByteArray, camera: Camera, moved: FloatArray, limits: FloatArray, number: int
) -> Events:
    light = camera.background + (255 - camera.background) * (image / 255)
    settings = (camera.background, camera.floor, camera.step_us, camera.refractory_us)
    caused = np.empty((0, 4), np.int64)
    room = 1 << 14
    while True:
        caused, count = np.empty((room, 4), np.int64), 0
        count = watch(light, moved, limits, *settings, caused)
        if count <= room:
            break
        room = count
    events = np.concatenate([caused[:count], _noise(camera, number)])
    events = events[np.argsort(events[:, 3], kind="stable")]
    return Events(*events.T)


def _noise(camera: Camera, number: int) -> IntArray:
    """Rows x, y, polarity, time of the events without cause."""
    rng = np.random.default_rng((camera.seed, 1, number))
    height, width = camera.size
    count = rng.poisson(camera.noise_hz * height * width * camera.length_us * 1e-6)
    ends = (width, height, 2, camera.length_us)
    return np.stack([rng.integers(0, end, count) for end in ends], axis=1)


@kernel
def level(light: float, floor: float) -> float:
    """The pixel's voltage: ln of the light, linear below *floor*."""
    return float(np.log(light)) if light >= floor else light * float(np.log(floor)) / floor


@kernel
def seen(light: Any, background: float, x: float, y: float) -> float:
    """The light at (x, y) of the image's plane, bilinear; beyond the image the background."""
    height, width = light.shape
    left, top = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for dy in range(2):
        for dx in range(2):
            u, v = left + dx, top + dy
            inside = 0 <= u < width and 0 <= v < height
            share = (1 - abs(x - u)) * (1 - abs(y - v))
            total += share * (light[v, u] if inside else background)
    return total


@kernel
def watch(
    light: Any,
    moved: Any,
    limits: Any,
    background: float,
    floor: float,
    step_us: int,
    refractory_us: int,
    events: Any,
) -> int:
    """Fill *events* with rows x, y, polarity, time, pixel by pixel; returns how many there are,
    also where they are more than *events* holds."""
    count = 0
    for y in range(limits.shape[1]):
        for x in range(limits.shape[2]):
            before = level(seen(light, background, x - moved[0, 0], y - moved[0, 1]), floor)
            memory, free = before, 0.0
            for step in range(1, len(moved)):
                place = (x - moved[step, 0], y - moved[step, 1])
                after = level(seen(light, background, place[0], place[1]), floor)
                while after != before:
                    polarity = 1 if after > memory else 0
                    goal = memory + (limits[1, y, x] if polarity else -limits[0, y, x])
                    crossed = (goal - before) / (after - before)
                    reached = after >= goal if polarity else after <= goal
                    # A threshold passed while the pixel was blind fires as soon as it sees again.
                    time = (step - 1 + max(crossed, 0.0)) * step_us
                    time = max(time, free)
                    if not reached or time >= step * step_us:
                        break
                    if count < len(events):
                        events[count] = (x, y, polarity, int(time))
                    count += 1
                    memory, free = goal, time + refractory_us
                before = after
    return count
