"""Two runs side by side: which cases are in both, and the ratio of their times.

No verdicts. Two stored runs were made at different times, and what changed in between on the
machine is not in their intervals: the same code, minutes apart, may differ by tens of percent
on a shared host. Across different hardware the ratio is the point, beside the one to expect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .fold import process_medians_s
from .origin import SIMULATED_NOTICE, refuse_mixture
from .record import Record
from .statistics import Interval, intervals_overlap, ratio

Regime = Literal["sustained", "isolated"]

#: What a specification promises: a CPU's peak is derived from its microarchitecture, another
#: chip's is in its datasheet. One stands against the other.
SPECIFICATION = ("datasheet", "derived")
KINDS = ("specification", "engine", "attained")

SAME_MACHINE = (
    "both runs are of one machine at different times: what changed in between isn't in these "
    "intervals, so they are no test of a change; measure both sides interleaved for that"
)


@dataclass(frozen=True, slots=True)
class Side:
    """One run's part in a row: the case as it was run there, and what came of it."""

    run: str
    origin: str
    configuration: str
    mode: str
    backend: str
    devices: int
    status: str
    time_s: float | None
    low_s: float | None
    high_s: float | None
    throughput: float | None
    throughput_unit: str | None
    fractions: dict[str, float | None]
    bound: str | None
    device: str | None
    chip: str | None
    share: float | None
    threads: int | None
    source: str


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One case in A, in B or in both.

    ``ratio`` is the time per call in B over that in A (below 1: B is faster) in ``regime``,
    with its 95 % interval over processes where both sides have several. ``expected_ratio`` is
    the same of the floors by specification, None with ``expected_reason``; ``expected`` has it
    for each kind of ceiling that both sides know. ``overlap`` says whether the two intervals of
    time share a point. ``presence`` is "both", "missing" (only in A) or "new" (only in B).
    """

    workload: str
    configuration: str
    params: dict[str, Any]
    phase: str
    dtype: str
    mode: str
    presence: Literal["both", "missing", "new"]
    a: Side | None
    b: Side | None
    regime: Regime | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    overlap: bool | None = None
    expected_ratio: float | None = None
    expected_reason: str = ""
    expected: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON would hold it."""
        return asdict(self)


def diff(a: Sequence[Record], b: Sequence[Record]) -> list[DiffRow]:
    """Rows for every case of two runs: those in both in A's order, then those of A alone, then
    those of B alone.

    Cases are the same by their typed columns. The configuration's name is left aside where only
    it differs (a renamed one is the same work), backend and devices where the hardware is
    another, and the mode across origins: others publish kernels and graphs, we run modes. A
    case that has several counterparts gives a row for each. Raises ``OriginError`` where
    simulated figures would be compared with others.
    """
    refuse_mixture(a, b)
    pairs = align(a, b)
    paired_a = {id(first) for first, _ in pairs}
    paired_b = {id(second) for _, second in pairs}
    rows = [_row(first, second) for first, second in pairs]
    rows += [_row(first, None) for first in a if id(first) not in paired_a]
    rows += [_row(None, second) for second in b if id(second) not in paired_b]
    return rows


