"""From two times with their intervals to a verdict: one rule for every row, on arrays.

The order of the rule: a case that isn't in both, or didn't end OK in both, has no ratio and its
own verdict. Else one p-value a case and regime, Benjamini-Hochberg over all of them, and a
practical floor. SLOWER and FASTER want both. SAME wants the interval within twice the floor.
UNDECIDED is everything else.

Two stored runs of one machine were made at different times, and what changed on the machine in
between is in neither interval: the same code, seven minutes apart, was seen to differ by 76 % in
the median on a shared host (95th percentile). Such a pair is UNPAIRED where its intervals tell
the two apart, and becomes SLOWER or FASTER only where the nearer end of the interval lies beyond
``Rules.between_runs``, or where each side has several runs, whose spread then is the interval.
The verdict uses no resampling: the same data give the same verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from .statistics import Floats, benjamini_hochberg, welch_ratio

Mask = NDArray[np.bool_]


class Verdict(StrEnum):
    """What became of a case, in the order in which a reader wants them. A case that ended on
    both sides without a result has its status as verdict instead."""

    NEWLY_FAILING = "NEWLY_FAILING"
    SLOWER = "SLOWER"
    FASTER = "FASTER"
    UNPAIRED = "UNPAIRED"
    NEWLY_WORKING = "NEWLY_WORKING"
    NOT_COMPARABLE = "NOT_COMPARABLE"
    MISSING = "MISSING"
    NEW = "NEW"
    UNDECIDED = "UNDECIDED"
    SAME = "SAME"


#: What the same code may differ by between two stored runs of one machine: 1.76 was seen at the
#: 95th percentile on a shared host, and a gate should be wrong less often than that.
BETWEEN_RUNS = 2.0


@dataclass(frozen=True, slots=True)
class Rules:
    """``floor``: the smallest effect that matters (0.01 is 1 %). ``q``: the part of false ones
    that is tolerated among SLOWER and FASTER. ``between_runs``: the factor that two stored runs
    of one machine may differ by without a change; 1 trusts them."""

    floor: float = 0.01
    q: float = 0.05
    between_runs: float = BETWEEN_RUNS


@dataclass(frozen=True, slots=True)
class Times:
    """One regime of both sides, a value a pair: mean logarithms, their standard errors (NaN with
    no interval), and degrees of freedom."""

    log_a: Floats
    log_b: Floats
    error_a: Floats
    error_b: Floats
    degrees_a: Floats
    degrees_b: Floats


@dataclass(frozen=True, slots=True)
class Decision:
    """A value a pair. ``regime`` is 0 for sustained, 1 for isolated, -1 where no regime was
    measured on both sides; the ratio with its interval, ``q_values`` and ``verdicts`` are of it.
    ``other_ratio`` is of the other regime where that changed too, and its verdict in
    ``other_verdicts`` is another or its change far larger; else it is NaN."""

    regime: NDArray[np.int64]
    ratio: Floats
    low: Floats
    high: Floats
    q_value: Floats
    verdicts: NDArray[np.object_]
    other_ratio: Floats
    other_verdicts: NDArray[np.object_]


#: Of two regimes the one that weighs more speaks for the row; at the same weight, sustained:
#: that a call alone became slower is no answer to whether the work as a whole became faster.
_WEIGHTS = {Verdict.UNPAIRED: 1, Verdict.FASTER: 2, Verdict.SLOWER: 2}


def decide(regimes: tuple[Times, Times], rules: Rules, allowance: Floats) -> Decision:
    """Test the sustained and the isolated regime of every pair together, and name verdicts.

    ``allowance`` is the factor that lies between the two runs of a pair without any change: 1
    where they can be trusted. A row is of its sustained time, unless only its isolated time decides:
    a launch gap that grew is invisible where calls are queued.
    """
    tested = [_test(times) for times in regimes]
    ratios, lows, highs, p_values = (np.stack(parts) for parts in zip(*tested, strict=True))
    q_values = benjamini_hochberg(p_values.ravel()).reshape(p_values.shape)
    verdicts = _name(ratios, lows, highs, q_values, rules, allowance)
    weights = np.zeros(ratios.shape, dtype=np.int64)
    for verdict, weight in _WEIGHTS.items():
        weights[verdicts == verdict] = weight
    measured = np.isfinite(ratios)
    regime = np.where(measured[0], 0, np.where(measured[1], 1, -1))
    regime = np.where((regime == 0) & (weights[1] > weights[0]), 1, regime)
    row, column = np.maximum(regime, 0), np.arange(regime.size)
    chosen = verdicts[row, column]
    chosen[regime < 0] = Verdict.NOT_COMPARABLE
    other, other_ratio = verdicts[1 - row, column], ratios[1 - row, column]
    with np.errstate(divide="ignore", invalid="ignore"):
        larger = np.abs(np.log(other_ratio)) > 2 * np.abs(np.log(ratios[row, column]))
    differs = (weights[1 - row, column] > 0) & ((other != chosen) | larger)
    return Decision(
        regime,
        ratios[row, column],
        lows[row, column],
        highs[row, column],
        q_values[row, column],
        chosen,
        np.where(differs, other_ratio, np.nan),
        other,
    )


def _name(
    ratio: Floats, low: Floats, high: Floats, q_value: Floats, rules: Rules, allowance: Floats
) -> NDArray[np.object_]:
    """The verdict of each regime of each pair."""
    slower = ratio > 1
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.maximum(ratio, 1 / ratio) - 1
        beyond = (q_value < rules.q) & (effect >= rules.floor)
        limit = 1 + 2 * rules.floor
        same = (low >= 1 / limit) & (high <= limit)
        # The end of the interval that is nearer to no change.
        nearer = np.where(slower, low, 1 / high)
        trusted = (allowance <= 1) | (nearer > allowance)
    verdicts = np.full(ratio.shape, Verdict.UNDECIDED, dtype=object)
    verdicts[same] = Verdict.SAME
    verdicts[beyond & ~trusted] = Verdict.UNPAIRED
    verdicts[beyond & trusted & slower] = Verdict.SLOWER
    verdicts[beyond & trusted & ~slower] = Verdict.FASTER
    return verdicts


def _test(times: Times) -> tuple[Floats, Floats, Floats, Floats]:
    return welch_ratio(
        times.log_b - times.log_a,
        np.stack([times.error_a**2, times.error_b**2]),
        np.stack([times.degrees_a, times.degrees_b]),
    )
