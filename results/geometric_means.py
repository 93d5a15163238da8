"""One figure for a class of cases: the geometric mean of their ratios, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .statistics import Floats, process_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALL = "all"


class GeometricMean(NamedTuple):
    """``ratio`` of the times of so many ``cases``, B over A, with a 95 % t-interval over the cases
    (None for one); ``expected`` is the mean of what the specifications expect, None unless that
    is known for every case of the class."""

    name: str
    cases: int
    ratio: float
    low: float | None
    high: float | None
    expected: float | None


def geometric_means(
    names: Sequence[str], codes: NDArray[np.int64], ratios: Floats, expected: Floats
) -> list[GeometricMean]:
    """Of all cases, and of each class, in the order of ``names``; ``codes`` holds the number of
    each case's class. Cases without a ratio (NaN) are left out; one that is in several pairs
    counts in each."""
    known = np.flatnonzero(np.isfinite(ratios) & (ratios > 0))
    if not known.size:
        return []
    found = [_mean(ALL, ratios[known], expected[known])]
    # Together by class, so that each is looked at once however many there are.
    known = known[np.argsort(codes[known], kind="stable")]
    starts = np.flatnonzero(np.diff(codes[known], prepend=-1))
    if starts.size > 1:
        found += [
            _mean(names[codes[places[0]]], ratios[places], expected[places])
            for places in np.split(known, starts[1:])
        ]
    return found


def _mean(name: str, ratios: Floats, expected: Floats) -> GeometricMean:
    value, low, high = process_estimate(ratios)
    whole = bool(np.isfinite(expected).all())
    mean = float(np.exp(np.log(expected).mean())) if whole else None
    return GeometricMean(name, ratios.size, value, low, high, mean)
