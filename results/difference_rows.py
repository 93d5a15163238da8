"""From columns to rows: the figures of chosen cases, with words for what they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .causes import Figures, find_cause, find_notes, find_parts
from .difference import DiffRow, Regime, Side
from .environment_changes import is_of_stack
from .frame_columns import CEILINGS, EXTRA_PREFIXES
from .lines import read_params
from .pairing import REGIMES
from .quantity import format_fraction, format_ratio
from .record import Status, is_working
from .silicon_cost import cost_of_call
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from .compare import Comparison
    from .verdict import Decision

_CASE = ("workload", "configuration", "phase", "dtype", "mode", "backend", "devices")
_LONGEST_REASON = 200
#: From here on a change is said as a factor, and below this it isn't said at all.
_TIMES = 1.5
_NOTHING = 5e-5


def make_rows(comparison: Comparison, numbers: NDArray[np.int64]) -> list[DiffRow]:
    """The rows with these numbers, in this order: pairs count first, then the cases that only A
    has, then those that only B has."""
    # Of most verdicts a comparison has no row, and columns of nothing cost as much as of a few.
    return list(_rows(comparison, numbers)) if numbers.size else []


def _rows(comparison: Comparison, numbers: NDArray[np.int64]) -> Iterator[DiffRow]:
    pairing = comparison.pairing
    pairs, alone = pairing.in_a.size, pairing.in_a.size + pairing.only_a.size
    places_a = np.concatenate([pairing.in_a, pairing.only_a])
    places_b = np.concatenate([pairing.in_b, pairing.only_b])
    has_a, has_b = numbers < alone, (numbers < pairs) | (numbers >= alone)
    of_b = np.where(numbers < pairs, numbers, numbers - pairing.only_a.size)
    figures_a = iter(_figures(pairing.a, places_a[numbers[has_a]]))
    figures_b = iter(_figures(pairing.b, places_b[of_b[has_b]]))
    for number, in_a, in_b in zip(numbers, has_a, has_b, strict=True):
        a = next(figures_a) if in_a else None
        b = next(figures_b) if in_b else None
        if a is not None and b is not None:
            yield _pair(comparison, int(number), a, b)
        else:
            yield _alone(a, b)


def _figures(frame: pd.DataFrame, places: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Rows of a frame as dictionaries, None for whatever isn't known."""
    taken = frame.iloc[places]
    columns = {
        name: taken[name].astype(object).where(taken[name].notna(), None).tolist()
        for name in taken.columns
        if not name.startswith(EXTRA_PREFIXES)
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _alone(a: Figures | None, b: Figures | None) -> DiffRow:
    own = a if a is not None else b
    if own is None:
        raise ValueError("a row wants a case of A, of B, or of both")
    verdict, where = (Verdict.MISSING, "A") if b is None else (Verdict.NEW, "B")
    return DiffRow(
        **_case(own),
        verdict=verdict,
        why=f"only {where} has this case",
        cause="",
        a=None if a is None else _side(a, "sustained"),
        b=None if b is None else _side(b, "sustained"),
    )


def _pair(comparison: Comparison, number: int, a: Figures, b: Figures) -> DiffRow:
    pairing, decision = comparison.pairing, comparison.pairing.decision
    verdict = str(pairing.verdicts[number])
    place = int(decision.regime[number])
    compared = place >= 0
    regime: Regime = REGIMES[max(place, 0)]  # type: ignore[assignment]
    ratio, low, high, q_value = (
        _known(values[number]) if compared else None
        for values in (decision.ratio, decision.low, decision.high, decision.q_value)
    )
    expected = {
        kind: float(values[number])
        for kind, values in pairing.expected.items()
        if np.isfinite(values[number])
    }
    changes = [change for change in comparison.environment_changes if is_of_stack(change)]
    moved = verdict in (Verdict.SLOWER, Verdict.FASTER, Verdict.UNPAIRED)
    return DiffRow(
        **_case(a),
        verdict=verdict,
        why=_why(comparison, number, verdict, a, b) + _other_regime(pairing.decision, number),
        cause=find_cause(a, b, regime, _of_row(changes, a, b))
        if moved
        else _failure(verdict, a, b),
        a=_side(a, regime),
        b=_side(b, regime),
        regime=regime if compared else None,
        ratio=ratio,
        low=low,
        high=high,
        q_value=q_value,
        expected_ratio=expected.get("specification"),
        expected_reason="" if "specification" in expected else _why_unexpected(a, b),
        expected=expected,
        units=_units(a, b, regime, comparison),
        parts=find_parts(a, b, regime) if compared else [],
        notes=_notes(a, b),
    )


def _of_row(changes: list[str], a: Figures, b: Figures) -> list[str]:
    """Changes of the environment that can have moved this row: those of other silicon say
    nothing that the row's own chip doesn't."""
    same = a["device"] == b["device"] and a["run"] != b["run"]
    # Threads are in the row itself.
    return [change for change in changes if not change.startswith("threads:")] if same else []


def _case(figures: Figures) -> dict[str, Any]:
    case = {name: figures[name] for name in _CASE}
    return {**case, "params": read_params(figures["params"])}


def _side(figures: Figures, regime: Regime) -> Side:
    return Side(
        run=figures["run"],
        label=figures["label"] or "",
        origin=figures["origin"],
        configuration=figures["configuration"],
        mode=figures["mode"],
        backend=figures["backend"],
        devices=figures["devices"],
        status=figures["status"],
        failure=(figures["failure"] or "")[:_LONGEST_REASON],
        time_s=figures[f"{regime}_s"],
        low_s=figures[f"{regime}_low_s"],
        high_s=figures[f"{regime}_high_s"],
        throughput=figures["throughput"],
        throughput_unit=figures["throughput_unit"],
        fractions={
            ceiling: figures[f"fraction_{ceiling}"]
            for ceiling in CEILINGS
            if figures[f"fraction_{ceiling}"] is not None
        },
        bound=figures["bound"],
        device=figures["device"],
        chip=figures["chip"],
        share=figures["share"],
        threads=figures["threads"],
        source=figures["source"] or "",
        runs=figures["runs"],
    )


def _units(a: Figures, b: Figures, regime: Regime, comparison: Comparison) -> dict[str, float]:
    first, second = (cost_of_call(side, regime, comparison.prices) for side in (a, b))
    return {unit: second[unit] / first[unit] for unit in first if unit in second}


def _why(comparison: Comparison, number: int, verdict: str, a: Figures, b: Figures) -> str:
    if a["status"] != Status.OK or b["status"] != Status.OK:
        return _why_status(verdict, a, b)
    decision, rules = comparison.pairing.decision, comparison.rules
    if decision.regime[number] < 0:
        return _why_not_comparable(a, b)
    ratio, low, high = (
        float(values[number]) for values in (decision.ratio, decision.low, decision.high)
    )
    size = describe_change(ratio)
    if not np.isfinite(low):
        one = " and ".join(name for name, side in (("A", a), ("B", b)) if not _has_doubt(side))
        return f"{size}; no interval: {one} has one figure and no spread"
    around = f"{size} (B/A {format_ratio(low)} to {format_ratio(high)})"
    if verdict == Verdict.UNPAIRED:
        return f"{around} between two stored runs, which can't decide: measure both again, in turn"
    if verdict == Verdict.SAME:
        return f"{around}: within {format_fraction(2 * rules.floor)}"
    if verdict == Verdict.UNDECIDED:
        seen = max(high / ratio, ratio / low) - 1
        return f"{around}; less than {format_fraction(seen)} can't be seen with these intervals"
    return around


def _other_regime(decision: Decision, number: int) -> str:
    """What the regime that the row isn't of says, where it changed and says something else."""
    ratio = float(decision.other_ratio[number])
    if not np.isfinite(ratio):
        return ""
    name = REGIMES[1 - int(decision.regime[number])]
    return f"; {name} calls: {describe_change(ratio)}, {decision.other_verdicts[number]}"


def describe_change(ratio: float) -> str:
    """``12 % more time``, ``7.00 times the time``, ``3.1 % less time``, ``2.50 times as fast``."""
    if ratio >= _TIMES:
        return f"{format_ratio(ratio)} times the time"
    if ratio <= 1 / _TIMES:
        return f"{format_ratio(1 / ratio)} times as fast"
    change = abs(ratio - 1)
    if change < _NOTHING:
        return "the same time"
    return f"{format_fraction(change)} {'more' if ratio > 1 else 'less'} time"


def _has_doubt(side: Figures) -> bool:
    return any(side[f"{regime}_low_s"] is not None for regime in REGIMES)


def _why_status(verdict: str, a: Figures, b: Figures) -> str:
    if a["status"] == b["status"]:
        return f"{a['status']} in both"
    statuses = f"{a['status']} -> {b['status']}"
    if verdict == Verdict.NOT_COMPARABLE:
        doubtful = " and ".join(
            f"{name} is {side['status']}"
            for name, side in (("A", a), ("B", b))
            if side["status"] != Status.OK
        )
        return f"{statuses}: {doubtful}, so its time can't be compared"
    side = b if is_working(Status(b["status"])) is not True else a
    reason = " ".join((side["failure"] or "").split())[:_LONGEST_REASON]
    return f"{statuses}: {reason}" if reason else statuses


def _failure(verdict: str, a: Figures, b: Figures) -> str:
    """What made a case fail or work: the operators that fell back, or the kind of failure."""
    if verdict not in (Verdict.NEWLY_FAILING, Verdict.NEWLY_WORKING):
        return ""
    side = b if verdict == Verdict.NEWLY_FAILING else a
    fallbacks = (side["fallbacks"] or "").split()
    if side["status"] == Status.FALLBACK_TO_CPU and fallbacks:
        word = "newly falls" if side is b else "no longer falls"
        return f"{', '.join(fallbacks)} {word} back to the CPU"
    kind = side["failure_kind"]
    return f"{side['status']}: {kind}" if kind else str(side["status"])


def _why_not_comparable(a: Figures, b: Figures) -> str:
    for name in ("flops", "items"):
        first, second = a[name], b[name]
        if first is not None and second is not None and first != second:
            return f"not the same work: {name} {first} -> {second}"
    return "no regime was measured in both: give the runs the same sampling"


def _why_unexpected(a: Figures, b: Figures) -> str:
    parts = []
    for name, side in (("A", a), ("B", b)):
        if side["floor_datasheet_s"] is None and side["floor_derived_s"] is None:
            parts.append(f"{name}: {side['roof_reason'] or 'no roof of its specification'}")
    return "; ".join(parts)


def _notes(a: Figures, b: Figures) -> list[str]:
    notes = find_notes(a, b)
    if a["devices"] != b["devices"]:
        notes.append(f"devices {a['devices']} -> {b['devices']}")
    executed = a["executed_dtype"], b["executed_dtype"]
    if None not in executed and executed[0] != executed[1]:
        notes.append(f"executed in {executed[0]} -> {executed[1]}")
    if a["runs"] > 1 or b["runs"] > 1:
        notes.append(f"of {a['runs']} runs and {b['runs']}")
    return notes + _runs("A", a) + _runs("B", b)


def _runs(name: str, side: Figures) -> list[str]:
    """Which of several runs of a side, on this device, have no part in its figures, and why."""
    having, of, ok = side["runs_with"], side["runs_of"], side["runs_ok"]
    notes = []
    if having < of:
        notes.append(f"{having} of the {of} runs of {name} {'has' if having == 1 else 'have'} it")
    if 1 < having != ok:
        worst = "" if side["status"] == Status.OK else f", at worst {side['status']}"
        notes.append(f"{having - ok} of {having} runs of {name} didn't end OK{worst}")
    return notes


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
