"""Since when is it slower: changes of level and of status in the stored runs of each case.

Two stored runs of one machine say little about a change; a hundred do. Every case is judged on
each kind of machine by itself, in both regimes, and the tests are adjusted for their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .case_history import CaseHistory, Turn
from .change_points import FLOOR, LEAST_RUNS, Change, Q, find_changes
from .environment_changes import environment_changes, is_of_stack
from .lines import StoreError, read_params
from .machines import MACHINE, name_devices
from .moments import read_moment
from .printable import printable
from .record import Status, is_working
from .series import CASE, REGIMES, Series, make_series
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

#: As a series has its times.
_FORM = "%Y-%m-%dT%H:%M:%SZ"
#: A case that changed its status more often than this has no cause but itself.
_MOST_TURNS = 4


@dataclass(frozen=True, slots=True)
class HistoryRules:
    """``floor``: the smallest effect that matters (0.01 is 1 %). ``q``: the tolerated part of
    false ones among the changes of level. ``least_runs``: the fewest runs of a level. ``last``:
    how many of the newest runs are looked at, None for all."""

    floor: float = FLOOR
    q: float = Q
    least_runs: int = LEAST_RUNS
    last: int | None = None


def find_history(frame: pd.DataFrame, rules: HistoryRules | None = None) -> list[CaseHistory]:
    """The history of every case in the runs of ``frame``, on each kind of machine.

    Raises ``OriginError`` where simulated figures stand beside others.
    """
    rules = rules or HistoryRules()
    frame = name_devices(frame)
    all_series = list(make_series(frame, rules.last))
    tested = [
        (number, regime, np.flatnonzero(np.isfinite(series.times[regime])))
        for number, series in enumerate(all_series)
        for regime in REGIMES
    ]
    tested = [one for one in tested if one[2].size >= 2 * rules.least_runs]
    found = find_changes(
        [all_series[number].times[regime][places] for number, regime, places in tested],
        rules.floor,
        rules.q,
        rules.least_runs,
    )
    causes = _Causes(frame)
    turns: dict[int, list[Turn]] = {}
    for (number, regime, places), changes in zip(tested, found, strict=True):
        own = turns.setdefault(number, [])
        for change, holds in zip(changes, _standing(changes, rules.floor), strict=True):
            at = int(places[change.at])
            if not _is_told(change, at, holds, own, all_series[number], rules):
                own.append(_turn(all_series[number], change, places, regime, causes, holds))
    return [
        _case(series, turns.get(number, []), number in turns, causes)
        for number, series in enumerate(all_series)
    ]


def moment_since(frame: pd.DataFrame, since: str) -> str:
    """The UTC time, such as "2026-11-01T08:30:00Z", that ``since`` means: when the first run
    began whose id begins so, or a date or time of ISO 8601, such as 20261101; the earlier where
    it is both; "" is "".

    Raises ``StoreError`` for anything else.
    """
    if not since:
        return ""
    runs = frame["run"].astype("str").str.startswith(since)
    # A day begins before its first run does: one of the day before may go on into it.
    times = frame.loc[runs, "time"].dropna()
    meant = [f"{times.min():{_FORM}}"] if len(times) else []
    try:
        meant.append(f"{read_moment(since):{_FORM}}")
    except ValueError:
        if not meant:
            raise StoreError(
                printable(
                    f"--since '{since:.100}' given; wanted the beginning of the id of one of "
                    "these runs, or a UTC date or time, such as 20261101 or 2026-11-01T08:30"
                )
            ) from None
    return min(meant)


def _is_told(
    change: Change,
    at: int,
    holds: bool,
    told: Sequence[Turn],
    series: Series,
    rules: HistoryRules,
) -> bool:
    """Whether the sustained time has already said what the isolated one says: the same direction
    within the runs that a cut may be off by. What still holds isn't said by what no longer
    does."""
    runs = series.column("run")
    return any(
        (turn.ratio is not None and (turn.ratio > 1) == (change.ratio > 1))
        and abs(runs.index(turn.run) - at) < rules.least_runs
        and (turn.standing or not holds)
        for turn in told
        if turn.regime != REGIMES[1]
    )


class _Causes:
    """What differs between two runs on one kind of machine, worked out once for each two."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._found: dict[tuple[Any, ...], tuple[tuple[str, ...], str]] = {}

    def find(self, series: Series, before: int, at: int) -> tuple[tuple[str, ...], str]:
        """All recorded changes between two places of a series, and those that a time goes by in
        a sentence. By its own records: a run may have others, on a machine of another kind."""
        runs = series.column("run")
        key = (runs[before], runs[at], *map(series.fact, MACHINE))
        if key not in self._found:
            self._found[key] = self._changes(*series.rows[[before, at]])
        return self._found[key]

    def _changes(self, before: int, at: int) -> tuple[tuple[str, ...], str]:
        changes = tuple(environment_changes(self._frame.iloc[[before]], self._frame.iloc[[at]]))
        stack = [change for change in changes if is_of_stack(change)]
        commit = [change for change in changes if change.startswith("commit:")]
        chosen = stack or commit or list(changes)
        return changes, "; ".join(chosen[:3]) or "nothing that is recorded"


