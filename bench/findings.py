"""What one process finds out about a call: one way for cases and for fixture tests."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..backends import clock
from ..backends.graphs import count_graph_breaks
from ..backends.protocol import Backend, Call
from ..results.record import Failure, Samples, Status
from ..results.statistics import is_steady
from .sampling import OverBudgetError, RecompiledError, Sampled, sample_call

#: The flag of a case whose program couldn't be made a second time.
NOT_MADE_ANEW = "NOT_MADE_ANEW"
#: Modes in which a program is called as it is.
UNCOMPILED = frozenset({"eager", "lazy"})


class Finder:
    """Makes the first call of a placed case, then its samples, and notes what it learns.

    ``found`` holds fields of a ``ProcessOutcome`` and is filled as it goes, so that what was
    learnt before a failure is kept.
    """

    def __init__(self, backend: Backend, mode: str, found: dict[str, Any]) -> None:
        self.backend = backend
        self.mode = mode
        self.found = found
        self._compile_time_ns: int | None = None

    def call_first(self, call: Call) -> Any:
        """The output of the first call, which pays for compilation and allocation; still alive
        when the device is waited for, so that a lazy backend doesn't drop the work."""
        backend, found = self.backend, self.found
        backend.reset_peak_memory()
        backend.clear_fallbacks()
        before, files = dict(backend.counters()), backend.cache_files()
        breaks = count_graph_breaks()
        self._compile_time_ns = backend.compile_time_ns()
        begin = time.perf_counter_ns()
        output = call()
        backend.synchronize()
        found["first_call_ns"] = time.perf_counter_ns() - begin
        after = dict(backend.counters())
        if self.mode != "eager" or after.get("graphs_compiled") != before.get("graphs_compiled"):
            found |= _compilation(before, after, files, backend.cache_files())
        if self.mode == "compiled":
            found["graph_breaks"] = count_graph_breaks() - breaks
        found["fallbacks"] = list(backend.fallbacks())
        return output

    def compiled_nothing(self) -> bool:
        """Whether nothing was compiled for the first call, in no process and no cache."""
        return self.found.get("cache_state") == "memory"

    def call_again(self, call: Call) -> None:
        """One more call, for what compiling cost in the first."""
        begin = time.perf_counter_ns()
        output = call()
        self.backend.synchronize()
        later_ns = time.perf_counter_ns() - begin
        del output
        if "graphs_compiled" in self.found:
            self.found["compile_ns"] = max(0, self.found["first_call_ns"] - later_ns)

    def sample(
        self,
        call: Call,
        budget_s: float,
        announce: Callable[[str], None],
        seed: int,
        parts: Sequence[tuple[str, Call]] = (),
    ) -> None:
        """Warm up and sample; the status of the case is in ``found["status"]`` afterwards.
        ``parts`` make one call when they run in turn. Raises what ``sample_call`` raises."""
        backend, found = self.backend, self.found
        backend.clear_fallbacks()
        sampled = sample_call(call, backend, budget_s, announce, seed=seed, parts=parts)
        found |= self._sampling(sampled)
        # Some stacks list an operator only when they compile it: those of the first call count.
        found["fallbacks"] = sorted({*found["fallbacks"], *backend.fallbacks()})
        found["status"] = judge(sampled.sustained, sampled.moved, found["fallbacks"])

    def _sampling(self, sampled: Sampled) -> dict[str, Any]:
        """The samples with what the device says after them."""
        backend = self.backend
        may_fuse = ["MAY_FUSE"] if backend.may_fuse and self.mode == "eager" else []
        broken = ["GRAPH_BREAKS"] if self.found.get("graph_breaks") else []
        found: dict[str, Any] = {
            "warmup_calls": sampled.warmup_calls,
            "warmup_ns": sampled.warmup_ns,
            "sustained": sampled.sustained,
            "isolated": sampled.isolated,
            "fit": sampled.fit,
            "split_ns": sampled.split_ns,
            "flags": [*sampled.flags, *may_fuse, *broken],
            "health": dict(backend.health()),
        }
        if "graphs_compiled" in self.found:
            later_ns = statistics.median(sampled.isolated.wall_ns) / sampled.isolated.calls
            found["compile_ns"] = max(0, round(self.found["first_call_ns"] - later_ns))
            now_ns = backend.compile_time_ns()
            if now_ns is not None:
                found["stack_compile_ns"] = now_ns - (self._compile_time_ns or 0)
        found["peak_memory_bytes"], found["peak_memory_note"] = backend.peak_memory_bytes()
        found["device_memory_bytes"], found["device_memory_note"] = backend.device_memory_bytes()
        if backend.name == "cpu":
            found["clock_hz"], _ = clock.measure_clock_hz()
        return found


def judge(
    sustained: Samples, moved: Mapping[str, int], fallbacks: list[str]
) -> tuple[Status, Failure | None]:
    """The status of a case that was measured to its end. Samples that are no evidence of the
    device's speed are kept, and marked."""
    if moved:
        return Status.RECOMPILED, Failure(
            message=f"counters moved while timing: {dict(moved)}",
            mend="keep every shape the same from call to call",
            kind="counter",
        )
    if fallbacks:
        return fell_back(fallbacks)
    if is_steady([wall / sustained.calls for wall in sustained.wall_ns]):
        return Status.OK, None
    return Status.NOT_STEADY, Failure(
        message="the halves of the samples differ by more than 10 %",
        mend="measure on a quieter machine, or raise --bench-budget",
        kind="steady",
    )


def fell_back(fallbacks: list[str]) -> tuple[Status, Failure]:
    """The status of a case of which a part ran on the host."""
    return Status.FALLBACK_TO_CPU, Failure(
        message=f"ran on the host instead of the device: {', '.join(fallbacks)}",
        mend="take these operators out of the workload, or measure it on a stack that has them",
        kind="fallback",
    )


def ended_by(error: OverBudgetError | RecompiledError) -> tuple[Status, Failure]:
    """The status of a case that sampling gave up."""
    if isinstance(error, OverBudgetError):
        mend = f"raise --bench-budget to {error.needed_s:.2g} or more"
        return Status.SKIPPED, Failure(message=str(error), mend=mend, kind="budget")
    return Status.RECOMPILED, Failure(message=str(error), kind="counter")


def explained(backend: Backend, text: str) -> tuple[Status, Failure] | None:
    """The status and failure that a stack's own words give away, if they do."""
    known = backend.explain(text)
    if known is None:
        return None
    said = " ".join((known.line or text).split())[:300]
    message = f"{known.cause} ({known.name}): {said}"
    return Status(known.status), Failure(message=message, mend=known.mend, kind=known.name)


def _compilation(
    before: Mapping[str, int], after: Mapping[str, int], files: int | None, files_after: int | None
) -> dict[str, Any]:
    """What the compiler did in the first call, from the counters around it and the files in its
    cache on disk."""
    made, hits, misses = (
        after.get(name, 0) - before.get(name, 0)
        for name in ("graphs_compiled", "cache_hits", "cache_misses")
    )
    if misses:
        state = "cold"
    elif hits:
        state = "warm"
    elif not made:
        state = "memory"
    else:
        # Without counters a cache that had files and got none more was hit.
        state = "warm" if files and files_after == files else "cold"
    return {
        "graphs_compiled": made,
        "cache_state": state,
        "cache_hits": hits,
        "cache_files_before": files,
        "cache_files_after": files_after,
    }
