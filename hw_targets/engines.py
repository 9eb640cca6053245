"""The engines by name: the one register that verify, doctor, demo, targets and the report read.

Other packages announce theirs through the entry point group ``tssd.engines``: name =
"module:attribute", where the attribute is an ``Engine`` of that name.
"""

from importlib import metadata

from tssd.config import unknown_name
from tssd.errors import TargetError
from tssd.hw_targets.engine import Engine

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            "gpu",
            "torch, on the processor or a CUDA device",
            "tssd.hw_targets.gpu.engine:opened",
            needs=("torch",),
            states="every",
            presence="tssd.hw_targets.gpu.devices:presence",
        ),
        Engine(
            "onnx",
            "the exported graph in onnxruntime",
            "tssd.hw_targets.onnx.engine:opened",
            needs=("onnx", "onnxruntime"),
            states="every",
        ),
        Engine(
            "sim",
            "the simulator, event by event",
            "tssd.hw_targets.sim.functional:opened",
            needs=("numba",),
            states="every",
            cycles=True,
        ),
        Engine(
            "c",
            "the network as plain C99, compiled here",
            "tssd.hw_targets.c.engine:opened",
            install="apt-get install gcc",
            states="every",
            presence="tssd.hw_targets.c.engine:presence",
            footprint=True,
        ),
        Engine(
            "rtl",
            "the open core's circuits, clock by clock, in Verilator",
            "tssd.hw_targets.rtl.engine:opened",
            needs=("amaranth",),
            install="pip install 'tssd[rtl]'",
            states="every",
            presence="tssd.hw_targets.rtl.build:presence",
            cycles=True,
            by_name=True,
            also="clocks of every step, core and message, against the simulator's",
        ),
        Engine(
            "lava",
            "a graph of Lava's processes, in Lava's runtime",
            "tssd.hw_targets.lava.engine:opened",
            install="tssd lava install",
            states="every",
            presence="tssd.hw_targets.lava.environment:light_presence",
        ),
        Engine(
            "netx",
            "the bundle's network.net, by lava-dl's own loader",
            "tssd.hw_targets.lava.engine:opened_netx",
            install="tssd lava install --full",
            states="every",
            presence="tssd.hw_targets.lava.environment:full_presence",
            joins="lava",
            reads="network.net",
        ),
    )
}
ENGINE_GROUP = "tssd.engines"


def announced() -> dict[str, metadata.EntryPoint]:
    """The entry points of other packages, by name; a name of this package's stays this one's."""
    found = {entry.name: entry for entry in metadata.entry_points(group=ENGINE_GROUP)}
    return {name: found[name] for name in sorted(found) if name not in ENGINES}


def engine_names() -> tuple[str, ...]:
    """Every engine that can be asked for, this package's first; none is loaded."""
    return (*ENGINES, *announced())


def find_engine(name: str, where: str = "engine") -> Engine:
    """The engine *name*; an unknown name and a package that does not keep its word are errors."""
    if name in ENGINES:
        return ENGINES[name]
    others = announced()
    if name not in others:
        raise unknown_name(where, f"engine {name!r}", name, engine_names())
    return _loaded(others[name])


def _loaded(entry: metadata.EntryPoint) -> Engine:
    where = f"engine {entry.name}"
    try:
        engine = entry.load()
    except (ImportError, AttributeError) as error:
        raise TargetError(
            where,
            found=f"{entry.value} cannot be loaded ({error})",
            hint="install what the package that announces it needs",
        ) from None
    if not isinstance(engine, Engine) or engine.name != entry.name:
        found = f"{entry.value}, {getattr(engine, 'name', type(engine).__name__)!r}"
        raise TargetError(where, found=found, allowed=f"an Engine named {entry.name!r}")
    return engine