def _standing(changes: Sequence[Change], floor: float) -> list[bool]:
    """Whether each change of a series still holds: no later level is back within ``floor`` of
    the one before it."""
    found = []
    for first, change in enumerate(changes):
        level = 0.0
        holds = True
        for later in changes[first:]:
            level += math.log(later.ratio)
            holds &= (level if change.ratio > 1 else -level) > math.log1p(floor)
        found.append(holds)
    return found


def _turn(
    series: Series,
    change: Change,
    places: Any,
    regime: str,
    causes: _Causes,
    holds: bool,
) -> Turn:
    before, at = int(places[change.at - 1]), int(places[change.at])
    return _make_turn(
        series,
        before,
        at,
        causes,
        Verdict.SLOWER if change.ratio > 1 else Verdict.FASTER,
        standing=holds,
        regime=regime,
        ratio=change.ratio,
        low=change.low,
        high=change.high,
        q_value=change.q_value,
    )


def _make_turn(
    series: Series, before: int, at: int, causes: _Causes, verdict: str, **figures: Any
) -> Turn:
    runs, commits = series.column("run"), series.column("commit")
    environment, cause = causes.find(series, before, at)
    return Turn(
        verdict=str(verdict),
        run=runs[at],
        run_before=runs[before],
        time=series.column("time")[at],
        commit=commits[at],
        commit_before=commits[before],
        cause=cause,
        environment=environment,
        **figures,
    )


def _status_turns(series: Series, causes: _Causes) -> list[Turn]:
    """When a case stopped working or began to, among the runs that tried it."""
    statuses = [Status(value) for value in series.column("status")]
    working = [is_working(status) for status in statuses]
    tried = [place for place, value in enumerate(working) if value is not None]
    turns = [(before, at) for before, at in pairwise(tried) if working[before] != working[at]]
    return [
        _make_turn(
            series,
            before,
            at,
            causes,
            Verdict.NEWLY_WORKING if working[at] else Verdict.NEWLY_FAILING,
            standing=(before, at) == turns[-1],
            status=str(statuses[at]),
            failure=series.column("failure")[at],
        )
        for before, at in turns
    ]


def _case(series: Series, turns: list[Turn], judged: bool, causes: _Causes) -> CaseHistory:
    turned = _status_turns(series, causes)
    unsteady = len(turned) > _MOST_TURNS
    runs = series.column("run")
    changes = [*turns, *(turned[-1:] if unsteady else turned)]
    case = {name: series.fact(name) for name in CASE}
    case["params"] = read_params(case["params"])
    return CaseHistory(
        **case,
        machine={name: series.fact(name) for name in MACHINE},
        runs=tuple(runs),
        times=tuple(series.column("time")),
        commits=tuple(series.column("commit")),
        statuses=tuple(map(str, series.column("status"))),
        sustained_s=_known(series.times["sustained"]),
        isolated_s=_known(series.times["isolated"]),
        judged=judged,
        unsteady=unsteady,
        changes=tuple(sorted(changes, key=lambda turn: (runs.index(turn.run), turn.regime or ""))),
    )


def _known(times: Any) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(time) else float(time) for time in times)