def align(a: Sequence[Record], b: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Pairs of records of the same work. Each pass leaves one more column aside, and looks only
    at the cases that no pass before it has paired."""
    by_mode = [
        ("configuration", "mode", "backend", "devices"),
        ("configuration", "mode"),
        ("mode",),
        ("uncompiled",),
    ]
    across = {r.origin for r in a} != {r.origin for r in b}
    passes: list[tuple[str, ...]] = [()] if across else by_mode
    pairs: list[tuple[Record, Record]] = []
    left_a, left_b = list(a), list(b)
    for columns in passes:
        groups: dict[tuple[Any, ...], list[Record]] = {}
        for record in left_b:
            groups.setdefault(_key(record, columns), []).append(record)
        found = [(r, other) for r in left_a for other in groups.get(_key(r, columns), ())]
        pairs += found
        done = {id(record) for pair in found for record in pair}
        left_a = [record for record in left_a if id(record) not in done]
        left_b = [record for record in left_b if id(record) not in done]
    order = {id(record): place for place, record in enumerate(a)}
    return sorted(pairs, key=lambda pair: order[id(pair[0])])


def _key(record: Record, columns: Iterable[str]) -> tuple[Any, ...]:
    case = record.case
    # 1, 1.0 and True are one value to Python and three to a workload.
    params = tuple(sorted((name, repr(value)) for name, value in case.params.items()))
    common = (case.workload, params, case.phase, case.dtype)
    # Eager and lazy are what two stacks call a program that nobody compiled.
    uncompiled = case.mode if case.mode not in ("eager", "lazy") else "uncompiled"
    return (
        *common,
        *(uncompiled if c == "uncompiled" else getattr(case, c) for c in columns),
    )


def _row(a: Record | None, b: Record | None) -> DiffRow:
    only = a if a is not None else b
    if only is None:
        raise ValueError("a row wants a record of A, of B, or of both")
    case = only.case
    presence: Literal["both", "missing", "new"] = "both"
    facts: dict[str, Any] = {}
    if a is None or b is None:
        presence = "missing" if b is None else "new"
    else:
        facts = _facts(a, b)
    regime = facts.get("regime", "sustained")
    return DiffRow(
        workload=case.workload,
        configuration=case.configuration,
        params=dict(case.params),
        phase=case.phase,
        dtype=case.dtype,
        mode=case.mode,
        presence=presence,
        a=_side(a, regime) if a is not None else None,
        b=_side(b, regime) if b is not None else None,
        **facts,
    )


def _facts(a: Record, b: Record) -> dict[str, Any]:
    """What a pair of records says: the ratio, the expected one, and what to know about them."""
    regime, measured = _ratio(a, b)
    expected = _expected(a, b)
    reason = "" if "specification" in expected else _why_unexpected(a, b)
    first, second = _side(a, regime or "sustained"), _side(b, regime or "sustained")
    value, low, high = measured if measured is not None else (None, None, None)
    return {
        "regime": regime,
        "ratio": value,
        "low": low,
        "high": high,
        "overlap": intervals_overlap((first.low_s, first.high_s), (second.low_s, second.high_s)),
        "expected_ratio": expected.get("specification"),
        "expected_reason": reason,
        "expected": expected,
        "notes": _notes(a, b),
    }


def _ratio(a: Record, b: Record) -> tuple[Regime | None, Interval | None]:
    """B over A in the first regime that both have; the interval from their process medians."""
    regimes: tuple[Regime, ...] = ("sustained", "isolated")
    for regime in regimes:
        first, second = _estimate(a, regime), _estimate(b, regime)
        if first is None or second is None:
            continue
        a_medians = process_medians_s(a.processes, regime)
        b_medians = process_medians_s(b.processes, regime)
        if a_medians.size and b_medians.size:
            return regime, ratio(a_medians, b_medians)
        # A published figure has no processes, and so no interval of its own.
        return regime, Interval(second.value / first.value, None, None)
    return None, None


def _estimate(record: Record, regime: Regime) -> Any:
    if record.summary is None:
        return None
    return record.summary.sustained if regime == "sustained" else record.summary.isolated


def _expected(a: Record, b: Record) -> dict[str, float]:
    """Floor of B over floor of A, for each kind of ceiling that both know."""
    found = {}
    for kind in KINDS:
        first, second = _floor_s(a, kind), _floor_s(b, kind)
        if first and second:
            found[kind] = second / first
    return found


def _floor_s(record: Record, kind: str) -> float | None:
    names = SPECIFICATION if kind == "specification" else (kind,)
    floors = [r.floor_s for r in record.roofs if r.ceiling in names and r.floor_s is not None]
    return floors[0] if floors else None


def _why_unexpected(a: Record, b: Record) -> str:
    parts = []
    for name, record in (("A", a), ("B", b)):
        if _floor_s(record, "specification") is None:
            roofs = [r for r in record.roofs if r.ceiling in SPECIFICATION]
            said = next((r.reason for r in roofs if r.reason), "no roof of its specification")
            parts.append(f"{name}: {said}")
    return "; ".join(parts)


def _notes(a: Record, b: Record) -> list[str]:
    """What a reader must know of a pair beyond its columns."""
    notes = []
    if a.status != b.status:
        notes.append(f"status: {a.status} -> {b.status}")
    notes += [f"A: {flag}" for flag in a.flags] + [f"B: {flag}" for flag in b.flags]
    executed = (_executed(a), _executed(b))
    if None not in executed and executed[0] != executed[1]:
        notes.append(f"executed in {executed[0]} -> {executed[1]}")
    return notes


def _executed(record: Record) -> str | None:
    found = (p.executed_dtype for p in record.processes if p.executed_dtype is not None)
    return next(found, None)


def _side(record: Record, regime: Regime) -> Side:
    estimate = _estimate(record, regime)
    summary, device, case = record.summary, record.device, record.case
    return Side(
        run=record.run,
        origin=record.origin,
        configuration=case.configuration,
        mode=case.mode,
        backend=case.backend,
        devices=case.devices,
        status=str(record.status),
        time_s=estimate.value if estimate else None,
        low_s=estimate.low if estimate else None,
        high_s=estimate.high if estimate else None,
        throughput=summary.throughput if summary else None,
        throughput_unit=summary.throughput_unit if summary else None,
        fractions={roof.ceiling: roof.fraction for roof in record.roofs},
        bound=next((roof.bound for roof in reversed(record.roofs) if roof.bound), None),
        device=device.name if device else None,
        chip=device.chip if device else None,
        share=device.share if device else None,
        threads=record.environment.threads if record.environment else None,
        source=record.source,
    )


def warnings_about(a: Sequence[Record], b: Sequence[Record]) -> list[str]:
    """What a reader must know about the two runs as wholes before looking at a ratio."""
    found = [SIMULATED_NOTICE] if any(r.origin == "simulated" for r in (*a, *b)) else []
    machines = [{r.environment.machine for r in run if r.environment} for run in (a, b)]
    if machines[0] & machines[1]:
        found.append(SAME_MACHINE)
    origins = [" and ".join(sorted({r.origin for r in run})) for run in (a, b)]
    if origins[0] != origins[1]:
        found.append(f"the origins differ: A is {origins[0]}, B is {origins[1]}")
    return found


def environment_changes(a: Sequence[Record], b: Sequence[Record]) -> list[str]:
    """The facts of the environment in which two runs differ: ``threads: 1 -> 2``. Nothing where
    one of them, being published, has no environment."""
    first, second = _environment_facts(a), _environment_facts(b)
    if not first or not second:
        return []
    return [
        f"{name}: {first.get(name, 'none')} -> {second.get(name, 'none')}"
        for name in sorted(first.keys() | second.keys())
        if first.get(name) != second.get(name)
    ]


def _environment_facts(records: Sequence[Record]) -> dict[str, str]:
    """Each fact with the values that it has in a run's records."""
    found: dict[str, set[str]] = {}
    for record in records:
        if record.environment is not None and record.device is not None:
            where = record.environment
            facts: dict[str, Any] = {
                "cpu": where.cpu,
                "system": where.system,
                "threads": where.threads,
                "python": where.python,
                "commit": where.git.get("commit"),
                **where.versions,
                **where.variables,
                "device": record.device.name,
                "driver": record.device.driver,
            }
            for name, value in facts.items():
                found.setdefault(name, set()).add(str(value))
    return {name: " and ".join(sorted(values)) for name, values in found.items()}
