"""What compiling costs and when it has paid, in a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from .break_even import BreakEven
from .columns import Column, Legend, Row, fitted_table, say
from .economics import Economics
from .environment_changes import environment_changes
from .frame import frame_of
from .origin import SIMULATED_NOTICE, split_by_origin
from .quantity import UNKNOWN, format_count, format_seconds
from .record import Record, Status
from .store import case_id
from .table import header_lines

_WIDE = 150
_ECONOMICS = (
    "cold: longest compilation with nothing cached (the first of a process starts the compiler "
    "too); warm: median with its code on disk; anew: first call of the same program made again in "
    "the process; files: in the compile cache before and after the first call; hit: proven where "
    "hits were counted and no file was added"
)
_MEMORY = (
    "memory: median of the processes that had the code in their memory already and compiled "
    "nothing; it is no price of compiling, cold or warm"
)
_STATUS = (
    "status: named where it isn't OK; only OK and NOT_STEADY have a price, the samples of any other "
    "are no result"
)
_WITHIN = (
    "paid after: B is the compiled case, A the same one uncompiled; calls after which compiling "
    "has won back its price; at once: cheaper in both; never: dearer in both; undecided: per call "
    "they may be equal"
)
_BREAK_EVEN = (
    "before: paid ahead of the timed calls, c with a cold cache, w with a warm one, u with one "
    "of which nobody knows, m with the code in the process's memory already, f by the first call "
    "of an uncompiled case; paid after: calls after which the one that is faster per call has won "
    "back its price; between: with both times per call at the ends of their intervals; at once: B "
    "is cheaper in both; never: B is dearer in both; undecided: per call they may be equal; "
    "unknown: one of them has no price"
)
_LETTERS = {"cold": "c", "warm": "w", "unknown cache": "u", "memory": "m", "first call": "f"}
#: Columns that are left out where they would be empty, and what they mean.
_RARE = {
    "memory": _MEMORY,
    "notes": "",
    "status": _STATUS,
    "status A": _STATUS,
    "status B": _STATUS,
}
_DROPPED_FIRST = (
    *("stack", "anew", "first call", "graphs"),
    *("paid in", "between", "call A", "call B", "notes"),
)


def print_economics(
    found: Sequence[Economics],
    paid: Sequence[BreakEven],
    records: Sequence[Record],
    console: Console | None = None,
) -> None:
    """Print what each case of one run cost before its first timed call, and for those in
    ``paid`` (see ``break_even.within``) when that has paid."""
    console = console or Console()
    for line in header_lines(records):
        say(console, line, "dim")
    _print_origin(records, console)
    columns: list[Column[Economics]] = [
        Column("case", "left", _name, folds=True),
        Column("dtype", "left", lambda e: e.case.dtype),
        Column("mode", "left", lambda e: e.case.mode),
        Column("status", "left", _status, folds=True),
        Column("cold", "right", lambda e: format_seconds(e.cold_s)),
        Column("warm", "right", lambda e: format_seconds(e.warm_s)),
        Column("memory", "right", lambda e: format_seconds(e.memory_s)),
        Column("anew", "right", lambda e: format_seconds(e.in_process_s)),
        Column("stack", "right", lambda e: format_seconds(e.stack_compile_s)),
        Column("first call", "right", lambda e: format_seconds(e.first_call_s)),
        Column("call", "right", lambda e: format_seconds(e.call_s)),
        Column("graphs", "right", lambda e: UNKNOWN if e.graphs is None else str(e.graphs)),
        Column("files", "right", _files),
        Column("hit", "left", lambda e: _hit(e, wide=console.width >= _WIDE), folds=True),
    ]
    if paid:
        verdicts = {case_id(row.b.case): _pays(row) for row in paid}
        columns.append(Column("paid after", "left", lambda e: verdicts.get(case_id(e.case), "")))
    kept = [column for column in columns if _has_something_to_say(column, found)]
    console.print(fitted_table(kept, found, console.width, _DROPPED_FIRST))
    for line in [_ECONOMICS, *_explain(kept), *([_WITHIN] if paid else [])]:
        say(console, line, "dim")


def print_break_even(
    rows: Sequence[BreakEven],
    a: Sequence[Record],
    b: Sequence[Record],
    console: Console | None = None,
) -> None:
    """Print for each common case when the dearer one has paid."""
    console = console or Console()
    for name, records in (("A", a), ("B", b)):
        for line in header_lines(records)[:2]:
            say(console, f"{name}: {line}", "dim")
    for change in environment_changes(frame_of(a), frame_of(b)):
        say(console, f"  {change}", "dim")
    _print_origin([*a, *b], console)
    legend = Legend(numbered=console.width < _WIDE)
    columns: list[Column[BreakEven]] = [
        Column("case", "left", lambda row: _name(row.a), folds=True),
        Column("dtype", "left", lambda row: row.a.case.dtype),
        Column("mode A", "left", lambda row: row.a.case.mode),
        Column("mode B", "left", lambda row: row.b.case.mode),
        Column("status A", "left", lambda row: _status(row.a), folds=True),
        Column("status B", "left", lambda row: _status(row.b), folds=True),
        Column("before A", "right", lambda row: _before(row.a)),
        Column("before B", "right", lambda row: _before(row.b)),
        Column("call A", "right", lambda row: format_seconds(row.a.call_s)),
        Column("call B", "right", lambda row: format_seconds(row.b.call_s)),
        Column("paid after", "left", _pays),
        Column("between", "left", _between),
        Column("paid in", "right", lambda row: format_seconds(row.total_s)),
    ]
    columns.append(Column("notes", "left", lambda row: legend.mark(row.notes), folds=True))
    if rows:
        kept = [column for column in columns if _has_something_to_say(column, rows)]
        console.print(fitted_table(kept, rows, console.width, _DROPPED_FIRST))
        for line in [_BREAK_EVEN, *_explain(kept), *legend.lines()]:
            say(console, line, "dim")
    counts = Counter(row.verdict for row in rows)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    say(console, f"{len(rows)} common cases: {said}" if rows else "no common case", "bold")


def _has_something_to_say(column: Column[Row], rows: Sequence[Row]) -> bool:
    """Whether a column that few tables need is needed in this one; any other is."""
    return column.name not in _RARE or any(column.cell(row) not in ("", UNKNOWN) for row in rows)


def _explain(columns: Sequence[Column[Row]]) -> list[str]:
    """What the rarer columns among these mean, each said once."""
    return list(dict.fromkeys(_RARE[column.name] for column in columns if _RARE.get(column.name)))


def _print_origin(records: Sequence[Record], console: Console) -> None:
    if split_by_origin(records)[1]:
        console.print(Text(SIMULATED_NOTICE, "bold red"), soft_wrap=True)


def _name(found: Economics) -> str:
    return f"{found.case.workload} {found.case.configuration}"


def _status(found: Economics) -> str:
    """How the case ended, where that is worth a word."""
    return "" if found.status == Status.OK else found.status


def _files(found: Economics) -> str:
    if found.files_before is None or found.files_after is None:
        return UNKNOWN
    return f"{found.files_before} -> {found.files_after}"


def _hit(found: Economics, *, wide: bool) -> str:
    if found.hit is None:
        return UNKNOWN
    return f"{found.hit}: {found.proof}" if wide else found.hit


def _before(found: Economics) -> str:
    if found.upfront is None:
        return UNKNOWN
    return f"{format_seconds(found.upfront_s)} {_LETTERS[found.upfront]}"


def _pays(row: BreakEven) -> str:
    """The verdict in words."""
    if row.verdict in ("at once", "never"):
        return f"B {row.verdict}"
    return row.verdict if row.calls is None else f"{row.winner} {_count(row.calls)} calls"


def _between(row: BreakEven) -> str:
    if row.low is None or row.high is None:
        return UNKNOWN
    return f"{_count(row.low)} to {_count(row.high)}"


def _count(calls: float) -> str:
    """Whole calls: after 12.1 of them the thirteenth is the first that is won."""
    whole = math.ceil(calls)
    return str(whole) if whole < 10_000 else format_count(whole)
