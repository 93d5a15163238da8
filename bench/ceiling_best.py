"""From the sweeps of several processes to what the device attains: the best of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..specs.attained import AttainedBandwidth
from .ceiling_sweep import TRAFFICS, MatmulTiming, Sweep, TransferTiming

#: Below this share of its own dispatch the memory's part of a call can't be told from the
#: scatter of a timing.
RESOLVED = 0.15


def best_matmuls(sweeps: Iterable[Sweep]) -> dict[str, MatmulTiming]:
    """Dtype -> the product with the most operations per second in any process."""
    best: dict[str, MatmulTiming] = {}
    for timing in (t for sweep in sweeps for t in sweep.matmuls):
        known = best.get(timing.dtype)
        if known is None or timing.flops_per_s > known.flops_per_s:
            best[timing.dtype] = timing
    return best


def best_bandwidths(sweeps: Sequence[Sweep]) -> tuple[AttainedBandwidth, ...]:
    """One point a working set, ascending, dispatch taken off.

    A rate is ``None`` where an operator whose time is nearly all dispatch might be faster than
    the fastest that could be resolved; a working set without any rate is left out.
    """
    merged = _merge(sweeps)
    points = []
    for working_set in sorted({t.working_set_bytes for t in merged}):
        here = [t for t in merged if t.working_set_bytes == working_set]
        best = {
            traffic: _best_of([t for t in here if t.traffic == traffic]) for traffic in TRAFFICS
        }
        rates = {traffic: found[0] for traffic, found in best.items() if found is not None}
        if rates:
            points.append(
                AttainedBandwidth(
                    working_set_bytes=working_set,
                    read_bytes_per_s=rates.get("read"),
                    copy_bytes_per_s=rates.get("copy"),
                    triad_bytes_per_s=rates.get("triad"),
                    operators={name: found[1] for name, found in best.items() if found},
                )
            )
    return tuple(points)


def unresolved_working_sets(sweeps: Sequence[Sweep]) -> list[int]:
    """The working sets that :func:`best_bandwidths` leaves out."""
    resolved = {point.working_set_bytes for point in best_bandwidths(sweeps)}
    measured = {t.working_set_bytes for sweep in sweeps for t in sweep.transfers}
    return sorted(measured - resolved)


def best_clock_hz(sweeps: Iterable[Sweep]) -> float | None:
    return max((sweep.clock_hz for sweep in sweeps if sweep.clock_hz is not None), default=None)


def best_dispatch_s(sweeps: Iterable[Sweep]) -> float:
    """The least of the processes' medians."""
    return min(sweep.dispatch_s for sweep in sweeps)


def _merge(sweeps: Iterable[Sweep]) -> list[TransferTiming]:
    """The least time, and the least dispatch, of each operator on each working set. Taking the
    least dispatch too leaves more time to the memory: the figure errs to the low side."""
    merged: dict[tuple[str, int], TransferTiming] = {}
    for timing in (t for sweep in sweeps for t in sweep.transfers):
        key = (timing.operator, timing.working_set_bytes)
        known = merged.get(key, timing)
        merged[key] = timing.model_copy(
            update={
                "best_s": min(known.best_s, timing.best_s),
                "empty_s": min(known.empty_s, timing.empty_s),
            }
        )
    return list(merged.values())


def _best_of(timings: Sequence[TransferTiming]) -> tuple[float, str] | None:
    """Highest rate and its operator; ``None`` where one that can't be resolved may be faster."""
    best: tuple[float, str] | None = None
    least_hidden = 0.0
    for timing in timings:
        memory_s = timing.best_s - timing.empty_s
        if memory_s < RESOLVED * timing.empty_s:
            # Its memory time is at most this, so its rate is at least:
            least_hidden = max(least_hidden, timing.moved_bytes / (RESOLVED * timing.empty_s))
        elif best is None or timing.moved_bytes / memory_s > best[0]:
            best = (timing.moved_bytes / memory_s, timing.operator)
    return best if best is not None and best[0] >= least_hidden else None
