"""What a network's .net costs its weights, and what is said of it.

A .net has no negative weight exponent. So a network that it could say otherwise (hard resets alone)
takes exponents only where they pay, and ``--for-netx`` never.
"""

from tssd.calibration.int_network import IntNetwork
from tssd.calibration.quantizing.scales import Exponents
from tssd.calibration.quantizing.scales import Options as QuantizeOptions
from tssd.errors import NetworkError
from tssd.export.netx.rules import check_netx, exponents_go_into_weights
from tssd.train.handover.float_network import FloatNetwork

OPTION = "--for-netx"


def exponents_of(folded: FloatNetwork, options: QuantizeOptions, for_netx: bool) -> Exponents:
    """When layers of *folded* may be finer; *options* hold what was asked for."""
    if for_netx:
        return Exponents.NEVER
    firing = [p for p in folded.populations if p.kind.fires]
    hard = all(p.reset.zeroes for p in firing)
    asked = options.exponents
    return Exponents.WORTH if hard and asked is Exponents.ALWAYS else asked


def check_for_netx(network: IntNetwork) -> None:
    """NetworkError for what a .net cannot say although it was asked for."""
    findings = check_netx(network)
    if not findings:
        return
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    raise NetworkError(
        OPTION,
        found=f"{first.where}: {first.found}{more}",
        allowed=first.allowed,
        hint=f"leave {OPTION} out: the bundle then has no network.net",
    )


def exponents_note(network: IntNetwork) -> tuple[str, ...]:
    """That exponents alone stand in the way of a .net, and what keeps to it."""
    shifted = list(exponents_go_into_weights(network))
    if not shifted or len(check_netx(network)) > len(shifted):
        return ()
    layers = ", ".join(j.target for j in network.projections if j.weight_exp < 0)
    return (
        f"{layers}: weights keep their bits behind an exponent, so the network cannot be written "
        f"as a .net; {OPTION} keeps to what a .net can say, with fewer bits",
    )
