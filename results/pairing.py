"""Two frames held against each other: pairs of rows, and for each pair what can be decided.

Everything here is an array over the pairs, so that half a million of them take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .alignment import Places, align
from .frame_columns import SPECIFICATION
from .record import UNTRIED, WORKING, Status
from .statistics import Floats, standard_errors
from .verdict import Decision, Mask, Rules, Times, Verdict, decide

if TYPE_CHECKING:
    import pandas as pd

REGIMES = ("sustained", "isolated")
#: What two runs of one kind of machine have in common.
_HARDWARE = ("device", "chip", "cpu")
#: Counts that can't differ by more than this between two runs of the same work.
_SAME_WORK = 0.01


@dataclass(frozen=True, slots=True)
class Pairing:
    """``in_a`` and ``in_b``: the row numbers of each pair in ``a`` and ``b``; ``only_a`` and
    ``only_b``: those without a counterpart. All else holds a value a pair: ``expected`` for each
    kind of ceiling, ``beside`` whether both are runs of one kind of machine made at different
    times."""

    a: pd.DataFrame
    b: pd.DataFrame
    in_a: Places
    in_b: Places
    only_a: Places
    only_b: Places
    decision: Decision
    verdicts: NDArray[np.object_]
    expected: dict[str, Floats]
    beside: Mask

    @property
    def aside(self) -> tuple[int, int]:
        """How many rows of A and of B have a counterpart on another kind of device alone."""
        taken = ((self.a, self.in_a, self.only_a), (self.b, self.in_b, self.only_b))
        first, second = (
            len(frame) - np.unique(paired).size - alone.size for frame, paired, alone in taken
        )
        return first, second

    @property
    def compared(self) -> Mask:
        """The pairs that have a ratio."""
        return self.decision.regime >= 0


def pair(
    a: pd.DataFrame, b: pd.DataFrame, rules: Rules, leave_out: tuple[str, ...] = ()
) -> Pairing:
    """Align two frames of one row a case (see ``replicates.fold_runs``), and decide."""
    in_a, in_b, only_a, only_b = align(a, b, leave_out)
    side_a, side_b = _Pairs(a, in_a), _Pairs(b, in_b)
    ok = side_a.equals("status", Status.OK) & side_b.equals("status", Status.OK)
    same_work = _is_same_work(side_a, side_b, leave_out)
    comparable = ok & same_work
    times = tuple(_times(side_a, side_b, regime, comparable) for regime in REGIMES)
    replicated = (side_a.numbers("runs") > 1) & (side_b.numbers("runs") > 1)
    beside = _is_beside(side_a, side_b) & ~replicated
    allowance = np.where(beside, np.maximum(rules.between_runs, 1.0), 1.0)
    decision = decide((times[0], times[1]), rules, allowance)
    verdicts = decision.verdicts.copy()
    _judge_statuses(verdicts, side_a, side_b, ok)
    expected = _expected(side_a, side_b)
    return Pairing(a, b, in_a, in_b, only_a, only_b, decision, verdicts, expected, beside)


class _Pairs:
    """One side of all pairs, by column."""

    def __init__(self, frame: pd.DataFrame, places: Places) -> None:
        self._frame = frame
        self._places = places
        self.count = places.size

    def numbers(self, name: str) -> Floats:
        """A column of figures; NaN is unknown."""
        column = self._frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        values: Floats = column[self._places]
        return values

    def texts(self, name: str) -> NDArray[np.object_]:
        """A column of names; None is unknown."""
        column = self._frame[name].astype("category").cat
        names = np.array([*column.categories, None], dtype=object)
        values: NDArray[np.object_] = names[column.codes.to_numpy()[self._places]]
        return values

    def equals(self, name: str, value: str) -> Mask:
        return self.isin(name, (value,))

    def isin(self, name: str, values: tuple[str, ...]) -> Mask:
        column = self._frame[name].astype("category").cat
        wanted = np.append(column.categories.isin(values), False)
        found: Mask = wanted[column.codes.to_numpy()[self._places]]
        return found


def _is_same_work(a: _Pairs, b: _Pairs, leave_out: tuple[str, ...]) -> Mask:
    """Whether both did as many operations on as many items, as far as both know. Another dtype
    may do its work otherwise, and others count in their own way."""
    same: Mask = np.ones(a.count, dtype=np.bool_)
    if "dtype" in leave_out:
        return same
    for name in ("flops", "items"):
        first, second = a.numbers(name), b.numbers(name)
        with np.errstate(invalid="ignore"):
            same &= ~(np.abs(second - first) > _SAME_WORK * np.maximum(first, second))
    same |= np.not_equal(a.texts("origin"), b.texts("origin")).astype(np.bool_)
    return same


def _is_beside(a: _Pairs, b: _Pairs) -> Mask:
    """Whether a pair is of two runs, of one kind of machine: what changed on it between them is
    in neither interval. Cases of one run are interleaved."""
    beside: Mask = np.not_equal(a.texts("run"), b.texts("run")).astype(np.bool_)
    for name in ("origin", *_HARDWARE):
        beside &= np.equal(a.texts(name), b.texts(name)).astype(np.bool_)
    return beside


def _times(a: _Pairs, b: _Pairs, regime: str, comparable: Mask) -> Times:
    times = []
    for side in (a, b):
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(side.numbers(f"{regime}_s"))
        log[~comparable | ~np.isfinite(log)] = np.nan
        degrees = side.numbers("processes") - 1
        low, high = side.numbers(f"{regime}_low_s"), side.numbers(f"{regime}_high_s")
        times.append((log, standard_errors(low, high, degrees), degrees, side.numbers("runs")))
    (log_a, error_a, free_a, runs_a), (log_b, error_b, free_b, runs_b) = times
    # One run beside several: those say how far apart runs lie, and the one is as far off as any.
    for one, many, error, other, free, count in (
        (runs_a, runs_b, error_a, error_b, (free_a, free_b), runs_b),
        (runs_b, runs_a, error_b, error_a, (free_b, free_a), runs_a),
    ):
        alone = (one == 1) & (many > 1) & np.isfinite(other)
        error[alone] = (other * np.sqrt(1 + count))[alone]
        other[alone] = 0.0
        free[0][alone] = free[1][alone]
    return Times(log_a, log_b, error_a, error_b, free_a, free_b)


def _judge_statuses(verdicts: NDArray[np.object_], a: _Pairs, b: _Pairs, ok: Mask) -> None:
    """Verdicts of the pairs that didn't end OK in both."""
    worked = [side.isin("status", tuple(map(str, WORKING))) for side in (a, b)]
    untried = [side.isin("status", tuple(map(str, UNTRIED))) for side in (a, b)]
    failed = [~one & ~other for one, other in zip(worked, untried, strict=True)]
    status = b.texts("status")
    verdicts[~ok] = status[~ok]
    verdicts[~ok & worked[0] & worked[1]] = Verdict.NOT_COMPARABLE
    # Neither was worth its time for the same reason.
    shared = ~ok & (a.texts("status") == status)
    verdicts[shared] = status[shared]
    verdicts[worked[0] & failed[1]] = Verdict.NEWLY_FAILING
    verdicts[failed[0] & worked[1]] = Verdict.NEWLY_WORKING
    verdicts[~untried[0] & untried[1]] = Verdict.MISSING
    verdicts[untried[0] & ~untried[1]] = Verdict.NEW


def _expected(a: _Pairs, b: _Pairs) -> dict[str, Floats]:
    """Floor of B over floor of A, for each kind of ceiling; NaN where one isn't known."""
    found = {}
    for kind, ceilings in (
        ("specification", SPECIFICATION),
        ("engine", ("engine",)),
        ("measured", ("measured",)),
        ("attained", ("attained",)),
    ):
        first, second = (_floor(side, ceilings) for side in (a, b))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = second / first
        found[kind] = np.where((first > 0) & (second > 0), ratio, np.nan)
    return found


def _floor(side: _Pairs, ceilings: tuple[str, ...]) -> Floats:
    floor = np.full(side.count, np.nan)
    for ceiling in ceilings:
        own = side.numbers(f"floor_{ceiling}_s")
        floor = np.where(np.isnan(floor), own, floor)
    return floor
