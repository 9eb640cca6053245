"""Neurons in front of maximum pools of currents: the same layers in an order that a chip can do.

    layer -> max -> neuron     becomes     layer -> neuron -> max of spikes

It is another network (each pixel has a membrane of its own), close enough to train on from.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch

from tssd.errors import NetworkError
from tssd.train.recording.steps import Link, Origin, SiteStep, Sum
from tssd.train.recording.tape.neurons import Rule
from tssd.train.recording.tape.values import Op, Shape, scale_op


def swapped(steps: Sequence[SiteStep], output: Sum) -> tuple[tuple[SiteStep, ...], Sum]:
    """Every neuron layer that reads a maximum of currents, put in front of it."""
    moved = {k for k, site in enumerate(steps) if pools_currents(site.current)}
    changed = tuple(_in_front(site) if k in moved else site for k, site in enumerate(steps))
    found = tuple(
        replace(site, current=_reading(site.current, steps, changed, moved))
        if isinstance(site.current, Sum)
        else site
        for site in changed
    )
    return found, _reading(output, steps, changed, moved)


def pools_currents(current: object) -> bool:
    """Whether one maximum pool, of anything but spikes, is all that enters."""
    if not isinstance(current, Sum) or len(current.links) != 1:
        return False
    pool = current.links[0].origin.pool
    if pool is None:
        return False
    spikes = len(pool.links) == 1 and pool.links[0].origin.output == "spk"
    plain = spikes and all(op.kind == "reshape" for op in pool.links[0].ops)
    return not (plain and not bool(pool.const.any()))


def _in_front(site: SiteStep) -> SiteStep:
    """The neurons of *site* on the pixels that the pool read."""
    assert isinstance(site.current, Sum)
    assert isinstance(site.rule, Rule)
    link = site.current.links[0]
    pool = link.origin.pool
    assert pool is not None
    constants = [t for t in vars(site.rule).values() if isinstance(t, torch.Tensor)]
    if any(t.numel() > 1 and not _per_channel(t, site.shape) for t in constants):
        raise _fault(site, "constants for each of its neurons")
    ops = tuple(_wider(op, pool.shape, site) for op in link.ops)
    links = tuple(replace(inner, ops=(*inner.ops, *ops)) for inner in pool.links)
    const = pool.const
    for op in ops:
        const = op.apply(const[None])[0]
    own = site.current.const
    if bool((own != own[:, :1, :1]).any()):
        raise _fault(site, "a bias for each of its neurons")
    current = Sum(pool.shape, links, const + own[:, :1, :1])
    return replace(site, current=current, shape=pool.shape)


def _wider(op: Op, shape: Shape, site: SiteStep) -> Op:
    if op.kind != "scale" or (
        op.constants[0].numel() > 1 and not _per_channel(op.constants[0], op.out)
    ):
        raise _fault(site, f"a layer between the pool and the neuron ({op.path or op.kind})")
    return scale_op(op.constants[0], shape, op.path)


def _per_channel(constant: torch.Tensor, shape: Shape) -> bool:
    full = constant.expand(shape)
    return len(shape) == 3 and bool((full == full[:, :1, :1]).all()) and constant.dim() == 3


def _reading(
    current: Sum,
    before: Sequence[SiteStep],
    after: Sequence[SiteStep],
    moved: Collection[int],
) -> Sum:
    """Links to a moved layer read the maximum of its spikes."""
    links = tuple(_behind_pool(link, before, after, moved) for link in current.links)
    return replace(current, links=links)


def _behind_pool(
    link: Link,
    before: Sequence[SiteStep],
    after: Sequence[SiteStep],
    moved: Collection[int],
) -> Link:
    o = link.origin
    if o.kind != "neuron" or o.site not in moved:
        return link
    if o.output != "spk" or o.late:
        raise _fault(before[o.site], "a membrane, or spikes of another step, read behind the pool")
    old = before[o.site].current
    assert isinstance(old, Sum)
    wide = replace(o, feat=after[o.site].shape)
    zero = torch.zeros(wide.feat, dtype=torch.float64)
    pooled = Sum(wide.feat, (Link(wide, ()),), zero)
    window = old.links[0].origin.window
    return replace(link, origin=Origin("max", o.feat, pool=pooled, window=window))


def _fault(site: SiteStep, found: str) -> NetworkError:
    return NetworkError(
        f"module {site.path}",
        found=found,
        allowed="a pool directly in front of a neuron with one beta and threshold (per channel)",
        hint="this network cannot be put in the other order; write the neuron before the pool",
    )
