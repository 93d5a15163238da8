"""Where the level of a series of times changed: E-divisive, on logarithms, pure functions.

A series is cut where the energy distance between what lies before and after is largest, as long
as permuting the series seldom finds as large a one; then each part is cut in the same way. What
is left over is judged once more, without resampling: a t-test of winsorised logarithms between
neighbouring levels, times the number of places where the cut might have been. That bound has no
smallest value, as a permutation test has (one in R + 1), so that the tests of ten thousand cases
can be adjusted for their number. Winsorised, because one run in fifty is far off for reasons of
its machine; and with the noise of the whole series, correlation of neighbouring runs included,
because a machine that drifts has episodes that look like levels.

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
from itertools import pairwise

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
_LEAST_BLOCKS = 10
_SEED = 20140401
#: Ends of the later part that a cut is looked for with, so that a level which went and came back
#: is seen: a grid, since the ends themselves are found when that part is cut in its turn.
_ENDS = 16
_MOST_CORRELATED = 0.8
#: Standard deviations from which on a run is far off; and of those a normal's median deviation.
_OUTLYING = 3.0
_NORMAL_MAD = 1.4826


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
    q_values = iter(benjamini_hochberg([p_value for own in p_values for p_value in own]))
    changes = []
    for one, found in zip(logs, candidates, strict=True):
        adjusted = [(test, next(q_values)) for test in found]
        if not found:
            next(q_values)
        kept = [(test, value) for test, value in adjusted if value < q]
        changes.append(_finish(one, kept, floor))
    return changes


@dataclass(frozen=True, slots=True)
class Noise:
    """Of the runs of a series about their level: variance, and correlation of neighbours."""

    variance: float = 0.0
    correlation: float = 0.0

    @property
    def widening(self) -> float:
        """By how much the variance of a mean of successive runs exceeds that of independent
        ones."""
        return (1 + self.correlation) / (1 - self.correlation)

    @property
    def thinning(self) -> float:
        """The part of the runs that as many independent ones would tell of the variance."""
        return (1 - self.correlation**2) / (1 + self.correlation**2)


@dataclass(frozen=True, slots=True)
class _Test:
    at: int
    p_value: float
    effect: float


def _finish(x: Floats, kept: Sequence[tuple[_Test, float]], floor: float) -> list[Change]:
    """Ratios between the levels that are left; without one that has become too small."""
    bounds = [0, *(test.at for test, _ in kept), x.size]
    widening = estimate_noise(_levels(x, bounds)).widening
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
    noise = estimate_noise(_levels(x, bounds))
    while True:
        tests = []
        for start, at, end in _neighbours(bounds):
            p_value = level_p_value(x[start:at], x[at:end], noise)
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


def _levels(x: Floats, bounds: Sequence[int]) -> list[Floats]:
    return [x[start:end] for start, end in pairwise(bounds)]


def _split(x: Floats, least: int) -> list[int]:
    """Where E-divisive cuts a series."""
    found: list[int] = []
    parts = [(0, x.size)]
    while parts:
        start, end = parts.pop()
        if end - start < 2 * least:
            continue
        part = x[start:end]
        at, statistic = largest_divergence(part, least)
        noise = estimate_noise([part[:at], part[at:]])
        # Of fewer blocks than ten no order is a rare one.
        block = min(math.ceil(noise.widening), part.size // _LEAST_BLOCKS)
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


def level_p_value(a: Floats, b: Floats, noise: Noise | None = None) -> float:
    """Two-sided p-value of a t-test between two levels, of winsorised values.

    What lies further from its level's median than three standard deviations (1.4826 times the
    median deviation) counts as just that far. The variance is that of both levels together, or
    the level's own where that is larger, since five runs that a machine disturbed are no level;
    or that of ``noise``, of the whole series, where that is larger still, since these runs were
    chosen for being two levels. Correlated runs count for less. The p-value is never less than
    the chance that n + m runs in random order are so perfectly apart. Source: Tukey and
    McLaughlin, Less vulnerable confidence and significance procedures for location based on a
    single sample (Sankhya A 25, 1963).
    """
    from scipy import special

    n, m = a.size, b.size
    near_a, near_b = _winsorise(a), _winsorise(b)
    effect = abs(float(near_b.mean() - near_a.mean()))
    if effect == 0:
        return 1.0
    noise = noise or Noise()
    squares = float(near_a.var() * n + near_b.var() * m)
    least = max(squares / (n + m - 2), noise.variance)
    variance = max(least, float(near_a.var(ddof=1))) / n + max(least, float(near_b.var(ddof=1))) / m
    error = math.sqrt(variance * noise.widening)
    free = max((n + m) * noise.thinning - 2, 1.0)
    p_value = 2 * float(special.stdtr(free, -effect / error)) if error else 0.0
    return max(p_value, math.exp(math.log(2) - _log_choose(n + m, min(n, m))))


def _winsorise(x: Floats) -> Floats:
    middle = np.median(x)
    most = _OUTLYING * _NORMAL_MAD * float(np.median(np.abs(x - middle)))
    near: Floats = np.clip(x, middle - most, middle + most)
    return near


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


def estimate_noise(levels: Sequence[Floats]) -> Noise:
    """Variance and correlation of neighbouring runs from how far apart neighbours and next
    neighbours within a level are: in a series of first order with variance v and correlation r
    the squares of their differences are 2 v (1 - r) and 2 v (1 - r^2) in the mean, wherever it is
    cut. A difference counts for at most a few times the median one, so that single runs far off
    don't decide."""
    near, far = (
        np.abs(np.concatenate([level[step:] - level[:-step] for level in levels]))
        for step in (1, 2)
    )
    most = _OUTLYING * _NORMAL_MAD * float(np.median(near)) if far.size else 0.0
    if most == 0:
        return Noise()
    near_square, far_square = (float(np.mean(np.minimum(one, most) ** 2)) for one in (near, far))
    correlation = far_square / near_square - 1
    # As much as it may well be, where there is any: taken too small, noise has levels.
    doubt = 1 / math.sqrt(near.size)
    correlation = min(correlation + doubt, _MOST_CORRELATED) if correlation > doubt else 0.0
    return Noise(near_square / 2 / (1 - correlation), correlation)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _logs(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not (np.isfinite(array) & (array > 0)).all():
        wrong = array[~(np.isfinite(array) & (array > 0))][:3]
        raise ValueError(f"{', '.join(f'{value:g}' for value in wrong)} given; wanted times over 0")
    logs: Floats = np.log(array)
    return logs
