"""Statistics of a benchmark: pure functions on numbers, no records and no input or output.

The process is the unit of replication: nine tenths of the variance of a benchmark lies between
processes, so that an interval made from the samples of one process is far too narrow. Times
are positive and skewed, and their errors are factors, so means and intervals are taken of
their logarithms. Sources: Kalibera and Jones, Rigorous benchmarking in reasonable time (ISMM
2013), sections 4 to 6; Hoefler and Belli, Scientific benchmarking of parallel computing
systems (SC 2015), rules 3 to 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
STEADY_RATIO = 1.10


class Interval(NamedTuple):
    """A figure and its confidence interval; bounds are None where there is too little to say."""

    value: float
    low: float | None
    high: float | None


def process_estimate(medians: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Geometric mean of one positive figure per process, with a t-interval on the log scale.

    One process gives the value without an interval. Raises ``ValueError`` for an empty input
    and for a figure that isn't positive and finite. Source: Student, The probable error of a
    mean (Biometrika 6, 1908), on logarithms; Kalibera and Jones (2013), section 6.
    """
    mean, half_width = _mean_and_half_width(_logs(medians), confidence)
    return _exponential(mean, half_width)


def linear_estimate(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Mean of one figure per process with a t-interval, for figures that may be zero or
    negative, such as the intercept of a fit. One process gives no interval. Raises
    ``ValueError`` for figures so large that their spread is no number."""
    mean, half_width = _mean_and_half_width(_finite(values), confidence)
    if half_width is None:
        return Interval(mean, None, None)
    return Interval(mean, mean - half_width, mean + half_width)


def samples_needed(quantile: float, confidence: float = CONFIDENCE) -> int:
    """The smallest number of samples whose range covers the quantile with this confidence.

    The extremes of n independent samples both lie on one side of the quantile q with
    probability q^n + (1 - q)^n: 6 samples are needed for the median, 59 for p95, 299 for p99.
    Source: David and Nagaraja, Order statistics (3rd edition, 2003), section 7.1.
    """
    if not 0 < quantile < 1:
        raise ValueError(f"quantile {quantile} given; wanted a number between 0 and 1, exclusive")
    count = 1
    while quantile**count + (1 - quantile) ** count > 1 - confidence:
        count += 1
    return count


def rank_quantile(samples: ArrayLike, quantile: float) -> float | None:
    """The sample of rank ceil(q n), or None where there are fewer than ``samples_needed``.

    Always a value that was measured, never one between two. Source: Hyndman and Fan, Sample
    quantiles in statistical packages (The American Statistician 50, 1996), definition 1.
    """
    ordered = np.sort(_finite(samples))
    if ordered.size < samples_needed(quantile):
        return None
    # 0.07 * 100 is a little over 7 in binary: the rank is 7, not 8.
    rank = math.ceil(round(quantile * ordered.size, 9))
    return float(ordered[max(rank, 1) - 1])


def rank_interval(
    samples: ArrayLike, quantile: float, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Two samples between which the quantile lies, by rank and with no assumption on its form.

    The number of samples below the quantile is binomial, which gives the two ranks: each side
    may miss it with half of ``1 - confidence``, or where the outermost sample does so more often,
    that one as often as it does and the other side with what is left. It takes the samples as
    independent; those of one process are not quite, so that it is a lower bound of the doubt. None
    where there are fewer than ``samples_needed``. Source: David and Nagaraja (2003), section 7.1.
    """
    ordered = np.sort(_finite(samples))
    count = ordered.size
    if count < samples_needed(quantile, confidence):
        return None
    from scipy import special

    missed = 1 - confidence
    # The extremes themselves miss it where all samples lie below, or all above.
    low_tail = missed - max(missed / 2, quantile**count)
    high_tail = missed - max(missed / 2, (1 - quantile) ** count)
    # below[k] = P(at most k samples lie below the quantile).
    below = special.bdtr(np.arange(count), count, quantile)
    low_rank = int(np.searchsorted(below, low_tail, side="right"))
    high_rank = int(np.searchsorted(below, 1 - high_tail, side="left")) + 1
    return float(ordered[max(low_rank, 1) - 1]), float(ordered[min(high_rank, count) - 1])


def queue_fit(calls: ArrayLike, wall_ns: ArrayLike) -> tuple[float, float]:
    """``(fixed_cost_ns, slope_ns)``: wall time over the number of calls queued before one
    synchronisation, as the intercept and slope of a Theil-Sen line.

    Theil-Sen, because what disturbs a timing only ever makes it longer: least squares follows
    a single pre-empted sample, the median of the pairwise slopes bears up to 29 % of them
    (of many points). The
    intercept is the median of what the slope leaves. It may come out slightly below zero where
    the fixed cost is smaller than the noise, and is not clipped. Raises ``ValueError`` for
    fewer than three points or fewer than two different counts.

    Source: Sen, Estimates of the regression coefficient based on Kendall's tau (JASA 63, 1968).
    """
    x, y = _finite(calls), _finite(wall_ns)
    if x.size != y.size:
        raise ValueError(f"{x.size} counts of calls and {y.size} times given; wanted as many")
    if x.size < 3 or np.unique(x).size < 2:
        raise ValueError(
            f"{x.size} points with {np.unique(x).size} different counts of calls given; a line "
            "wants at least 3 points at 2 counts"
        )
    # By hand in numpy: a worker fits between two cases, and scipy.stats takes long to import.
    first, second = np.triu_indices(x.size, k=1)
    run = x[second] - x[first]
    apart = run != 0
    slope = float(np.median((y[second] - y[first])[apart] / run[apart]))
    return float(np.median(y - slope * x)), slope


def halves_ratio(per_call_times: ArrayLike) -> float:
    """Median of the second half of a series over the median of the first; the middle one of an
    odd number belongs to neither. Raises ``ValueError`` for fewer than two."""
    times = _positive(per_call_times)
    if times.size < 2:
        raise ValueError(f"{times.size} samples given; two halves want at least 2")
    half = times.size // 2
    return float(np.median(times[-half:]) / np.median(times[:half]))


def is_steady(per_call_times: ArrayLike, limit: float = STEADY_RATIO) -> bool:
    """Whether the medians of the first and second half differ by at most 10 %.

    A coarse gate on purpose: full change-point detection finds a change in most series of a
    shared machine, and asks for warm-up without end. Source: Barrett et al., Virtual machine
    warmup blows hot and cold (OOPSLA 2017), which shows that many programs have no steady
    state to wait for.
    """
    ratio_of_halves = halves_ratio(per_call_times)
    return max(ratio_of_halves, 1 / ratio_of_halves) <= limit


def paired_ratio(
    processes: Sequence[tuple[ArrayLike, ArrayLike]], confidence: float = CONFIDENCE
) -> Interval:
    """B over A from adjacent pairs: ``processes`` holds ``(a_times, b_times)`` of each process,
    in the order measured, entry i of both being one pair.

    d_p is the median over the pairs of process p of ln(b / a); the ratio is exp(mean d_p) with
    a t-interval over processes. The median of the ratios, not the ratio of the medians: only
    the first cancels a drift that both of a pair share. Raises ``ValueError`` where a process
    has no pairs or unequal numbers. Source: Bulej et al., Duet benchmarking (ICPE 2020).
    """
    if not processes:
        raise ValueError("no processes given; wanted the paired times of at least one")
    effects = []
    for number, (a_times, b_times) in enumerate(processes):
        a, b = _logs(a_times), _logs(b_times)
        if a.size != b.size:
            raise ValueError(
                f"process {number}: {a.size} times of A and {b.size} of B given; wanted pairs"
            )
        effects.append(float(np.median(b - a)))
    mean, half_width = _mean_and_half_width(np.asarray(effects), confidence)
    return _exponential(mean, half_width)


def ratio(a_medians: ArrayLike, b_medians: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """B over A of two runs that were not paired, from one median per process of each.

    The difference of the mean logarithms with Welch's interval, which doesn't take the two
    spreads as equal. It covers what varies between the processes of a run, not what changed
    between the two runs. No interval where either run has one process. Source: Welch, The
    generalization of Student's problem (Biometrika 34, 1947).
    """
    a, b = _logs(a_medians), _logs(b_medians)
    effect = float(b.mean() - a.mean())
    if a.size < 2 or b.size < 2:
        return Interval(math.exp(effect), None, None)
    a_part = float(a.var(ddof=1)) / a.size
    b_part = float(b.var(ddof=1)) / b.size
    variance = a_part + b_part
    if variance == 0:
        return _exponential(effect, 0.0)
    degrees = variance**2 / (a_part**2 / (a.size - 1) + b_part**2 / (b.size - 1))
    return _exponential(effect, _t_quantile(degrees, confidence) * math.sqrt(variance))


def welch_ratio(
    mean: ArrayLike,
    variance: ArrayLike,
    degrees: ArrayLike,
    confidence: float = CONFIDENCE,
) -> tuple[Floats, Floats, Floats, Floats]:
    """``(ratio, low, high, p_value)`` of many comparisons at once: :func:`ratio` on arrays.

    ``mean`` is the difference of the two mean logarithms; ``variance`` and ``degrees`` hold, in
    two rows, each side's squared standard error and its degrees of freedom. The p-value is
    two-sided. NaN where a side's variance is unknown; the ratio stands all the same. Source:
    Welch (1947), with Satterthwaite's degrees of freedom.
    """
    from scipy import special

    effect = np.asarray(mean, dtype=np.float64)
    parts = np.asarray(variance, dtype=np.float64)
    free = np.asarray(degrees, dtype=np.float64)
    total = parts[0] + parts[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # A side without variance has no part in the degrees of freedom.
        shares = np.where(parts > 0, parts**2 / free, 0.0)
        joint = np.where(total > 0, total**2 / (shares[0] + shares[1]), np.inf)
        error = np.sqrt(total)
        half = special.stdtrit(np.minimum(joint, 1e9), (1 + confidence) / 2) * error
        statistic = np.where(error > 0, np.abs(effect) / error, np.where(effect == 0, 0.0, np.inf))
        p_value = 2 * special.stdtr(np.minimum(joint, 1e9), -statistic)
        known = np.isfinite(total)
        return (
            np.exp(effect),
            np.exp(effect - half),
            np.exp(effect + half),
            np.where(known, p_value, np.nan),
        )


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """The q-value of each p-value: rows with q < 0.05 hold at most 5 % of false ones, in the
    mean. NaN is no test and stays NaN. Source: Benjamini and Hochberg, Controlling the false
    discovery rate (JRSS B 57, 1995)."""
    p = np.asarray(p_values, dtype=np.float64)
    q = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    if not tested.size:
        return q
    order = tested[np.argsort(p[tested], kind="stable")]
    scaled = p[order] * tested.size / np.arange(1, tested.size + 1)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q


def standard_errors(low: ArrayLike, high: ArrayLike, degrees: ArrayLike) -> Floats:
    """Standard errors of mean logarithms, from their t-intervals ``(low, high)``: what
    :func:`process_estimate` made, read backwards. NaN where there is no interval."""
    from scipy import special

    free = np.asarray(degrees, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.log(np.asarray(high, dtype=np.float64)) - np.log(
            np.asarray(low, dtype=np.float64)
        )
        quantile = special.stdtrit(np.where(free >= 1, free, np.nan), (1 + CONFIDENCE) / 2)
        errors: Floats = width / (2 * quantile)
    return errors


def _mean_and_half_width(values: Floats, confidence: float) -> tuple[float, float | None]:
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
        spread = float(values.std(ddof=1)) if values.size > 1 else 0.0
    if not (math.isfinite(mean) and math.isfinite(spread)):
        raise ValueError(f"{_some(values)} given; wanted figures whose squares are numbers")
    if values.size < 2:
        return mean, None
    standard_error = spread / math.sqrt(values.size)
    return mean, _t_quantile(values.size - 1, confidence) * standard_error


def _t_quantile(degrees: float, confidence: float) -> float:
    # Imported here, since workers use this module and need no quantile. scipy.special's Student
    # quantile is the one that scipy.stats calls, at a quarter of the time to import.
    from scipy import special

    return float(special.stdtrit(degrees, (1 + confidence) / 2))


def _exponential(mean: float, half_width: float | None) -> Interval:
    if half_width is None:
        return Interval(math.exp(mean), None, None)
    return Interval(math.exp(mean), math.exp(mean - half_width), math.exp(mean + half_width))


def _logs(values: ArrayLike) -> Floats:
    logs: Floats = np.log(_positive(values))
    return logs


def _positive(values: ArrayLike) -> Floats:
    array = _finite(values)
    if (array <= 0).any():
        raise ValueError(f"{_some(array[array <= 0])} given; wanted times over zero")
    return array


def _finite(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size == 0:
        raise ValueError("no figures given; wanted at least one")
    if not np.isfinite(array).all():
        raise ValueError(f"{_some(array[~np.isfinite(array)])} given; wanted finite figures")
    return array


def _some(array: Any) -> str:
    return ", ".join(f"{value:g}" for value in array[:3])
