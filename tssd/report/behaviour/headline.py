"""The verdict on a network, in one line, before any figure."""

from collections import Counter

from tssd.errors import counted
from tssd.report import words
from tssd.report.model import Report


def headline(report: Report) -> str:
    """``All 34 contracts hold. Fits 6 of 120 cores; 178 µs; 43.1 µJ; dynamic energy good to a
    factor 1.7; conv2 decides.``"""
    parts = [_room(report), _time(report), _energy(report), _trust(report), _decides(report)]
    said = "; ".join(part for part in parts if part)
    return f"{_contracts(report)} {said[0].upper()}{said[1:]}." if said else _contracts(report)


def _contracts(report: Report) -> str:
    counts = Counter(contract.status for contract in report.contracts)
    if counts["fail"]:
        first = next(c for c in report.contracts if c.status == "fail")
        fails = "fails" if counts["fail"] == 1 else "fail"
        whole = counted(len(report.contracts), "contract")
        return f"{counts['fail']} of {whole} {fails}: {first.name}."
    holds = "holds" if counts["pass"] == 1 else "hold"
    missing = f", {counts['not run']} not run" if counts["not run"] else ""
    return f"{counted(counts['pass'], 'contract')} {holds}{missing}."


def _room(report: Report) -> str:
    totals = report.totals
    if totals.cores is None:
        return ""
    count = totals.chips or 1
    chips = f" on {counted(count, 'chip')}" if count > 1 else ""
    return f"fits {words.cores(totals)} cores{chips}"


def _time(report: Report) -> str:
    totals = report.totals
    if totals.latency_us is not None:
        return f"answers in {words.duration(totals.latency_us)}"
    if totals.us_per_step is None:
        return ""
    return f"a step takes at least {words.duration(totals.us_per_step)}"


def _energy(report: Report) -> str:
    uj = report.totals.energy_uj_per_inference
    known = uj.total or uj.dynamic
    if known is None:
        return ""
    kind = "" if uj.total else " dynamic"
    return f"{words.energy(1e6 * known.nominal)}{kind} an inference"


def _trust(report: Report) -> str:
    trust = report.totals.trust
    if words.untold(report) == words.UNPRICED:
        return "its energy is unknown"
    if trust is None:
        return "no error of the energy is known"
    return f"dynamic energy good to a factor {trust.factor:.1f}"


def _decides(report: Report) -> str:
    """The layer that sets the pace and the one that takes most energy."""
    timed = [layer for layer in report.layers if layer.time_share]
    slowest = max(timed, key=lambda layer: layer.time_share or 0.0).name if timed else None
    energy = {x.name: x.energy_pj.nominal for x in report.layers if x.energy_pj is not None}
    costly = max(energy, key=energy.__getitem__) if any(energy.values()) else None
    if slowest is None or costly is None:
        only = slowest or costly
        what = "time" if slowest else "energy"
        return f"{only} decides the {what}" if only else ""
    if slowest == costly:
        return f"{slowest} decides time and energy"
    return f"{slowest} decides the time, {costly} the energy"
