"""Two runs side by side in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from .columns import Column, Legend, fitted_table, say
from .compare import DiffRow, Side, environment_changes, warnings_about
from .quantity import (
    UNKNOWN,
    format_fraction,
    format_plus_minus,
    format_ratio,
    format_seconds,
)
from .record import Record, Status

_FULL_NOTES_WIDTH = 150
_DROPPED_FIRST = ("±", "by attained", "roof A", "roof B")
#: Ceilings by the letter that stands beside a fraction, in the order looked for.
_LETTERS = {"a": ("attained",), "s": ("datasheet", "derived"), "e": ("engine",)}
_ROOFS = "roof: fraction of the ceiling a attained, s by specification, e by engines"


def print_diff(
    rows: Sequence[DiffRow],
    a: Sequence[Record],
    b: Sequence[Record],
    console: Console | None = None,
) -> None:
    """Print what two runs are, the ratio of each common case, the rest, and what to mind."""
    console = console or Console()
    for name, records in (("A", a), ("B", b)):
        say(console, _describe_run(name, records))
    for change in environment_changes(a, b):
        say(console, f"  {change}", "dim")
    legend = Legend(numbered=console.width < _FULL_NOTES_WIDTH)
    shown = [row for row in rows if _is_shown(row)]
    if shown:
        console.print(difference_table(shown, console.width, legend))
        for line in [_ROOFS, *legend.lines(), *_unexpected(shown)]:
            say(console, line, "dim")
    for presence, said in (("missing", "only in A"), ("new", "only in B")):
        names = [_full_name(row) for row in rows if row.presence == presence]
        if names:
            say(console, f"{said}: {_shorten(names)}")
    console.print()
    say(console, _summary(rows), "bold")
    for warning in warnings_about(a, b):
        say(console, f"note: {warning}")


def difference_table(
    rows: Sequence[DiffRow], width: int = 100, legend: Legend | None = None
) -> Table:
    """Cases that are in both runs. ``B/A`` is of times: below 1, B is faster. Beside it the
    ratio that the specification expects, and each side's fraction of its closest ceiling."""
    legend = legend or Legend(numbered=False)
    columns: list[Column[DiffRow]] = [
        Column("case", "left", _name, folds=True),
        Column("dtype", "left", lambda row: row.dtype),
    ]
    if any(_counterpart(row) for row in rows):
        columns.append(Column("counterpart", "left", _counterpart, folds=True))
    columns += [
        Column("A", "right", lambda row: _time(row.a)),
        Column("B", "right", lambda row: _time(row.b)),
        Column("B/A", "right", lambda row: format_ratio(row.ratio)),
        Column("±", "right", _around),
        Column("by spec", "right", lambda row: format_ratio(row.expected_ratio)),
    ]
    if any("attained" in row.expected for row in rows):
        columns.append(
            Column("by attained", "right", lambda row: format_ratio(row.expected.get("attained")))
        )
    columns += [
        Column("roof A", "right", lambda row: _fraction(row.a, row.b)),
        Column("roof B", "right", lambda row: _fraction(row.b, row.a)),
    ]
    if any(row.notes for row in rows):
        columns.append(Column("notes", "left", lambda row: legend.mark(row.notes), folds=True))
    return fitted_table(columns, rows, width, _DROPPED_FIRST)


def _is_shown(row: DiffRow) -> bool:
    """In both runs, with a result in one of them."""
    sides = (row.a, row.b)
    return row.presence == "both" and any(side and side.status == Status.OK for side in sides)


def _unexpected(rows: Sequence[DiffRow]) -> list[str]:
    """One line for each reason for which the specification expects no ratio."""
    reasons = Counter(row.expected_reason for row in rows if row.expected_reason)
    return [
        f"{UNKNOWN} by spec ({count} of the cases): {reason}" for reason, count in reasons.items()
    ]


def _name(row: DiffRow) -> str:
    mode = "" if row.mode == "eager" else f" {row.mode}"
    return f"{row.workload} {row.configuration}{mode}"


def _full_name(row: DiffRow) -> str:
    side = row.b if row.a is None else row.a
    backend = side.backend if side else ""
    return f"{row.workload}[{row.configuration}-{row.dtype}-{row.mode}-{backend}]"


def _counterpart(row: DiffRow) -> str:
    """What the case is called in B, where that isn't what it is called in A."""
    if row.a is None or row.b is None:
        return ""
    # The backend of a published figure says no more than its origin does.
    names = ["configuration", "mode", *(["backend"] if row.b.origin == row.a.origin else [])]
    return " ".join(
        getattr(row.b, name) for name in names if getattr(row.a, name) != getattr(row.b, name)
    )


def _time(side: Side | None) -> str:
    if side is None:
        return UNKNOWN
    return side.status if side.status != Status.OK else format_seconds(side.time_s)


def _around(row: DiffRow) -> str:
    return UNKNOWN if row.ratio is None else format_plus_minus(row.ratio, row.low, row.high)


def _fraction(side: Side | None, other: Side | None) -> str:
    """The fraction of the first ceiling that both sides know, else of one that this one knows."""
    own = _fractions(side)
    shared = [letter for letter in own if letter in _fractions(other)]
    letter = next(iter(shared or own), None)
    return UNKNOWN if letter is None else f"{format_fraction(own[letter])} {letter}"


def _fractions(side: Side | None) -> dict[str, float]:
    found = {}
    for letter, ceilings in _LETTERS.items():
        for ceiling in ceilings:
            value = side.fractions.get(ceiling) if side else None
            if value is not None:
                found[letter] = value
    return found


def _shorten(names: list[str], limit: int = 5) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _describe_run(name: str, records: Sequence[Record]) -> str:
    if not records:
        return f"{name}: no records"
    first = records[0]
    runs = ", ".join(dict.fromkeys(record.run for record in records))
    label = f" '{first.label}'" if first.label else ""
    devices = dict.fromkeys(r.device.name for r in records if r.device)
    said = f", {' and '.join(devices)}" if devices else ""
    return f"{name}: {runs}{label}, {first.origin}, {first.time}{said}, {len(records)} cases"


def _summary(rows: Sequence[DiffRow]) -> str:
    counts = Counter(row.presence for row in rows)
    ratios = [row.ratio for row in rows if row.ratio is not None]
    line = (
        f"{counts['both']} common cases, {counts['missing']} only in A, {counts['new']} only in B"
    )
    without = sum(row.presence == "both" and not _is_shown(row) for row in rows)
    if without:
        line += f"; {without} without a result in either"
    if ratios:
        line += (
            f"; B/A of {len(ratios)}: median {format_ratio(median(ratios))}, "
            f"from {format_ratio(min(ratios))} to {format_ratio(max(ratios))}"
        )
    return f"{line} (below 1: B is faster)"
