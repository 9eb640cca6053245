"""A contract: one checked hand-over between two stages, a row of `tssd verify` and the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tssd.errors import ContractError

FOLDED_SLOTS = "folded: spike slots that agree"  # the contract of folding
OWN_MODULE = "your snnTorch module"  # how the rows of contract 0 begin
Status = Literal["pass", "fail", "not run"]


@dataclass(frozen=True)
class Contract:
    """One row: what was compared, what was found, what is allowed, and where it first broke."""

    name: str
    status: Status
    found: str | float | int | None
    allowed: str | float | int | None
    where: str | None = None


def check(
    name: str, ok: bool, found: str | float, allowed: str | float, where: str = ""
) -> Contract:
    """A contract that was run."""
    return Contract(name, "pass" if ok else "fail", found, allowed, where or None)


def not_run(name: str, why: str) -> Contract:
    """A contract that could not be run here, with the reason."""
    return Contract(name, "not run", None, None, why)


def require(contracts: Iterable[Contract]) -> None:
    """Raise ContractError naming the first failed contract."""
    for contract in contracts:
        if contract.status == "fail":
            raise ContractError(
                f"{contract.name} ({contract.where or 'whole network'})",
                found=str(contract.found),
                allowed=str(contract.allowed),
            )
