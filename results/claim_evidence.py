"""What stored records say of a claim about two chips, or about the best that one of them reaches.

Two kinds of reading, neither of which is a specification:

- common: the cases that both chips ran, in one dtype: the geometric mean over the cases, with a
  95 % t-interval over them; of a single case its own interval.
- best: the highest rate that any case reached on each chip, in one dtype or in the formats that
  vendors pair. Each may have come by its best shape in its own way.

Both are of one chip, that is of a torch device over its share of the chip. Nothing here says how
an UltraServer of such chips does: its links aren't in such a record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..specs.claim import Claim, Metric
from ..specs.claim_quantities import pairs
from ..specs.levels import convert
from ..specs.units import words_of_rate
from .compare import compare
from .statistics import process_estimate
from .verdict import Rules

if TYPE_CHECKING:
    import pandas as pd

Finding = Literal["borne_out", "not_borne_out", "undecided", "no_records"]
#: From here on a peak that is claimed counts as reached.
REACHED = 0.95
#: A figure without an interval is taken to be within this factor: so far do two good
#: measurements of one chip lie apart that were made by others in their own ways.
UNSURE = 1.1
#: What a rate is of, by the quantity that is claimed.
_RATES: dict[str, tuple[str, Literal["FLOP/s", "B/s"]]] = {
    "peak": ("flops", "FLOP/s"),
    "memory_bandwidth": ("bytes_moved", "B/s"),
}
#: Of what a claim that two records can settle is.
_SETTLED = ("core", "device", "chip")
_UNIT_OF_COST: dict[Metric, str] = {
    "speed": "chip",
    "performance_per_dollar": "usd",
    "cost": "usd",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """A measured figure of a claim, in SI or as a ratio, with its 95 % interval where it has one.
    ``agrees``: whether the whole interval lies in what is claimed (True), none of it (False), or
    a part (None)."""

    kind: Literal["common", "best"]
    pairing: str
    cases: int
    value: float
    low: float | None
    high: float | None
    agrees: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the records say: see :data:`Finding`; ``why`` in a sentence."""

    finding: Finding
    why: str
    subject: str
    baseline: str
    readings: list[Reading] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)


def weigh(
    claims: Sequence[Claim], frame: pd.DataFrame, prices: Mapping[str, float] | None = None
) -> dict[str, Evidence]:
    """By a claim's id, what the records of ``frame`` (see ``frame.load_files``) say of each claim
    that names workloads to measure. ``prices``: US dollars an hour of a chip, before those of the
    catalog. Simulated records say nothing of a chip and are left out."""
    usable = frame[(frame["origin"] != "simulated") & (frame["status"] == "OK")]
    return {
        claim.id: _weigh(claim, usable, dict(prices or {})) for claim in claims if claim.measure
    }


def _weigh(claim: Claim, frame: pd.DataFrame, prices: dict[str, float]) -> Evidence:
    own = frame[frame["workload"].isin(claim.measure)]
    subject = own[own["chip"].isin(claim.chips)]
    names = "/".join(claim.chips) or claim.subject
    if claim.kind == "absolute":
        return _weigh_rate(claim, subject, names)
    base_names = "/".join(claim.baseline_chips) or claim.baseline or "no chip in particular"
    base = own[own["chip"].isin(claim.baseline_chips)]
    if not claim.chips or not claim.baseline_chips:
        why = f"{base_names} is no chip that records could be of"
        return Evidence("no_records", why, names, base_names)
    if claim.metric not in _UNIT_OF_COST:
        why = f"no record holds the energy of a call, and {claim.metric} is claimed"
        return Evidence("no_records", why, names, base_names)
    if not len(subject) or not len(base):
        why = " and ".join(
            f"{_cases(len(side))} of {chip}"
            for chip, side in ((names, subject), (base_names, base))
        )
        return Evidence("no_records", f"{why}: {', '.join(claim.measure)}", names, base_names)
    readings = [
        *_common(claim, subject, base, prices),
        *(_best_ratios(claim, subject, base) if claim.metric == "speed" else ()),
    ]
    if not readings:
        why = "no case that both ran has a result, a share of its chip and what the metric wants"
        if claim.metric != "speed":
            why += ": a price (--price)"
        return Evidence("no_records", why, names, base_names)
    finding, why = _find(claim, readings)
    return Evidence(finding, why, names, base_names, readings, _origins(subject, base))


def _cases(count: int) -> str:
    return f"{count or 'no'} case{'' if count == 1 else 's'}"


def _common(
    claim: Claim, subject: pd.DataFrame, base: pd.DataFrame, prices: dict[str, float]
) -> Iterator[Reading]:
    """Ratios of the cases that both ran, by dtype."""
    import numpy as np

    assert claim.metric is not None  # noqa: S101 - the caller asked
    # Two chips are two machines: the rule for two stored runs of one kind doesn't hold here.
    rows = compare(base, subject, Rules(between_runs=1), prices=prices).rows()
    dtypes = dict.fromkeys(row.dtype for row in rows)
    for dtype in dtypes:
        if claim.dtypes and dtype not in claim.dtypes:
            continue
        found: list[tuple[float, float | None, float | None]] = []
        for row in rows:
            cost = row.units.get(_UNIT_OF_COST[claim.metric])
            if row.dtype != dtype or not row.ratio or not cost:
                continue
            scale = cost / row.ratio
            low, high = (None if end is None else end * scale for end in (row.low, row.high))
            found.append((cost, low, high))
        if not found:
            continue
        value, low, high = found[0]
        if len(found) > 1:
            value, low, high = process_estimate(np.array([one[0] for one in found]))
        if claim.metric != "cost":
            value, low, high = 1 / value, high and 1 / high, low and 1 / low
        yield _reading(claim, "common", dtype, len(found), value, low, high)


