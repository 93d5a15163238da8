"""How what several processes found out about one case becomes one status and one summary.

Status: the worst wins, in the order of ``SEVERITY``, and all are counted. The one exception is
NOT_STEADY, which stands only where more than half of the processes that measured say so: one
of three is the flag UNSTEADY_PROCESS. Estimates use every process that has samples, however it
ended; flags never change an estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..specs.units import unit_of_work
from .record import (
    SEVERITY,
    CaseKey,
    CostData,
    Estimate,
    Failure,
    NumericError,
    ProcessOutcome,
    Samples,
    Status,
    Summary,
)
from .statistics import (
    Floats,
    Interval,
    halves_ratio,
    linear_estimate,
    process_estimate,
    rank_interval,
    rank_quantile,
)

Regime = Literal["isolated", "sustained"]

#: Wall time over CPU time of one busy core: above it the processor was shared.
CONTENTION_RATIO = 1.05
#: The part of the samples that must pass without being switched off the processor.
CLEAN_FRACTION = 0.80
#: Slowest over fastest process median.
SPREAD_RATIO = 1.10
#: Second half over first half of the samples, over all processes; half of what isn't steady.
DRIFT_RATIO = 1.05
#: Samples in each half below which a drift can't be told from noise.
DRIFT_SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Folded:
    """One case's outcome over its processes: what a record says about them together.

    ``compile_s`` is the longest of the processes: a compile cache makes the later ones
    cheaper, and the first one's price is what a user pays.
    """

    status: Status
    status_counts: dict[str, int]
    failure: Failure | None
    summary: Summary | None
    numeric: NumericError | None
    compile_s: float | None
    flags: list[str]


def fold(
    case: CaseKey,
    outcomes: Sequence[ProcessOutcome],
    cost: CostData | None = None,
    cores_used: int | None = None,
) -> Folded:
    """Fold the outcomes of a case's processes into one.

    ``cores_used`` is what one call may keep busy (``Device.cores_used``); None counts as one.
    Raises ``ValueError`` where there are no outcomes: a worker that died is an outcome too.
    """
    if not outcomes:
        raise ValueError(f"no outcomes of {case.workload} {case.configuration}; wanted at least 1")
    status = _status(outcomes)
    failure = next((o.failure for o in outcomes if o.status is status and o.failure), None)
    compile_ns = [o.compile_ns for o in outcomes if o.compile_ns is not None]
    return Folded(
        status=status,
        status_counts=dict(Counter(str(o.status) for o in outcomes)),
        failure=failure,
        summary=summarise(outcomes, cost, case.dtype),
        numeric=_worst_numeric(outcomes),
        compile_s=max(compile_ns) / 1e9 if compile_ns else None,
        flags=_flags(case, outcomes, status, cores_used or 1),
    )


def summarise(
    outcomes: Sequence[ProcessOutcome], cost: CostData | None, dtype: str = ""
) -> Summary | None:
    """Estimates over the processes that have samples; None where none has."""
    isolated = process_medians_s(outcomes, "isolated")
    sustained = process_medians_s(outcomes, "sustained")
    if not isolated.size and not sustained.size:
        return None
    pooled = _pooled_s(outcomes, "isolated")
    quantiles = {name: _quantile(pooled, q) for name, q in _QUANTILES.items()}
    fits = [o.fit for o in outcomes if o.fit is not None]
    sustained_estimate = _over_processes(process_estimate, sustained)
    throughput, unit = _throughput(cost, sustained_estimate, dtype)
    return Summary(
        processes=max(isolated.size, sustained.size),
        isolated=_over_processes(process_estimate, isolated),
        sustained=sustained_estimate,
        fixed_cost=_over_processes(
            linear_estimate, np.asarray([fit.fixed_cost_ns / 1e9 for fit in fits])
        ),
        slope=_over_processes(linear_estimate, np.asarray([fit.slope_ns / 1e9 for fit in fits])),
        min_s=float(pooled.min()) if pooled.size else None,
        p20_s=quantiles["p20"],
        p95_s=quantiles["p95"],
        p99_s=quantiles["p99"],
        rank_intervals_s={
            name: bounds
            for name, q in _QUANTILES.items()
            if pooled.size and (bounds := rank_interval(pooled, q)) is not None
        },
        throughput=throughput,
        throughput_unit=unit,
    )


def per_call_s(samples: Samples) -> Floats:
    """Seconds per call of each sample, in the order measured (wall clock)."""
    seconds: Floats = np.asarray(samples.wall_ns, dtype=np.float64) / samples.calls / 1e9
    return seconds


def process_medians_s(outcomes: Sequence[ProcessOutcome], regime: Regime) -> Floats:
    """The median seconds per call of each process that has samples of this regime."""
    medians = [float(np.median(per_call_s(samples))) for samples in _all_samples(outcomes, regime)]
    return np.asarray(medians, dtype=np.float64)


_QUANTILES = {"p20": 0.20, "p95": 0.95, "p99": 0.99}


def _status(outcomes: Sequence[ProcessOutcome]) -> Status:
    statuses = [outcome.status for outcome in outcomes]
    measured = [s for s in statuses if s in (Status.OK, Status.NOT_STEADY)]
    unsteady = statuses.count(Status.NOT_STEADY)
    if unsteady and 2 * unsteady <= len(measured):
        statuses = [Status.OK if s is Status.NOT_STEADY else s for s in statuses]
    return max(statuses, key=SEVERITY.index)


def _worst_numeric(outcomes: Sequence[ProcessOutcome]) -> NumericError | None:
    """The largest error; one that isn't a number is worse than any."""
    found = [o.numeric for o in outcomes if o.numeric is not None]
    return max(found, key=lambda n: float("inf") if n.error is None else n.error, default=None)


