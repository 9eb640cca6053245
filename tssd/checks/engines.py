"""The engines that `tssd verify` holds against the integer definition, opened for one bundle."""

import contextlib
from collections.abc import Iterator

from tssd.calibration.int_network import SPIKES, Activity, IntNetwork, Runner
from tssd.calibration.integer import IntArray
from tssd.checks.evaluation import EngineUnderTest
from tssd.contracts import Contract, not_run
from tssd.errors import TargetError
from tssd.export.bundle.folder import Bundle
from tssd.hw_targets.engine import Engine, Setting, look, start
from tssd.hw_targets.engines import engine_names, find_engine


def engines_of(
    bundle: Bundle, names: tuple[str, ...], device: str
) -> tuple[tuple[EngineUnderTest, ...], tuple[Contract, ...]]:
    """The engines called *names* and those that join them on this bundle, and a row for each of
    the latter that cannot run here."""
    wanted = [find_engine(name, "--against") for name in dict.fromkeys(names)]
    joining = [engine for engine in _joining(bundle, wanted) if engine not in wanted]
    setting, missing = Setting(bundle, device), []
    for engine in joining:
        found = look(engine)
        if found.state == "missing":
            missing.append(not_run(f"{engine.name}: {engine.title}", found.fix or found.detail))
        else:
            wanted.append(engine)
    return tuple(_opened(engine, setting) for engine in wanted), tuple(missing)


def ready_engines() -> tuple[str, ...]:
    """Every engine that can run here by itself, on any bundle."""
    alone = [engine for engine in _loadable() if engine.joins is None and not engine.by_name]
    return tuple(engine.name for engine in alone if look(engine).state == "ready")


def _loadable() -> Iterator[Engine]:
    """Every engine but those whose package is broken: tssd doctor says how."""
    for name in engine_names():
        with contextlib.suppress(TargetError):
            yield find_engine(name)


def _joining(bundle: Bundle, wanted: list[Engine]) -> list[Engine]:
    """The engines that come along with one of *wanted* on this bundle."""
    names, files = {engine.name for engine in wanted}, bundle.manifest["files"]
    return [e for e in _loadable() if e.joins in names and (e.reads is None or e.reads in files)]


def _opened(engine: Engine, setting: Setting) -> EngineUnderTest:
    quantities = (SPIKES, *engine.records(setting.bundle.network))
    return EngineUnderTest(engine.name, _checked(engine, setting), quantities, engine.also)


def _checked(engine: Engine, setting: Setting) -> Runner:
    """The runner of *engine*; what another package returns is looked at before it is compared."""
    runner = start(engine, setting)

    def run(network: IntNetwork, inputs: IntArray) -> Activity:
        found = runner(network, inputs)
        if not isinstance(found, Activity):
            raise TargetError(
                f"engine {engine.name}", found=type(found).__name__, allowed="an Activity"
            )
        return found

    return run
