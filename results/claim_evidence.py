"""What stored records say of a claim about two chips, or about the best that one of them reaches.

Two kinds of reading, neither of which is a specification:

- common: the cases that both chips ran, in one dtype: the geometric mean over the cases, with a
  95 % t-interval over them; of a single case its own interval.
- best: the highest rate that any case reached on each chip, in one dtype or in the formats that
  vendors pair. Each may have come by its best shape in its own way.

Both are of a torch device, turned into the unit of silicon that is claimed by what each is of a chip.
Nothing here says how an UltraServer of such chips does: its links aren't in such a record. Where
the bandwidth of a memory is claimed, a working set that a cache holds says nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..specs.catalog import load_catalog
from ..specs.chip import peak_dtype
from ..specs.claim import Claim, Metric
from ..specs.claim_quantities import pairs
from ..specs.levels import Level, convert, first_amount
from ..specs.roofs import CACHES
from ..specs.units import words_of_rate
from .compare import compare
from .difference import DiffRow
from .quantity import format_fraction
from .rooflines import MOST
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
#: Of what a claim that records of one device can settle is.
_SETTLED: tuple[Level, ...] = ("core", "device", "stack", "chip")
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
    that names workloads to measure. ``prices``: US dollars an hour by the name of an instance, a
    chip or a device, before those of the catalog. Simulated records say nothing of a chip and are
    left out."""
    usable = frame[(frame["origin"] != "simulated") & (frame["status"] == "OK")]
    return {
        claim.id: _weigh(claim, usable, dict(prices or {})) for claim in claims if claim.measure
    }


def _weigh(claim: Claim, frame: pd.DataFrame, prices: dict[str, float]) -> Evidence:
    own = frame[frame["workload"].isin(claim.measure)]
    if "memory_bandwidth" in claim.quantities:
        own = own[~_is_in_cache(own)]
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
    """Ratios of the cases that both ran, by dtype, and by chips where a side has several."""
    assert claim.metric is not None  # noqa: S101 - the caller asked
    # Two chips are two machines: the rule for two stored runs of one kind doesn't hold here.
    rows = compare(base, subject, Rules(between_runs=1), prices=prices).rows()
    found: dict[tuple[str, str, str], list[tuple[float, float | None, float | None]]] = {}
    for row in rows:
        cost = row.units.get(_UNIT_OF_COST[claim.metric])
        if row.a is None or row.b is None or not row.ratio or not cost:
            continue
        if claim.dtypes and row.dtype not in claim.dtypes:
            continue
        cost *= _per_level(row, claim)
        scale = cost / row.ratio
        low, high = (None if end is None else end * scale for end in (row.low, row.high))
        of = row.dtype, str(row.b.chip), str(row.a.chip)
        found.setdefault(of, []).append((cost, low, high))
    several = len({(chip, base_chip) for _, chip, base_chip in found}) > 1
    for (dtype, chip, base_chip), costs in found.items():
        value, low, high = costs[0]
        if len(costs) > 1:
            value, low, high = process_estimate(np.array([one[0] for one in costs]))
        if claim.metric != "cost":
            value, low, high = 1 / value, high and 1 / high, low and 1 / low
        pairing = f"{dtype}, {chip} against {base_chip}" if several else dtype
        yield _reading(claim, "common", pairing, len(costs), value, low, high)


def _per_level(row: DiffRow, claim: Claim) -> float:
    """What makes a ratio of chips one of the level that is claimed: cores of two chips aren't the
    same parts of them. A dollar is one at every level."""
    if row.a is None or row.b is None or claim.metric != "speed":
        return 1.0
    units = [_chips_in(str(side.chip), claim.per) for side in (row.a, row.b)]
    return 1.0 if units[0] is None or units[1] is None else units[0] / units[1]


def _best_ratios(claim: Claim, subject: pd.DataFrame, base: pd.DataFrame) -> Iterator[Reading]:
    for quantity in claim.quantities:
        own, others = (_best(frame, quantity, claim.per) for frame in (subject, base))
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


