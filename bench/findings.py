"""What one process says of a case that it measured: one way for cases and for fixture tests."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from ..backends import clock
from ..backends.protocol import Backend
from ..results.record import Failure, Samples, Status
from ..results.statistics import is_steady
from .sampling import OverBudgetError, RecompiledError, Sampled


def compilation(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, Any]:
    """What the compiler did in the first call, from the counters around it."""
    made, hits = (
        after.get(name, 0) - before.get(name, 0) for name in ("graphs_compiled", "cache_hits")
    )
    return {"graphs_compiled": made, "cache_state": "warm" if hits > 0 else "cold"}


def sampling(
    sampled: Sampled, backend: Backend, first_call_ns: int, *, compiled: bool
) -> dict[str, Any]:
    """The samples with what the device says after them, as fields of a ``ProcessOutcome``."""
    found: dict[str, Any] = {
        "warmup_calls": sampled.warmup_calls,
        "warmup_ns": sampled.warmup_ns,
        "sustained": sampled.sustained,
        "isolated": sampled.isolated,
        "fit": sampled.fit,
        "flags": sampled.flags,
        "health": dict(backend.health()),
    }
    if compiled:
        later_ns = statistics.median(sampled.isolated.wall_ns) / sampled.isolated.calls
        found["compile_ns"] = max(0, round(first_call_ns - later_ns))
    found["peak_memory_bytes"], found["peak_memory_note"] = backend.peak_memory_bytes()
    if backend.name == "cpu":
        found["clock_hz"], _ = clock.measure_clock_hz()
    return found


def judge(sustained: Samples) -> tuple[Status, Failure | None]:
    """The status of a case that was measured to its end."""
    if is_steady([wall / sustained.calls for wall in sustained.wall_ns]):
        return Status.OK, None
    return Status.NOT_STEADY, Failure(
        message="the halves of the samples differ by more than 10 %",
        mend="measure on a quieter machine, or raise --bench-budget",
        kind="steady",
    )


def ended_by(error: OverBudgetError | RecompiledError) -> tuple[Status, Failure]:
    """The status of a case that sampling gave up."""
    if isinstance(error, OverBudgetError):
        mend = f"raise --bench-budget to {error.needed_s:.2g} or more"
        return Status.SKIPPED, Failure(message=str(error), mend=mend, kind="budget")
    return Status.RECOMPILED, Failure(message=str(error), kind="counter")
