"""What a case costs before its first timed call: compiling cold and warm, and what proves a hit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

from .record import CaseKey, Estimate, ProcessOutcome, Record, Status

#: What is paid before the first timed call: compiling with an empty cache on disk, a filled one,
#: or one of which nobody knows; finding the code in the process's own memory, which is no
#: compilation; or (where nothing is compiled) what the first call takes beyond a later one.
Upfront = Literal["cold", "warm", "unknown cache", "memory", "first call"]
Hit = Literal["proven", "by files", "partial", "none"]
HITS: tuple[Hit, ...] = get_args(Hit)

#: A case that ended otherwise may have samples, but they are no result, and so no price.
PRICED = frozenset({Status.OK, Status.NOT_STEADY})


@dataclass(frozen=True, slots=True)
class Economics:
    """What one case costs before its first timed call, and per call; times in seconds.

    ``cold_s`` is the longest compilation of the processes that found an empty cache, since that
    is what a user pays; ``warm_s``, ``memory_s`` (of the processes that had the code in their
    memory already) and ``in_process_s`` (of the first call of the same program made anew) are
    medians. ``compile_s`` is 0 where nothing is compiled. ``upfront_s`` is what break-even counts
    unless it is of "memory", ``upfront`` says what it is. ``hit`` and ``proof`` are of the best
    process that compiled with a warm cache. None is unknown, as is every figure of a case whose
    ``status`` isn't in ``PRICED``.
    """

    case: CaseKey
    run: str
    origin: str
    status: str
    compiles: bool
    compile_s: float | None
    cold_s: float | None
    warm_s: float | None
    memory_s: float | None
    in_process_s: float | None
    stack_compile_s: float | None
    first_call_s: float | None
    graphs: int | None
    files_before: int | None
    files_after: int | None
    hit: Hit | None
    proof: str
    call_s: float | None
    call_low_s: float | None
    call_high_s: float | None
    upfront: Upfront | None
    upfront_s: float | None


def economics(record: Record) -> Economics:
    """What one record says of the price of its code."""
    priced = record.status in PRICED
    processes = record.processes if priced else []
    compiling = [p for p in processes if _compiles(p)]
    cold, warm, memory, unknown = (
        [p for p in compiling if p.cache_state == state]
        for state in ("cold", "warm", "memory", None)
    )
    # What a user pays first: the processes after the first one may find what it compiled.
    first = cold or warm or unknown or memory or processes
    cold_s = _longest(p.compile_ns for p in cold)
    warm_s = _median(p.compile_ns for p in warm)
    memory_s = _median(p.compile_ns for p in memory)
    first_call_s = _longest(p.first_call_ns for p in first)
    call = _call(record) if priced else None
    later_s = None if call is None else call.value
    prices: dict[Upfront, float | None] = {
        "cold": cold_s,
        "warm": warm_s,
        "unknown cache": _longest(p.compile_ns for p in unknown),
        "memory": memory_s,
    }
    if not compiling and first_call_s is not None and later_s is not None:
        prices["first call"] = max(0.0, first_call_s - later_s)
    upfront = next((kind for kind, price in prices.items() if price is not None), None)
    upfront_s = prices[upfront] if upfront else None
    hit, proof = _best_proof(warm)
    told = first[0] if compiling else None
    return Economics(
        case=record.case,
        run=record.run,
        origin=record.origin,
        status=str(record.status),
        compiles=any(map(_compiles, record.processes)),
        compile_s=upfront_s if compiling or not priced else 0.0,
        cold_s=cold_s,
        warm_s=warm_s,
        memory_s=memory_s,
        in_process_s=_median(p.in_process_ns for p in processes),
        stack_compile_s=_longest(p.stack_compile_ns for p in first),
        first_call_s=first_call_s,
        graphs=max((p.graphs_compiled for p in compiling if p.graphs_compiled), default=None),
        files_before=told.cache_files_before if told else None,
        files_after=told.cache_files_after if told else None,
        hit=hit,
        proof=proof,
        call_s=later_s,
        call_low_s=call.low if call else None,
        call_high_s=call.high if call else None,
        upfront=upfront,
        upfront_s=upfront_s,
    )


def prove_hit(outcome: ProcessOutcome) -> tuple[Hit, str]:
    """Whether this process found its code on disk, and how that is known.

    Proven where the stack counted hits and its cache got no new file (or has none to count);
    by files where the cache had some, got none, and no hit is counted: a stack that keeps no such
    counter; partial where hits were counted and files written all the same.
    """
    hits = outcome.cache_hits or 0
    before, after = outcome.cache_files_before, outcome.cache_files_after
    known = before is not None and after is not None
    new = (after or 0) - (before or 0)
    said = f"{hits} hit{'s' * (hits != 1)}"
    if hits and not known:
        return "proven", f"{said} by the stack's counter, files not countable"
    if hits and not new:
        return "proven", f"{said}, no new file beside {before}"
    if hits:
        return "partial", f"{said}, and {new} new files"
    if known and before and not new:
        return "by files", f"no new file beside {before}, no hit counted"
    return "none", f"no hit counted, {new} new files" if known else "no hit counted"


def _best_proof(warm: Sequence[ProcessOutcome]) -> tuple[Hit | None, str]:
    proofs = [prove_hit(outcome) for outcome in warm]
    return min(proofs, key=lambda proof: HITS.index(proof[0]), default=(None, ""))


def _call(record: Record) -> Estimate | None:
    """Seconds per call: sustained, as a loop pays it; isolated where only that is known."""
    summary = record.summary
    return (summary.sustained or summary.isolated) if summary else None


def _compiles(outcome: ProcessOutcome) -> bool:
    return outcome.compile_ns is not None or outcome.cache_state is not None


def _longest(values_ns: Iterable[int | None]) -> float | None:
    return max((value / 1e9 for value in values_ns if value is not None), default=None)


def _median(values_ns: Iterable[int | None]) -> float | None:
    known = [value / 1e9 for value in values_ns if value is not None]
    return median(known) if known else None
