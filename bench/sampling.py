"""From a call to its samples: warm-up to a steady state, both regimes, the queue fit.

Runs in the worker, and draws nothing. The rules and their numbers come from experiments on a
shared machine: short samples escape the scheduler, the process is the unit of replication,
so a process is measured briefly and many are compared.
"""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..backends.protocol import Backend, Call, Stamp
from ..results.record import QueueFit, Samples
from ..results.statistics import is_steady, queue_fit

#: A sample lasts at least this long: long against the clock's cost, short against the
#: scheduler's slices (one process's A/A error is 3.2 % with 30 ms samples, 0.1 % with these).
SAMPLE_NS = 500_000
#: A sample lasts at least so many times what reading the clock costs.
CLOCK_COSTS = 1000
WARMUP_SAMPLES = 10
#: A call this long is estimated from its first calls, with at most so many warm-up calls.
LONG_CALL_NS = 100_000_000
LONG_CALL_WARMUP = 3
#: Warm-up that still isn't steady is given up after so many times the least warm-up.
WARMUP_LIMIT = 50
#: The fewest samples of a regime from which a median is worth reporting.
LEAST_SAMPLES = 3
#: A case may take so many times its budget to reach the fewest samples before it is skipped.
BUDGET_STRETCH = 4.0
#: Rounds of samples that may be taken anew where the halves of the last one differ: few, since
#: a case that never comes to rest has to end as NOT_STEADY.
MORE_ROUNDS = 2
#: Share of the budget that the queue fit may take.
FIT_SHARE = 0.2
FIT_DEPTHS = 5
#: A call that lasts so many budgets is refused at once; a shorter one when it is confirmed.
FAR_OVER = 5.0
FIT_REPEATS = 3
#: Single calls that are taken apart.
SPLITS = 5
#: Warm-up samples in which something may be compiled (each regime is a program of its own, and a
#: training step is two), and their time isn't held against the warm-up.
COMPILING_SAMPLES = 8


class OverBudgetError(Exception):
    """One call is so long that even the fewest samples would pass the case's budget."""

    def __init__(self, call_s: float, budget_s: float) -> None:
        self.needed_s = 2 * LEAST_SAMPLES * call_s / BUDGET_STRETCH
        super().__init__(
            f"one call takes {call_s:.3g} s, so {2 * LEAST_SAMPLES} samples need "
            f"{2 * LEAST_SAMPLES * call_s:.3g} s; the budget of {budget_s:g} s allows "
            f"{BUDGET_STRETCH * budget_s:g} s"
        )


class RecompiledError(Exception):
    """The counters that must stand still (compilations) wouldn't, however long the warm-up."""


@dataclass(slots=True)
class Sampled:
    """What sampling found; ``warmup_ns`` is wall time of each warm-up sample, per call.

    ``moved`` are the counters that moved while timing, which makes the samples worth nothing
    but as evidence; ``split_ns`` is the wall time of single calls by part.
    """

    calls: int
    warmup_calls: int
    warmup_ns: list[int]
    sustained: Samples
    isolated: Samples
    fit: QueueFit | None
    flags: list[str] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)
    split_ns: dict[str, list[int]] = field(default_factory=dict)


def clock_cost_ns(reads: int = 1000) -> float:
    """Cost of one reading of the wall clock, the median of several loops."""
    loops = []
    for _ in range(5):
        start = time.perf_counter_ns()
        for _ in range(reads):
            time.perf_counter_ns()
        loops.append((time.perf_counter_ns() - start) / reads)
    return statistics.median(loops)


def calls_per_sample(call_ns: float, clock_ns: float) -> int:
    """The smallest count that makes a sample long enough; 1 where one call is."""
    return max(1, math.ceil(max(SAMPLE_NS, CLOCK_COSTS * clock_ns) / max(call_ns, 1.0)))


