"""Which output is read, and how: the author's own way, or what the user says."""

from tssd.errors import ConfigError, NetworkError
from tssd.train.recording.recording import Output, Over, Readout, Recording
from tssd.train.recording.steps import refuse_rule
from tssd.train.recording.tape.values import Opaque

MEMBRANES = (Readout.MEMBRANE_LAST, Readout.MEMBRANE_SUM, Readout.MEMBRANE_MAX)
ALLOWED = {
    "spikes": (Readout.COUNT, Readout.LAST_STEP, *MEMBRANES),
    "membrane": (Readout.COUNT, *MEMBRANES),
    "currents": (Readout.MEMBRANE_SUM, Readout.LAST_STEP),
}


def chosen(recording: Recording, output: str | None = None) -> Output:
    """The output named *output*, or the only one that can be meant."""
    if output is not None:
        named = next((o for o in recording.outputs if o.name == output), None)
        if named is None:
            raise ConfigError(
                "--output", found=repr(output), allowed=", ".join(o.name for o in recording.outputs)
            )
        return _readable(named)
    answers = [o for o in recording.outputs if not o.state] or list(recording.outputs)
    first, *others = answers
    belongs = all(o.what == "membrane" and o.site == first.site for o in others)
    if others and not (first.what == "spikes" and first.fault is None and belongs):
        listed = "; ".join(f"{o.name}: {o.fault or o}" for o in answers)
        raise ConfigError(
            "output",
            found=f"several that can be meant ({listed})",
            allowed="one of them",
            hint=f"--output {answers[-1].name}",
        )
    return _readable(first)


def _readable(output: Output) -> Output:
    if output.fault is not None:
        if isinstance(output.step, Opaque) and output.step.neuron:
            raise refuse_rule(output.step.path, output.step.reason)
        where, found = output.name, output.fault
        if isinstance(output.step, Opaque) and output.step.path not in ("", "forward"):
            where, found = f"module {output.step.path}", output.step.reason
        raise NetworkError(
            where,
            found=found,
            allowed="spikes, a membrane, or currents, per step, summed, or of the last step",
            hint="return the spikes (or membranes) of every step themselves: the class is found "
            "from them, by --readout if not in the usual way",
        )
    return output


def reading(output: Output, readout: Readout | None, groups: int | None) -> Readout:
    """How *output* is read."""
    rule = output.readout if readout is None else readout
    if rule not in ALLOWED[output.what]:
        raise ConfigError(
            "--readout",
            found=f"{rule} of {output.what}",
            allowed=", ".join(ALLOWED[output.what]),
        )
    _check_reduced(output, rule)
    _check_groups(output, rule, groups)
    return rule


def _check_reduced(output: Output, rule: Readout) -> None:
    """What the module has summed up already is read as it is."""
    if output.over is not Over.EACH and rule is not output.readout:
        raise ConfigError(
            "--readout",
            found=f"{rule}, where the module hands out {output}",
            allowed=str(output.readout),
        )


def _check_groups(output: Output, rule: Readout, groups: int | None) -> None:
    if groups is None:
        return
    size = 1
    for n in output.shape:
        size *= n
    if groups < 1 or size % groups or rule in MEMBRANES and output.what != "currents":
        raise ConfigError(
            "--population",
            found=f"{groups} groups of {size} outputs read as {rule}",
            allowed="a divisor of the outputs, with the spike count",
        )