def _throughput(
    cost: CostData | None, sustained: Estimate | None, dtype: str
) -> tuple[float | None, str | None]:
    """Work per second in the unit that the workload is read in. Bytes are those moved, as in
    the roof; operations on integers are OP/s."""
    if cost is None or sustained is None:
        return None, None
    unit: str
    if cost.headline == "flops":
        work, unit = cost.flops, unit_of_work(dtype)
    elif cost.headline == "bytes":
        work, unit = cost.bytes_moved, "B/s"
    elif cost.headline == "items":
        work, unit = cost.items, f"{cost.item_unit}/s"
    else:
        raise ValueError(f"headline '{cost.headline}' given; known: flops, bytes, items")
    return (work / sustained.value, unit) if work else (None, None)


def _flags(
    case: CaseKey, outcomes: Sequence[ProcessOutcome], status: Status, cores_used: int
) -> list[str]:
    found = {flag for outcome in outcomes for flag in outcome.flags}
    samples = [s for r in _REGIMES for s in _all_samples(outcomes, r)]
    if status is not Status.NOT_STEADY and any(o.status is Status.NOT_STEADY for o in outcomes):
        found.add("UNSTEADY_PROCESS")
    # Off the CPU the host waits for the device, and its own clock says nothing of the work.
    if case.backend == "cpu" and _is_contended(outcomes, cores_used):
        found.add("CONTENDED")
    switches = [count for s in samples for count in s.involuntary_switches]
    if switches and switches.count(0) < CLEAN_FRACTION * len(switches):
        found.add("PREEMPTED")
    if any(_spread(process_medians_s(outcomes, r)) > SPREAD_RATIO for r in _REGIMES):
        found.add("PROCESS_SPREAD")
    if _is_drifting(outcomes):
        found.add("DRIFT")
    if any(o.health.get("throttled") for o in outcomes):
        found.add("THROTTLED")
    if samples and len(outcomes) == 1:
        found.add("SINGLE_PROCESS")
    return sorted(found)


_REGIMES: tuple[Regime, ...] = ("isolated", "sustained")


def _is_contended(outcomes: Sequence[ProcessOutcome], cores_used: int) -> bool:
    """Whether a process got less CPU time than its samples could use.

    On one core wall time over CPU time says so. On several the CPU time may exceed the wall
    time by as much as the operator runs in parallel, which only the case itself can tell: the
    parallelism that its best samples reach (90th percentile, at most ``cores_used``) is what
    the typical one is held against.
    """
    per_process = [
        np.asarray(s.cpu_ns, dtype=np.float64) / np.asarray(s.wall_ns, dtype=np.float64)
        for s in _all_samples(outcomes, "sustained")
    ]
    if not per_process:
        return False
    reached = 1.0
    if cores_used > 1:
        best = float(np.quantile(np.concatenate(per_process), 0.90))
        reached = min(max(best, 1.0), float(cores_used))
    # Multiplied out, since the CPU clock may not have ticked within a short sample.
    return any(reached > CONTENTION_RATIO * float(np.median(busy)) for busy in per_process)


def _is_drifting(outcomes: Sequence[ProcessOutcome]) -> bool:
    ratios = [
        halves_ratio(per_call_s(samples))
        for samples in _all_samples(outcomes, "sustained")
        if len(samples.wall_ns) >= 2 * DRIFT_SAMPLES
    ]
    if not ratios:
        return False
    mean = process_estimate(ratios).value
    return max(mean, 1 / mean) > DRIFT_RATIO


def _spread(medians: Floats) -> float:
    return float(medians.max() / medians.min()) if medians.size else 1.0


def _all_samples(outcomes: Sequence[ProcessOutcome], regime: Regime) -> list[Samples]:
    found = [o.isolated if regime == "isolated" else o.sustained for o in outcomes]
    return [samples for samples in found if samples is not None and samples.wall_ns]


def _pooled_s(outcomes: Sequence[ProcessOutcome], regime: Regime) -> Floats:
    parts = [per_call_s(samples) for samples in _all_samples(outcomes, regime)]
    return np.concatenate(parts) if parts else np.asarray([], dtype=np.float64)


def _quantile(pooled: Floats, quantile: float) -> float | None:
    return rank_quantile(pooled, quantile) if pooled.size else None


def _over_processes(estimate: Callable[[Floats], Interval], values: Floats) -> Estimate | None:
    if not values.size:
        return None
    value, low, high = estimate(values)
    return Estimate(value=value, low=low, high=high)
