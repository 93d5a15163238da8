"""Histories in a terminal: a block for each run at which something changed, newest first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from .case_history import CaseHistory, Moment, Turn, moments
from .columns import Column, fitted_table, say
from .history import HistoryRules
from .quantity import UNKNOWN, format_plus_minus, format_ratio, format_seconds
from .verdict import Verdict

#: Moments that are shown, and turns of each; the rest is counted.
MOST_MOMENTS = 12
_MOST_TURNS = 12
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARK_WIDTH = 32
_NO_RESULT = "×"
_MOST_FACTS = 8
#: A range this narrow is drawn in the middle: noise of one part in a thousand is no mountain.
_NARROW = 0.01


def print_history(
    histories: Sequence[CaseHistory],
    rules: HistoryRules,
    console: Console | None = None,
    most: int = MOST_MOMENTS,
) -> None:
    """Print what changed at which run, and why as far as it is recorded."""
    console = console or Console()
    found = moments(histories)
    for moment in found[:most]:
        _print_moment(moment, console)
    if len(found) > most:
        say(console, f"and {len(found) - most} runs more at which something changed", "dim")
    if found:
        say(console, "after/before is of the times: above 1, slower; i: isolated calls", "dim")
        console.print()
    say(console, headline(histories), "bold")
    said = unjudged(histories, rules)
    if said:
        say(console, f"note: {said}")


def _print_moment(moment: Moment, console: Console) -> None:
    say(console, f"{moment.time[:10]}  run {moment.run}, {moment.machine}", "bold")
    say(console, f"  changed there: {moment.cause}")
    others = [one for one in moment.environment if one not in moment.cause]
    for change in others[:_MOST_FACTS]:
        say(console, f"  {change}", "dim")
    if len(others) > _MOST_FACTS:
        say(console, f"  and {len(others) - _MOST_FACTS} changes more", "dim")
    console.print(_moment_table(moment.turns[:_MOST_TURNS], console.width))
    more = len(moment.turns) - _MOST_TURNS
    if more > 0:
        say(console, f"and {more} cases more: --json has them all", "dim")
    console.print()


def _moment_table(turns: Sequence[tuple[CaseHistory, Turn]], width: int) -> Table:
    columns: list[Column[tuple[CaseHistory, Turn]]] = [
        Column("verdict", "left", lambda one: one[1].verdict.lower().replace("_", " "), folds=True),
        Column("case", "left", lambda one: _name(one[0]), folds=True),
        Column("dtype", "left", lambda one: one[0].dtype),
        Column("history", "left", lambda one: sparkline(one[0].times_s(_regime(*one)))),
        Column("now", "right", lambda one: _now(*one)),
        Column("after/before", "right", lambda one: format_ratio(one[1].ratio)),
        Column("±", "right", lambda one: _around(one[1])),
        Column("notes", "left", lambda one: _note(*one), folds=True),
    ]
    if not any(_note(*one) for one in turns):
        columns.pop()
    return fitted_table(columns, turns, width, ("±", "now", "dtype"))


def sparkline(times_s: Sequence[float | None], width: int = _SPARK_WIDTH) -> str:
    """One sign for each of at most ``width`` stretches of runs, the median of each, on a
    logarithmic scale; × where none of a stretch has a result."""
    if not times_s:
        return ""
    count = min(width, len(times_s))
    edges = [round(place * len(times_s) / count) for place in range(count + 1)]
    stretches = [
        sorted(time for time in times_s[start:end] if time) for start, end in pairwise(edges)
    ]
    levels = [math.log(one[len(one) // 2]) if one else None for one in stretches]
    known = [level for level in levels if level is not None]
    if not known:
        return _NO_RESULT * count
    low, high = min(known), max(known)
    if high - low < _NARROW:
        low, high = (low + high - _NARROW) / 2, (low + high + _NARROW) / 2
    step = (high - low) / (len(_SPARKS) - 1)
    return "".join(
        _NO_RESULT if level is None else _SPARKS[round((level - low) / step)] for level in levels
    )


def headline(histories: Sequence[CaseHistory]) -> str:
    """``20 changes of level in 17 of 200 cases``, with what wasn't judged and why."""
    runs = {run for history in histories for run in history.runs}
    machines = {history.machine_name for history in histories}
    turns = [(history.name, turn) for history in histories for turn in history.changes]
    where = f"{_count(len(histories), 'case')} on {_count(len(machines), 'kind')} of machine"
    words = [f"{_count(len(runs), 'run')} of {where}: {_levels(turns)}"]
    for verdict, said in (
        (Verdict.NEWLY_FAILING, "stopped working"),
        (Verdict.NEWLY_WORKING, "began to work"),
    ):
        cases = {name for name, turn in turns if turn.verdict == verdict and turn.standing}
        if cases:
            words.append(f"{_count(len(cases), 'case')} {said}")
    unsteady = sum(history.unsteady for history in histories)
    if unsteady:
        words.append(f"in {_count(unsteady, 'case')} the status comes and goes")
    return "; ".join(words)