def _best_ratios(claim: Claim, subject: pd.DataFrame, base: pd.DataFrame) -> Iterator[Reading]:
    for quantity in claim.quantities:
        own, others = _best(subject, quantity), _best(base, quantity)
        for dtype, (rate, case) in own.items():
            for base_dtype, (base_rate, base_case) in others.items():
                if not pairs(dtype, base_dtype, others.keys()):
                    continue
                if claim.dtypes and dtype not in claim.dtypes:
                    continue
                pairing = dtype if dtype == base_dtype else f"{dtype} against {base_dtype}"
                words = f"{_words(rate, quantity)} ({case}) / {_words(base_rate, quantity)} "
                words += f"({base_case})"
                yield _reading(claim, "best", pairing, 2, rate / base_rate, None, None, words=words)


def _best(frame: pd.DataFrame, quantity: str) -> dict[str, tuple[float, str]]:
    """By dtype, the highest rate of a chip in SI, and the case that reached it."""
    found: dict[str, tuple[float, str]] = {}
    if quantity not in _RATES:
        return found
    column, _ = _RATES[quantity]
    time_s = frame["sustained_s"].fillna(frame["isolated_s"])
    for work, seconds, devices, share, dtype, workload, configuration in zip(
        frame[column],
        time_s,
        frame["devices"],
        frame["share"],
        frame["dtype"],
        frame["workload"],
        frame["configuration"],
        strict=True,
    ):
        known = all(value == value and value is not None for value in (work, seconds, share))  # noqa: PLR0124
        if not known or not seconds > 0 or not work > 0 or not 0 < share <= 1:
            continue
        rate = convert(float(work) / float(seconds) / int(devices), float(share), 1)
        if rate > found.get(dtype, (0.0, ""))[0]:
            found[dtype] = rate, f"{workload} {configuration}"
    return found


def _weigh_rate(claim: Claim, subject: pd.DataFrame, names: str) -> Evidence:
    """A peak that is claimed of a chip: reached, passed, or not come near."""
    span = claim.si
    quantity = next((one for one in claim.quantities if one in _RATES), None)
    if span is None or quantity is None:
        return Evidence(
            "no_records", "what is claimed is no number that a record could hold", names, ""
        )
    readings = [
        _reading(
            claim, "best", dtype, 1, rate, None, None, words=f"{_words(rate, quantity)} ({case})"
        )
        for dtype, (rate, case) in _best(subject, quantity).items()
        if not claim.dtypes or dtype in claim.dtypes
    ]
    if not readings:
        wanted = " ".join((*claim.dtypes, *claim.measure))
        return Evidence("no_records", f"no case of {names}: {wanted}", names, "")
    best = max(readings, key=lambda one: one.value)
    said = f"at best {best.words} a chip"
    if claim.level not in _SETTLED:
        finding: Finding = "undecided"
        why = f"{said}; no record is of a whole {claim.level}"
    else:
        fraction = best.value / span[1]
        finding = "borne_out" if REACHED <= fraction <= 1 / REACHED else "undecided"
        finding = "not_borne_out" if fraction > 1 / REACHED else finding
        why = f"{said}, {fraction:.0%} of what is claimed"
        if finding == "undecided":
            why += ": a peak that nothing has reached is neither shown nor refuted"
    return Evidence(finding, why, names, "", readings, _origins(subject))


def _reading(
    claim: Claim,
    kind: Literal["common", "best"],
    pairing: str,
    cases: int,
    value: float,
    low: float | None,
    high: float | None,
    *,
    words: str = "",
) -> Reading:
    span = claim.si
    least = value / UNSURE if low is None else low
    most = value * UNSURE if high is None else high
    agrees: bool | None = None
    if span is not None:
        from_, to = span
        if claim.comparator == "at_least":
            to = float("inf")
        if claim.comparator == "up_to":
            from_ = 0.0
        if least >= from_ and most <= to:
            agrees = True
        elif most < from_ or least > to:
            agrees = False
    interval = "" if low is None or high is None else f" ({low:.3g} to {high:.3g})"
    said = f"{value:.3g}{interval}" if claim.kind == "ratio" else ""
    return Reading(
        kind, pairing, cases, value, low, high, agrees, " = ".join(filter(None, (words, said)))
    )


def _find(claim: Claim, readings: Sequence[Reading]) -> tuple[Finding, str]:
    """One reading that agrees bears a claim out, as with specifications; all must disagree to
    refute it."""
    said = "; ".join(_say(one) for one in readings)
    if claim.level not in _SETTLED:
        return "undecided", f"per chip: {said}; no record is of a whole {claim.level}"
    verdicts = {reading.agrees for reading in readings}
    if True in verdicts:
        return "borne_out", said
    return ("not_borne_out" if verdicts == {False} else "undecided"), said


def _say(one: Reading) -> str:
    if one.kind == "best":
        return f"best {one.pairing}: {one.words}"
    return f"{_cases(one.cases)} that both ran, {one.pairing}: {one.words}"


def _words(rate: float, quantity: str) -> str:
    return words_of_rate(rate, _RATES[quantity][1])


def _origins(*frames: pd.DataFrame) -> list[str]:
    """``measured`` and ``published``, with the runs that they are of."""
    said: dict[str, Any] = {}
    for frame in frames:
        for origin, run in zip(frame["origin"], frame["run"], strict=True):
            said[f"{origin}: {run}"] = None
    return list(said)
