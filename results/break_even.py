"""After how many calls the dearer of two ways to run the same work has paid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from .alignment import pair_records
from .economics import PRICED, Economics, economics
from .origin import refuse_mixture
from .record import Record, Status
from .statistics import Interval

Verdict = Literal["after", "at once", "never", "undecided", "unknown"]

UNCOMPILED = ("eager", "lazy")
NO_INTERVAL = "one process: no interval, and so no doubt shown"


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Two cases of the same work: which one pays, and after how many calls.

    ``calls`` is (upfront of B - upfront of A) / (call of A - call of B), for the one that is
    faster per call and dearer up front, named by ``winner``; ``low`` and ``high`` follow from the
    two intervals of time per call (both at their ends: cautious), and are None without these.
    ``total_s`` is the time at which both have taken as long.

    ``verdict``: "after" so many calls; "at once": the winner is cheaper in both; "never": B is
    dearer in both, so A wins; "undecided": the difference per call may be zero; "unknown": one of
    them has no price, as where its status is neither OK nor NOT_STEADY. ``notes`` says why, and
    what is doubtful.
    """

    a: Economics
    b: Economics
    verdict: Verdict
    winner: Literal["A", "B"] | None = None
    calls: float | None = None
    low: float | None = None
    high: float | None = None
    total_s: float | None = None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The pair as JSON would hold it."""
        found = asdict(self)
        found["a"]["case"] = self.a.case.model_dump(mode="json")
        found["b"]["case"] = self.b.case.model_dump(mode="json")
        return found


def break_even(a: Sequence[Record], b: Sequence[Record]) -> list[BreakEven]:
    """One row for each pair of cases that both runs have, in A's order: aligned as
    ``results.alignment.align`` aligns them; those that are left over, as an uncompiled run against
    a compiled one, by the same work in another mode. Raises ``OriginError`` where simulated
    figures would be compared with others."""
    refuse_mixture(a, b)
    pairs = pair_records(a, b)
    done = {id(record) for pair in pairs for record in pair}
    rest: dict[str, list[Record]] = {}
    for record in b:
        if id(record) not in done:
            rest.setdefault(_work(record), []).append(record)
    pairs += [(r, other) for r in a if id(r) not in done for other in rest.get(_work(r), ())]
    places = {id(record): place for place, record in enumerate(a)}
    pairs.sort(key=lambda pair: places[id(pair[0])])
    return [weigh(economics(first), economics(second)) for first, second in pairs]


def within(records: Sequence[Record]) -> list[BreakEven]:
    """One row for each compiled case of a run, as B, against the same one uncompiled, as A."""
    uncompiled = {
        _place(record): economics(record) for record in records if record.case.mode in UNCOMPILED
    }
    return [
        weigh(uncompiled[_place(record)], economics(record))
        for record in records
        if record.case.mode not in UNCOMPILED and _place(record) in uncompiled
    ]


def _work(record: Record) -> str:
    """Equal for the same work, whatever runs it."""
    case = record.case
    params = sorted((name, repr(value)) for name, value in case.params.items())
    return repr((case.workload, params, case.phase, case.dtype))


def _place(record: Record) -> tuple[str, str, str, int]:
    """Equal for the same work on the same devices."""
    return _work(record), record.case.configuration, record.case.backend, record.case.devices


def weigh(a: Economics, b: Economics) -> BreakEven:
    """When B's price up front has paid against A's, or A's against B's: both of a cold cache
    where that is known, else both of a warm one, else each of what it has."""
    a, b = _alike(a, b)
    first, second = _price(a), _price(b)
    sides = (("A", a), ("B", b))
    notes = [f"{name}: its status is {s.status}" for name, s in sides if _is_doubtful(s)]
    if first is None or second is None:
        notes += [f"{name}: {_why_unknown(side)}" for name, side in sides if _price(side) is None]
        return BreakEven(a, b, "unknown", notes=notes)
    if a.upfront != b.upfront and a.compiles and b.compiles:
        notes.append(f"not compiled alike: A {a.upfront}, B {b.upfront}")
    extra_s = second.upfront_s - first.upfront_s
    gain = _gain(first, second)
    if gain.low is None or gain.high is None:
        notes.append(NO_INTERVAL)
    elif gain.low <= 0 <= gain.high:
        return BreakEven(a, b, "undecided", notes=notes)
    if gain.value == 0:
        return BreakEven(a, b, "undecided", notes=notes)
    winner: Literal["A", "B"] = "B" if gain.value > 0 else "A"
    if extra_s == 0 or (extra_s < 0) == (winner == "B"):
        # The one that is faster per call has nothing to win back.
        return BreakEven(a, b, "at once" if winner == "B" else "never", winner, notes=notes)
    ends = [extra_s / end for end in (gain.low, gain.high) if end is not None]
    calls = extra_s / gain.value
    return BreakEven(
        a,
        b,
        "after",
        winner,
        calls=calls,
        low=min(ends, default=None),
        high=max(ends, default=None),
        total_s=second.upfront_s + calls * second.call.value,
        notes=notes,
    )


@dataclass(frozen=True, slots=True)
class _Price:
    upfront_s: float
    call: Interval


def _alike(a: Economics, b: Economics) -> tuple[Economics, Economics]:
    """Both of a warm cache, where only one is known of a cold one and both of a warm one."""
    if {a.upfront, b.upfront} != {"cold", "warm"} or a.warm_s is None or b.warm_s is None:
        return a, b
    return (
        replace(a, upfront="warm", upfront_s=a.warm_s),
        replace(b, upfront="warm", upfront_s=b.warm_s),
    )


def _price(side: Economics) -> _Price | None:
    """Both halves of what a case costs; None where one isn't known. Code found in memory was
    compiled before, at a price that isn't here."""
    if side.call_s is None or side.upfront_s is None or side.upfront == "memory":
        return None
    return _Price(side.upfront_s, Interval(side.call_s, side.call_low_s, side.call_high_s))


def _gain(a: _Price, b: _Price) -> Interval:
    """Seconds per call that B saves over A; below 0, A is the faster one."""
    value = a.call.value - b.call.value
    if a.call.low is None or a.call.high is None or b.call.low is None or b.call.high is None:
        return Interval(value, None, None)
    return Interval(value, a.call.low - b.call.high, a.call.high - b.call.low)


def _is_doubtful(side: Economics) -> bool:
    """Whether a case has a price, and isn't OK."""
    return side.status in PRICED and side.status != Status.OK


def _why_unknown(side: Economics) -> str:
    if side.status not in PRICED:
        return f"its status is {side.status}"
    if side.call_s is None:
        return "no time per call, nothing was timed"
    if side.upfront == "memory":
        return "its code was in the process's memory already: no compilation was seen"
    return "what it cost before the first timed call isn't known"
