"""An engine: a way to run an integer network that must equal the definition, described as a value.

Nothing heavy is imported here: what an engine needs is loaded when it is opened.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tssd.errors import TargetError
from tssd.optional import install_line

if TYPE_CHECKING:
    from tssd.calibration.int_network import Activity, IntNetwork, Runner
    from tssd.calibration.integer import IntArray
    from tssd.export.bundle.folder import Bundle

State = Literal["ready", "missing"]
RESERVED = ("float", "folded", "integer", "measured")  # the report's other columns
PLACE = re.compile(r"[\w.]+:\w+")  # "module:name"
Ready = TypeVar("Ready")  # a network as an engine wants it


@dataclass(frozen=True)
class Presence:
    """Whether an engine can run here; ``fix`` is the line that supplies what is missing."""

    state: State
    detail: str
    fix: str | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """What an engine may look at when it is opened."""

    bundle: "Bundle"
    device: str = "cpu"


@dataclass(frozen=True)
class Engine:
    """One entry of the register.

    ``name``: its word on the command line and in the report. ``title``: what it is.
    ``opens``: "module:function"; the function takes a Setting and returns the runner, which takes
    (network, inputs (T, B, *input shape)) and returns the Activity.
    ``needs``: modules that must be there. ``install``: the line that supplies them.
    ``states``: the neurons' states that it records beside spikes, by name, or "every"; each is
    compared.
    ``presence``: "module:function" -> Presence, where more than modules is needed.
    ``joins``: the engine that it comes along with, where the bundle holds the file ``reads``.
    ``footprint``: its report also holds what the network takes as a C program.
    ``cycles``: its report also holds a cycle simulation of the same samples.
    ``by_name``: it takes the bundles of one chip alone, so it runs only where it is asked for.
    ``also``: what beside spikes and states its runner compares; it raises ContractError there.
    """

    name: str
    title: str
    opens: str
    needs: tuple[str, ...] = ()
    install: str | None = None
    states: tuple[str, ...] | Literal["every"] = ()
    presence: str | None = None
    joins: str | None = None
    reads: str | None = None
    cycles: bool = False
    footprint: bool = False
    by_name: bool = False
    also: str | None = None

    def __post_init__(self) -> None:
        where = f"engine {self.name!r}"
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name) or self.name in RESERVED:
            allowed = f"small letters, digits, - and _; not {', '.join(RESERVED)}"
            raise TargetError(where, found="that name", allowed=allowed)
        for place in (self.opens, self.presence):
            if place is not None and not PLACE.fullmatch(place):
                raise TargetError(where, found=repr(place), allowed='"module:function"')

    def records(self, network: "IntNetwork") -> tuple[str, ...]:
        """The states of *network*'s neurons that it records; one that no neuron has is refused."""
        from tssd.calibration.int_network import NEURON_STATES, state_names

        kept = state_names(network)
        if self.states == "every":
            return kept
        for state in self.states:
            if state not in NEURON_STATES:
                where, allowed = f"engine {self.name!r}", ", ".join(NEURON_STATES)
                raise TargetError(where, found=f"state {state!r}", allowed=allowed)
        return tuple(state for state in self.states if state in kept)


def look(engine: Engine) -> Presence:
    """Whether *engine* can run here; its modules are found, not imported."""
    missing = missing_modules(engine.needs)
    if missing:
        fix = engine.install or install_line(missing[0])
        return Presence("missing", f"no {', '.join(missing)}", fix)
    versions = ", ".join(f"{need} {version(need) or '(version unknown)'}" for need in engine.needs)
    if engine.presence is None:
        return Presence("ready", versions or engine.title)
    more: Presence = _attribute(engine, engine.presence)()
    return Presence(more.state, "; ".join(x for x in (versions, more.detail) if x), more.fix)


def start(engine: Engine, setting: Setting) -> "Runner":
    """The runner of *engine*; TargetError where it cannot run here."""
    found = look(engine)
    if found.state == "missing":
        raise TargetError(f"engine {engine.name}", found=found.detail, hint=found.fix)
    runner: Runner = _attribute(engine, engine.opens)(setting)
    return runner


def prepared(
    prepare: "Callable[[IntNetwork], Ready]", run: "Callable[[Ready, IntArray], Activity]"
) -> "Runner":
    """A runner that gets a network ready with its first batch, not with every one."""
    ready = functools.lru_cache(maxsize=1)(prepare)
    return lambda network, inputs: run(ready(network), inputs)


def version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_modules(names: Iterable[str]) -> list[str]:
    """Those of *names* that cannot be imported here, found without importing them."""
    return [name for name in names if not _findable(name)]


def _findable(name: str) -> bool:
    parent, _, _ = name.rpartition(".")
    return (not parent or _findable(parent)) and importlib.util.find_spec(name) is not None


def _attribute(engine: Engine, place: str) -> Any:
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise TargetError(
            f"engine {engine.name}",
            found=f"{place} cannot be loaded ({error})",
            hint=engine.install or "tssd doctor says what is missing",
        ) from None
