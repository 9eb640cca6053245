"""Networks counted one after the other: as if each were alone, and little of it run again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from float_nets import images, small_residual, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.precision import LOIHI
from tssd.calibration.quantizing.fold import Pooling, align, fold
from tssd.calibration.quantizing.observe import observe
from tssd.calibration.quantizing.quantize import quantize
from tssd.calibration.tally import Tally
from tssd.hw_targets.gpu.counting import MOST_BYTES, counter, identities
from tssd.hw_targets.gpu.engine import Prepared, count
from tssd.train.handover.float_activity import ImageArray
from tssd.train.handover.float_network import FloatNetwork

SAMPLES = 7


def integers(build: Callable[[int], FloatNetwork], seed: int, pooling: Pooling) -> IntNetwork:
    network = align(fold(build(seed), pooling))
    return quantize(network, LOIHI, observe(network, images(network, 8)))


def changed(network: IntNetwork, seed: int) -> IntNetwork:
    """With other weights in one projection, or another threshold in one population."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        at = int(rng.integers(len(network.projections)))
        j = network.projections[at]
        other = replace(j, weight=rng.permutation(j.weight.ravel()).reshape(j.weight.shape))
        return replace(network, projections=with_item(network.projections, at, other))
    at = int(rng.integers(1, len(network.populations)))
    p = network.populations[at]
    return replace(
        network, populations=with_item(network.populations, at, replace(p, vth=p.vth + 3))
    )


def with_item(items: tuple[Any, ...], at: int, item: object) -> tuple[Any, ...]:
    return (*items[:at], item, *items[at + 1 :])


def assert_equal(found: Tally, wanted: Tally) -> None:
    assert (found.samples, found.time_steps) == (wanted.samples, wanted.time_steps)
    assert list(found.events) == list(wanted.events)
    np.testing.assert_array_equal(found.readout, wanted.readout)
    for name, events in wanted.events.items():
        np.testing.assert_array_equal(found.events[name], events)


@settings(deadline=None, max_examples=6)
@given(
    st.integers(0, 1000),
    st.sampled_from([(small_vgg, "fold"), (small_vgg, "population"), (small_residual, "fold")]),
    st.lists(st.integers(0, 1000), min_size=1, max_size=3),
    st.sampled_from([0, 3_000, MOST_BYTES]),
)
def test_each_network_counts_as_if_alone(
    seed: int,
    built: tuple[Callable[[int], FloatNetwork], Pooling],
    changes: list[int],
    most_bytes: int,
) -> None:
    """Also where little or nothing is kept, back at the first network, and with fewer steps."""
    first = integers(built[0], seed, built[1])
    samples = images_of(first)
    counted = counter(samples, batch=3, most_bytes=most_bytes)
    networks = [first]
    for change in changes:
        networks.append(changed(networks[change % len(networks)], change))
    for network in (*networks, first, first.with_time_steps(2)):
        assert_equal(counted(network), count(network, samples))


def images_of(network: IntNetwork) -> ImageArray:
    rng = np.random.default_rng(5)
    shown: ImageArray = rng.integers(0, 256, (SAMPLES, *network.source.shape), dtype=np.uint8)
    return shown


def test_what_is_as_before_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = integers(small_vgg, 1, "fold")
    ran: list[str] = []
    whole = Prepared.layer

    def layer(self: Prepared, population: object, *given: object, **more: object) -> object:
        ran.append(population.name)  # type: ignore[attr-defined]
        return whole(self, population, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Prepared, "layer", layer)
    counted = counter(images_of(network))
    counted(network)
    assert ran == ["input", "conv1", "conv2", "conv3", "readout"]
    ran.clear()
    third = network.projections[2]
    other = replace(third, weight=-third.weight)
    counted(replace(network, projections=with_item(network.projections, 2, other)))
    assert ran == ["input", "conv3", "readout"]
    ran.clear()
    counted(network)
    assert ran == ["input", "readout"]


def test_another_number_anywhere_is_another_identity() -> None:
    """Whatever a population's spikes follow from is in its digest, and in those behind it."""
    network = integers(small_vgg, 2, "fold")
    before = identities(network)
    p, j = network.populations[2], network.projections[1]
    others = [
        replace(network, populations=with_item(network.populations, 2, replace(p, **change)))
        for change in ({"vth": p.vth + 1}, {"dv": p.dv + 1}, {"bias_exp": 5})
    ]
    others += [
        replace(network, projections=with_item(network.projections, 1, replace(j, **change)))
        for change in ({"weight": j.weight + 1}, {"weight_exp": 1}, {"delay": 1})
    ]
    for other in others:
        after = identities(other)
        assert [name for name in before if before[name] == after[name]] == ["input", "conv1"]