def _levels(turns: Sequence[tuple[str, Turn]]) -> str:
    changed = [(name, turn) for name, turn in turns if turn.ratio is not None]
    if not changed:
        return "no change of level"
    slower = [turn for _, turn in changed if turn.verdict == Verdict.SLOWER]
    said = f"{_count(len(changed), 'change')} of level in {len({name for name, _ in changed})}"
    said += f" of them, {len(slower)} slower and {len(changed) - len(slower)} faster"
    worst = max((turn.ratio for turn in slower if turn.standing and turn.ratio), default=None)
    return said + (f", the largest that stands {format_ratio(worst)} times" if worst else "")


def unjudged(histories: Sequence[CaseHistory], rules: HistoryRules) -> str:
    """How many cases have too few runs to have a change of level, and what to do; "" for none."""
    few = [history for history in histories if not history.judged]
    if not few:
        return ""
    return (
        f"{_count(len(few), 'case')} of {len(histories)} with fewer than {2 * rules.least_runs} "
        "results of one kind of machine: no change of level can be found there; measure more "
        "often, or compare two runs with trnbench diff"
    )


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def explain_turn(history: CaseHistory, turn: Turn) -> str:
    """A turn in a line: what became of which case, by how much, since when, and why."""
    regime = " (isolated calls)" if turn.regime == "isolated" else ""
    said = f"{turn.verdict} {history.name}{regime} since run {turn.run} ({turn.time[:10]})"
    if turn.ratio is not None and turn.low is not None and turn.high is not None:
        said += f": {format_ratio(turn.ratio)} times the time before"
        said += f" ({format_ratio(turn.low)} to {format_ratio(turn.high)})"
    elif turn.status is not None:
        said += f": {turn.status}"
    return f"{said}; changed there: {turn.cause}"


def _regime(history: CaseHistory, turn: Turn) -> str:
    return turn.regime or history.regime


def _name(history: CaseHistory) -> str:
    mode = "" if history.mode == "eager" else f" {history.mode}"
    devices = "" if history.devices == 1 else f" x{history.devices}"
    return f"{history.workload} {history.configuration}{mode}{devices}"


def _now(history: CaseHistory, turn: Turn) -> str:
    """The newest time, or the status of a case that has none."""
    newest = history.times_s(_regime(history, turn))[-1]
    if newest is None:
        return history.statuses[-1]
    return format_seconds(newest) + (" i" if turn.regime == "isolated" else "")


def _around(turn: Turn) -> str:
    return UNKNOWN if turn.ratio is None else format_plus_minus(turn.ratio, turn.low, turn.high)


def _note(history: CaseHistory, turn: Turn) -> str:
    if history.unsteady and turn.ratio is None:
        return "works in some runs and not in others; this is the newest"
    return "" if turn.standing else "changed again later"
