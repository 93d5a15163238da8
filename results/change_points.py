"""Where the level of a series of times changed: E-divisive, on logarithms, pure functions.

A series is cut where the energy distance between what lies before and after is largest, as long
as permuting the series seldom finds as large a one; then each part is cut in the same way. What
is left over is judged once more, without resampling: a t-test on normal scores of the ranks
between neighbouring levels, times the number of places where the cut might have been. That bound
has no smallest value, as a permutation test has (one in R + 1), so that the tests of ten thousand
cases can be adjusted for their number; ranks, because one run in fifty is far off for reasons of
its machine; and wider where neighbouring runs resemble one another.

Sources: Matteson and James, A nonparametric approach for multiple change point analysis of
multivariate data (JASA 109, 2014), sections 2 and 3; Daly et al., Change point detection in
software performance testing (ICPE 2020); Besag and Clifford, Sequential Monte Carlo p-values
(Biometrika 78, 1991); Hodges and Lehmann, Estimates of location based on rank tests (Annals of
Mathematical Statistics 34, 1963).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .statistics import CONFIDENCE, Floats, benjamini_hochberg

#: The fewest runs of a level: fewer are an episode.
LEAST_RUNS = 5
#: The part of changes found that may be false ones, and the smallest one that matters.
Q, FLOOR = 0.05, 0.01

#: A cut may be no change this often before the second test, which decides, has looked at it.
_SPLIT_P = 0.05
_PERMUTATIONS = 199
#: Besag and Clifford: with this many as large as the observed one there's nothing to find.
_ENOUGH_LARGER = 10
_SEED = 20140401
#: Ends of the later part that a cut is looked for with, so that a level which went and came back
#: is seen: a grid, since the ends themselves are found when that part is cut in its turn.
_ENDS = 16
_MOST_CORRELATED = 0.9
_OUTLYING = 4.0
#: A widening below this is the estimate's own noise.
_CORRELATED = 1.5


@dataclass(frozen=True, slots=True)
class Change:
    """A change between run ``at - 1`` and run ``at`` of a series (numbered from 0): ``ratio`` of
    the times after to those before, with a 95 % interval, between neighbouring levels.
    ``p_value`` is of this change alone, ``q_value`` adjusted for all series looked at."""

    at: int
    ratio: float
    low: float
    high: float
    p_value: float
    q_value: float


def find_changes(
    series: Sequence[ArrayLike],
    floor: float = FLOOR,
    q: float = Q,
    least_runs: int = LEAST_RUNS,
) -> list[list[Change]]:
    """The changes of each series of positive times, in order of time.

    ``floor`` is the smallest effect that counts (0.01 is 1 %), ``q`` the tolerated part of false
    ones among all that are found, ``least_runs`` the fewest runs before, between and after
    changes: a shorter series has none. The same series give the same changes. Raises
    ``ValueError`` for times that aren't positive and finite.
    """
    logs = [_logs(one) for one in series]
    candidates = [_cut(one, floor, least_runs) for one in logs]
    # A series in which nothing was found is a test, too.
    p_values = [[test.p_value for test in found] or [1.0] for found in candidates]
    q_values = iter(benjamini_hochberg(np.concatenate([[1.0], *p_values]))[1:])
    changes = []
    for one, found in zip(logs, candidates, strict=True):
        adjusted = [(test, next(q_values)) for test in found]
        if not found:
            next(q_values)
        kept = [(test, value) for test, value in adjusted if value < q]
        changes.append(_finish(one, kept, floor))
    return changes


@dataclass(frozen=True, slots=True)
class _Test:
    at: int
    p_value: float
    effect: float


def _finish(x: Floats, kept: Sequence[tuple[_Test, float]], floor: float) -> list[Change]:
    """Ratios between the levels that are left; without one that has become too small."""
    bounds = [0, *(test.at for test, _ in kept), x.size]
    widening = _widening(x)
    changes = []
    for (start, at, end), (test, q_value) in zip(_neighbours(bounds), kept, strict=True):
        shift, low, high = hodges_lehmann(x[start:at], x[at:end], widening)
        if math.expm1(abs(shift)) >= floor:
            ratio, low, high = (math.exp(value) for value in (shift, low, high))
            changes.append(Change(at, ratio, low, high, test.p_value, float(q_value)))
    return changes


def _cut(x: Floats, floor: float, least: int) -> list[_Test]:
    """The cuts of a series that withstand the second test, each against its neighbours."""
    bounds = [0, *sorted(_split(x, least)), x.size]
    scores = normal_scores(x)
    widening = _widening(x)
    while True:
        tests = []
        for start, at, end in _neighbours(bounds):
            p_value = level_p_value(scores[start:at], scores[at:end], widening)
            # What the cut was chosen from: its own place, and with other cuts theirs.
            places = max(end - start - 2 * least + 1, 1)
            if len(bounds) > 3:
                places *= max(x.size // least, 1)
            effect = math.expm1(abs(_shift(x[start:at], x[at:end])))
            tests.append(_Test(at, min(p_value * places, 1.0), effect))
        weak = [test for test in tests if test.p_value > _SPLIT_P or test.effect < floor]
        if not weak:
            return tests
        # One at a time: its neighbours' levels have more runs without it.
        bounds.remove(max(weak, key=lambda test: (test.p_value, -test.effect)).at)


def _neighbours(bounds: Sequence[int]) -> list[tuple[int, int, int]]:
    return list(zip(bounds, bounds[1:], bounds[2:], strict=False))


def _split(x: Floats, least: int) -> list[int]:
    """Where E-divisive cuts a series."""
    found: list[int] = []
    block = math.ceil(_widening(x)) if _widening(x) > _CORRELATED else 1
    parts = [(0, x.size)]
    while parts:
        start, end = parts.pop()
        if end - start < 2 * least:
            continue
        part = x[start:end]
        at, statistic = largest_divergence(part, least)
        if permutation_p_value(part, statistic, least, block) > _SPLIT_P:
            continue
        found.append(start + at)
        parts += [(start, start + at), (start + at, end)]
    return found


def largest_divergence(x: Floats, least: int = LEAST_RUNS) -> tuple[int, float]:
    """``(at, statistic)``: the cut with the largest energy distance, scaled by the sizes of both
    parts, between ``x[:at]`` and ``x[at:end]``, over cuts and a grid of ends.

    Statistic: n m / (n + m) times (2 E|X - Y| - E|X - X'| - E|Y - Y'|), with exponent 1. Wants
    at least 2 ``least`` values. Source: Matteson and James (2014), equations 5 and 7.
    """
    size = x.size
    ends = np.unique(np.linspace(2 * least, size, _ENDS).round().astype(np.int64))
    distance = np.abs(x[:, None] - x)
    # Sums over pairs within the first t values, and between them and all up to each end.
    within = np.concatenate([[0.0], 2 * np.cumsum(np.tril(distance).sum(axis=1))])
    starts = np.concatenate([[0], ends[:-1]])
    to_end = np.cumsum(np.add.reduceat(distance, starts, axis=1), axis=1)
    both = np.concatenate([np.zeros((1, ends.size)), np.cumsum(to_end, axis=0)])
    at = np.arange(least, size - least + 1)
    n, m = at[:, None].astype(np.float64), (ends - at[:, None]).astype(np.float64)
    first, both = within[at][:, None], both[at]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = 2 * (both - first) / (n * m)
        spread_first = first / (n * (n - 1))
        spread_second = (within[ends] - 2 * both + first) / (m * (m - 1))
        statistic = n * m / (n + m) * (apart - spread_first - spread_second)
    statistic[m < least] = -np.inf
    best = int(np.argmax(statistic))
    return int(at[best // ends.size]), float(statistic.flat[best])


def permutation_p_value(
    x: Floats, statistic: float, least: int = LEAST_RUNS, block: int = 1
) -> float:
    """How often a permuted series has as large a divergence: 1 in 200 at the least.

    ``block`` neighbours stay together where they resemble one another. Sequential: it ends as
    soon as ten were as large. Seeded, so that a series has one p-value.
    """
    random = np.random.default_rng(_SEED)
    blocks = np.arange(0, x.size, block)
    larger = 0
    for number in range(1, _PERMUTATIONS + 1):
        order = (random.permutation(blocks)[:, None] + np.arange(block)).ravel()
        permuted = x[order[order < x.size]]
        larger += largest_divergence(permuted, least)[1] >= statistic
        if larger >= _ENOUGH_LARGER:
            return larger / number
    return (larger + 1) / (_PERMUTATIONS + 1)


def normal_scores(x: Floats) -> Floats:
    """The normal quantile of each value's rank (van der Waerden); ties share their mean rank."""
    from scipy import special

    kinds, place, count = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    rank = (last - (count - 1) / 2)[place]
    scores: Floats = special.ndtri(rank / (x.size + 1)) if kinds.size > 1 else np.zeros(x.size)
    return scores