def _best(frame: pd.DataFrame, quantity: str, level: Level) -> dict[str, tuple[float, str]]:
    """By dtype as data sheets call it, the highest rate of a unit of ``level`` in SI, and the
    case that reached it."""
    found: dict[str, tuple[float, str]] = {}
    if quantity not in _RATES:
        return found
    whole = frame[(frame["share"] > 0) & (frame["share"] <= 1)]
    kinds = whole.groupby(["chip", "share", "dtype"], observed=True, sort=False)
    for _, own in kinds:
        chip, share, dtype = own.iloc[0][["chip", "share", "dtype"]]
        unit = _chips_in(str(chip), level)
        time_s = own["sustained_s"].fillna(own["isolated_s"])
        work = own[_RATES[quantity][0]].astype("float64")
        rates = (work / time_s / own["devices"].astype("float64")).to_numpy(dtype=np.float64)
        rates = np.where((rates > 0) & (rates < MOST), rates, 0.0)
        best = int(rates.argmax())
        if unit is None or not rates[best]:
            continue
        value = convert(float(rates[best]), float(share), unit)
        name, case = peak_dtype(str(dtype)), own.iloc[best]
        if value > found.get(name, (0.0, ""))[0]:
            found[name] = value, f"{case['workload']} {case['configuration']}"
    return found


def _chips_in(chip: str, level: Level) -> float | None:
    """How many chips the first unit of ``level`` is; None where the catalog doesn't say. Above a
    chip, one of it is meant: what a whole system does isn't in a record."""
    catalog = load_catalog()
    if level not in _SETTLED or chip not in catalog.chip_ids:
        return 1.0
    amount = first_amount(catalog.chip(chip), level)
    return None if amount is None else amount.chips


def _is_in_cache(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether a cache of the chip holds the working set; not where either isn't known."""
    catalog = load_catalog()
    held = {}
    for chip in map(str, frame["chip"].dropna().unique()):
        caches = (
            catalog.chip(chip).figure("onchip", name) if chip in catalog.chip_ids else None
            for name in CACHES
        )
        held[chip] = max((figure.si for figure in caches if figure is not None), default=0.0)
    size = frame["working_set_bytes"].to_numpy(dtype=np.float64, na_value=np.inf)
    share = frame["share"].to_numpy(dtype=np.float64, na_value=1.0)
    capacity = np.array([held.get(str(chip), 0.0) for chip in frame["chip"]], dtype=np.float64)
    found: NDArray[np.bool_] = size <= capacity * share
    return found


def _weigh_rate(claim: Claim, subject: pd.DataFrame, names: str) -> Evidence:
    """A peak that is claimed of a chip: reached, passed, or not come near."""
    quantity = next((one for one in claim.quantities if one in _RATES), None)
    if claim.si is None or quantity is None:
        return Evidence(
            "no_records", "what is claimed is no number that a record could hold", names, ""
        )
    readings = [
        _reading(
            claim, "best", dtype, 1, rate, None, None, words=f"{_words(rate, quantity)} ({case})"
        )
        for dtype, (rate, case) in _best(subject, quantity, claim.per).items()
        if not claim.dtypes or dtype in claim.dtypes
    ]
    if not readings:
        wanted = " ".join((*claim.dtypes, *claim.measure))
        return Evidence("no_records", f"no case of {names}: {wanted}", names, "")
    best = max(readings, key=lambda one: one.value)
    said = f"at best {best.words} a {claim.per if claim.per in _SETTLED else 'chip'}"
    if claim.per not in _SETTLED:
        why = f"{said}; no record is of a whole {claim.per}"
        return Evidence("undecided", why, names, "", readings, _origins(subject))
    finding, why = _find_peak(claim, best.value)
    return Evidence(finding, f"{said}, {why}", names, "", readings, _origins(subject))


def _find_peak(claim: Claim, reached: float) -> tuple[Finding, str]:
    """What the best rate says of the one that is claimed: it can be reached, it can be passed,
    and short of it nothing is said."""
    low, high = claim.scale(claim.value or 0.0), claim.scale(claim.high or claim.value or 0.0)
    said = f"{format_fraction(reached / high)} of what is claimed"
    most = max(high / REACHED, claim.bounds[1] if claim.bounds else high)
    if claim.comparator != "at_least" and reached > most:
        return "not_borne_out", said
    if reached >= REACHED * low:
        return "borne_out", said
    return "undecided", f"{said}: a peak that nothing has reached is neither shown nor refuted"


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
    least = value / UNSURE if low is None else low
    most = value * UNSURE if high is None else high
    agrees: bool | None = None
    if claim.bounds is not None:
        from_, to = claim.bounds
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
    if claim.per not in _SETTLED:
        return "undecided", f"per chip: {said}; no record is of a whole {claim.per}"
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
    said: dict[str, None] = {}
    for frame in frames:
        runs = frame[["origin", "run"]].drop_duplicates()
        said |= {f"{origin}: {run}": None for origin, run in runs.itertuples(index=False)}
    return list(said)