def sample_call(
    call: Call,
    backend: Backend,
    budget_s: float,
    announce: Callable[[str], None] = lambda _: None,
    seed: int = 0,
    parts: Sequence[tuple[str, Call]] = (),
) -> Sampled:
    """Warm ``call`` up and sample it for about ``budget_s`` seconds.

    The two regimes are sampled in turn, in random order, so that a drift of the machine meets
    both alike. ``parts`` make one call when they run in turn. Raises ``OverBudgetError`` and
    ``RecompiledError`` (in the warm-up; a counter that moves later is in ``moved``); whatever the
    call raises goes through.
    """
    order = random.Random(seed)
    announce("warm-up")
    calls, warmup = _warm_up(call, backend, budget_s)
    counters = dict(backend.counters())
    announce("sampling")
    flags: list[str] = []
    sustained, isolated = _sample_regimes(call, backend, calls, budget_s, order)
    for _ in range(MORE_ROUNDS):
        if is_steady([stamp.wall_ns for stamp in sustained]):
            break
        # Not there yet, or disturbed: what was taken becomes warm-up, which is never a sample.
        warmup += sustained + isolated
        flags = ["MORE_WARMUP"]
        sustained, isolated = _sample_regimes(call, backend, calls, budget_s, order)
    announce("fit")
    fit = _fit_queue(call, backend, calls, budget_s * FIT_SHARE, _per_call_ns(sustained), order)
    moved = _moved(counters, backend.counters())
    return Sampled(
        calls=calls,
        warmup_calls=sum(stamp.calls for stamp in warmup),
        warmup_ns=[stamp.wall_ns // stamp.calls for stamp in warmup],
        sustained=_as_samples(sustained),
        isolated=_as_samples(isolated),
        fit=fit,
        flags=flags,
        moved=moved,
        split_ns=_split(call, backend, parts),
    )


def _split(call: Call, backend: Backend, parts: Sequence[tuple[str, Call]]) -> dict[str, list[int]]:
    """The parts of a few single calls: after the samples, since its stamps lie inside a call. A
    lazy backend has parts of its own, since it runs nothing before the end of a call."""
    splits = [backend.split(call) for _ in range(SPLITS)]
    if not splits[0] and parts:
        splits = [_time_parts(parts, backend) for _ in range(SPLITS)]
    return {part: [split[part] for split in splits] for part in splits[0]}


def _time_parts(parts: Sequence[tuple[str, Call]], backend: Backend) -> dict[str, int]:
    """One call, synchronised after each of its parts; those of one name are added up."""
    total: dict[str, int] = {}
    for name, run in parts:
        total[name] = total.get(name, 0) + backend.time_isolated(run, 1).wall_ns
    return total


def _warm_up(call: Call, backend: Backend, budget_s: float) -> tuple[int, list[Stamp]]:
    """Calls per sample, and the warm-up's stamps. Both regimes are warmed: the second program
    of a lazy backend, or its synchronisation, must not be met first in a timed sample."""
    clock_ns = clock_cost_ns()
    stamps: list[Stamp] = []
    calls, still, counters = 1, 0, dict(backend.counters())
    compiling, compiling_ns = 0, 0
    begin = time.perf_counter_ns()
    least_ns = backend.warmup_seconds * 1e9
    while True:
        timed = backend.time_isolated if len(stamps) % 2 else backend.time_sustained
        stamp = timed(call, calls)
        stamps.append(stamp)
        now = dict(backend.counters())
        still = still + 1 if now == counters else 0
        if not still and compiling < COMPILING_SAMPLES:
            compiling, compiling_ns = compiling + 1, compiling_ns + stamp.wall_ns
        counters = now
        elapsed_ns = time.perf_counter_ns() - begin - compiling_ns
        if elapsed_ns > WARMUP_LIMIT * max(least_ns, budget_s * 1e9):
            raise RecompiledError(
                f"the counters {sorted(now)} would not stand still: {len(stamps)} warm-up "
                f"samples, {elapsed_ns * 1e-9:.1f} s"
            )
        if stamp.wall_ns / stamp.calls >= LONG_CALL_NS:
            # The best of the calls so far: one may have been switched off the processor, have
            # built something, or compiled a second graph.
            best_s = min(s.wall_ns / s.calls for s in stamps) * 1e-9
            called = sum(s.calls for s in stamps)
            too_long = 2 * LEAST_SAMPLES * best_s > BUDGET_STRETCH * budget_s
            sure = still >= 1 and called >= max(LONG_CALL_WARMUP, backend.warmup_calls)
            if too_long and (sure or (still and best_s > FAR_OVER * budget_s)):
                raise OverBudgetError(best_s, budget_s)
            if sure and best_s * 1e9 >= LONG_CALL_NS:
                return 1, stamps
        wanted = calls_per_sample(_settled_call_ns(stamps), clock_ns)
        if not wanted / 1.25 <= calls <= wanted * 1.25:
            calls = wanted
        enough = len(stamps) >= WARMUP_SAMPLES and elapsed_ns >= least_ns
        # Calls between a few and a hundred milliseconds would spend the whole budget on ten.
        enough = enough or (len(stamps) >= LONG_CALL_WARMUP and elapsed_ns >= 0.5 * budget_s * 1e9)
        called = sum(s.calls for s in stamps) >= backend.warmup_calls
        if enough and called and still >= min(WARMUP_SAMPLES, len(stamps)) - 1:
            return calls, stamps


def _settled_call_ns(stamps: Sequence[Stamp]) -> float:
    return statistics.median(s.wall_ns / s.calls for s in stamps[-5:])


def _sample_regimes(
    call: Call, backend: Backend, calls: int, budget_s: float, order: random.Random
) -> tuple[list[Stamp], list[Stamp]]:
    sustained: list[Stamp] = []
    isolated: list[Stamp] = []
    deadline = time.perf_counter_ns() + int(budget_s * (1 - FIT_SHARE) * 1e9)
    while len(sustained) < LEAST_SAMPLES or time.perf_counter_ns() < deadline:
        if order.random() < 0.5:
            sustained.append(backend.time_sustained(call, calls))
            isolated.append(backend.time_isolated(call, calls))
        else:
            isolated.append(backend.time_isolated(call, calls))
            sustained.append(backend.time_sustained(call, calls))
    return sustained, isolated


def _fit_queue(
    call: Call,
    backend: Backend,
    calls: int,
    budget_s: float,
    call_ns: float,
    order: random.Random,
) -> QueueFit | None:
    """Time over the number of queued calls, in random order; ``None`` where the budget has no
    room for two depths."""
    step = max(1, calls // FIT_DEPTHS)
    depths = [step * k for k in range(1, FIT_DEPTHS + 1)]
    while len(depths) > 1 and FIT_REPEATS * sum(depths) * call_ns * 1e-9 > budget_s:
        depths.pop()
    if len(depths) <= 1:
        return None
    # As many repetitions as the budget holds: the fit is of small differences.
    room = int(budget_s / (sum(depths) * call_ns * 1e-9))
    queue = depths * max(FIT_REPEATS, min(room, 50))
    order.shuffle(queue)
    walls = [backend.time_sustained(call, depth).wall_ns for depth in queue]
    fixed_cost_ns, slope_ns = queue_fit(queue, walls)
    return QueueFit(calls=queue, wall_ns=walls, fixed_cost_ns=fixed_cost_ns, slope_ns=slope_ns)


def _per_call_ns(stamps: Sequence[Stamp]) -> float:
    return statistics.median(s.wall_ns / s.calls for s in stamps)


def _moved(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    names = before.keys() | after.keys()
    changes = {name: after.get(name, 0) - before.get(name, 0) for name in sorted(names)}
    return {name: change for name, change in changes.items() if change}


def _as_samples(stamps: Sequence[Stamp]) -> Samples:
    device = [s.device_ns for s in stamps]
    return Samples(
        calls=stamps[0].calls,
        wall_ns=[s.wall_ns for s in stamps],
        cpu_ns=[s.cpu_ns for s in stamps],
        device_ns=None if None in device else [d for d in device if d is not None],
        involuntary_switches=[s.involuntary_switches for s in stamps],
    )