def level_p_value(a: Floats, b: Floats, widening: float = 1.0) -> float:
    """Two-sided p-value of a pooled t-test between two levels. ``widening`` divides what each
    run counts for; it is never less than the chance that n + m runs in random order are so
    perfectly apart."""
    from scipy import special

    n, m = a.size, b.size
    squares = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
    free = max((n + m) / widening - 2, 1.0)
    error = math.sqrt(squares / (n + m - 2) * (1 / n + 1 / m) * widening)
    effect = abs(float(b.mean() - a.mean()))
    if effect == 0:
        return 1.0
    p_value = 2 * float(special.stdtr(free, -effect / error)) if error else 0.0
    return max(p_value, math.exp(math.log(2) - _log_choose(n + m, min(n, m))))


def hodges_lehmann(
    a: Floats, b: Floats, widening: float = 1.0, confidence: float = CONFIDENCE
) -> tuple[float, float, float]:
    """``(shift, low, high)``: the median of all differences b - a, with the interval of the
    rank-sum test (normal approximation), which one run far off hardly moves."""
    from scipy import special

    differences = np.sort((b[:, None] - a).ravel())
    n, m = a.size, b.size
    half = float(special.ndtri((1 + confidence) / 2)) * math.sqrt(
        n * m * (n + m + 1) / 12 * widening
    )
    first = max(math.floor(differences.size / 2 - half), 0)
    shift = float(np.median(differences))
    return shift, float(differences[first]), float(differences[-1 - first])


def _shift(a: Floats, b: Floats) -> float:
    return float(np.median(b[:, None] - a))


def _widening(x: Floats) -> float:
    """By how much the variance of a mean of successive runs exceeds that of independent ones:
    (1 + r) / (1 - r) for a correlation r of neighbours.

    r comes from how far apart neighbours and next neighbours are, which a change of level
    hardly moves: their variances have the ratio 1 + r in a series of first order. Differences
    count for at most a few times their median, so that single runs far off don't decide.
    """
    if x.size < 4:
        return 1.0
    near, far = (np.abs(x[step:] - x[:-step]) for step in (1, 2))
    most = _OUTLYING * float(np.median(near))
    if most == 0:
        return 1.0
    near, far = np.minimum(near, most), np.minimum(far, most)
    correlation = float(np.mean(far**2) / np.mean(near**2)) - 1
    correlation = min(max(correlation, 0.0), _MOST_CORRELATED)
    return (1 + correlation) / (1 - correlation)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _logs(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not (np.isfinite(array) & (array > 0)).all():
        wrong = array[~(np.isfinite(array) & (array > 0))][:3]
        raise ValueError(f"{', '.join(f'{value:g}' for value in wrong)} given; wanted times over 0")
    logs: Floats = np.log(array)
    return logs
