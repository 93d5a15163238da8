"""Two runs side by side in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from .columns import Column, Legend, fitted_table, say
from .compare import Comparison
from .difference import DiffRow, Side
from .quantity import (
    UNKNOWN,
    format_fraction,
    format_plus_minus,
    format_ratio,
    format_seconds,
)
from .record import Status
from .verdict import Verdict

#: Rows of the table; the rest is counted.
MOST_ROWS = 40
_FULL_NOTES_WIDTH = 150
_DROPPED_FIRST = ("±", "q", "by attained", "roof A", "roof B", "per usd", "per chip")
#: Ceilings by the letter that stands beside a fraction, in the order looked for.
_LETTERS = {
    "a": ("attained",),
    "m": ("measured",),
    "s": ("datasheet", "derived"),
    "e": ("engine",),
}
_ROOFS = (
    "roof: fraction of the ceiling a attained, m measured by others, s by specification, "
    "e by engines"
)
_UNITS = "per chip, instance, usd: B/A of what one call costs in chip time, instance time, dollars"
#: Verdicts that have a line of their own below the table, as far as there is room.
_EXPLAINED = (
    Verdict.NEWLY_FAILING,
    Verdict.SLOWER,
    Verdict.FASTER,
    Verdict.NEWLY_WORKING,
    Verdict.NOT_COMPARABLE,
)
MOST_EXPLAINED = 12
_MOST_UNPAIRED = 5
_ALONE = (Verdict.MISSING, Verdict.NEW)
_MOST_NAMES = 5
_MOST_CHANGES = 12
#: Explained below the table: memory alone has a note of its own in each row.
_MOST_NOTES = 16
_MOST_MEANS = 12
#: A ratio that is closer to 1 is none.
_NO_CHANGE = 0.001


def print_comparison(
    comparison: Comparison, console: Console | None = None, most: int = MOST_ROWS
) -> None:
    """Print what two runs are, what became of each case, why, and what to mind."""
    console = console or Console()
    say(console, f"A: {comparison.a}")
    say(console, f"B: {comparison.b}")
    for change in _cut(comparison.environment_changes, _MOST_CHANGES, "changes more"):
        say(console, f"  {change}", "dim")
    rows = comparison.rows_of([name for name in comparison.counts if name not in _ALONE], most)
    legend = Legend(numbered=console.width < _FULL_NOTES_WIDTH)
    if rows:
        console.print(difference_table(rows, console.width, legend))
        notes = _cut(legend.lines(), _MOST_NOTES, "notes more: --json has each row's")
        for line in [_ROOFS, *([_UNITS] if _has_units(rows) else []), *notes]:
            say(console, line, "dim")
        for line in _unexpected(rows):
            say(console, line, "dim")
    _print_reasons(comparison, console)
    for verdict, said in (
        (Verdict.MISSING, "only measured in A"),
        (Verdict.NEW, "only measured in B"),
    ):
        alone = comparison.rows_of([verdict], _MOST_NAMES)
        if alone:
            more = comparison.counts[verdict] - len(alone)
            names = ", ".join(row.name for row in alone)
            say(console, f"{said}: {names}" + (f" and {more} more" if more > 0 else ""))
    _print_means(comparison, console)
    console.print()
    say(console, comparison.headline, "bold")
    for warning in comparison.warnings:
        say(console, f"note: {warning}")


def difference_table(
    rows: Sequence[DiffRow], width: int = 100, legend: Legend | None = None
) -> Table:
    """``B/A`` is of times: below 1, B is faster. Beside it the ratio that the specification
    expects, and each side's fraction of its closest ceiling."""
    legend = legend or Legend(numbered=False)
    columns: list[Column[DiffRow]] = [
        Column("verdict", "left", lambda row: row.verdict.lower().replace("_", " "), folds=True),
        Column("case", "left", _name, folds=True),
        Column("dtype", "left", lambda row: row.dtype),
    ]
    if any(_counterpart(row) for row in rows):
        columns.append(Column("counterpart", "left", _counterpart, folds=True))
    columns += [
        Column("A", "right", lambda row: _time(row.a, row)),
        Column("B", "right", lambda row: _time(row.b, row)),
        Column("B/A", "right", lambda row: format_ratio(row.ratio)),
        Column("±", "right", _around),
    ]
    if any(_is_expected_to_differ(row) for row in rows):
        columns.append(Column("by spec", "right", lambda row: format_ratio(row.expected_ratio)))
        if any("attained" in row.expected for row in rows):
            columns.append(
                Column(
                    "by attained", "right", lambda row: format_ratio(row.expected.get("attained"))
                )
            )
        columns += [
            Column(f"per {unit}", "right", _per(unit))
            for unit in ("chip", "instance", "usd")
            if any(unit in row.units for row in rows)
        ]
    columns += [
        Column("roof A", "right", lambda row: _fraction(row.a, row.b)),
        Column("roof B", "right", lambda row: _fraction(row.b, row.a)),
    ]
    if any(row.notes for row in rows):
        columns.append(Column("notes", "left", lambda row: legend.mark(row.notes), folds=True))
    return fitted_table(columns, rows, width, _DROPPED_FIRST)


def explain(row: DiffRow) -> str:
    """A row in a line: what became of the case, by how much, and what it went to."""
    cause = f"; {row.cause}" if row.cause else ""
    regime = " (isolated calls)" if row.regime == "isolated" else ""
    return f"{row.verdict} {row.name}{regime}: {row.why}{cause}"


def _print_reasons(comparison: Comparison, console: Console) -> None:
    """A line for each row that says something; what can't be decided gives a few examples."""
    rows = comparison.rows_of(_EXPLAINED, MOST_EXPLAINED)
    rows += comparison.rows_of([Verdict.UNPAIRED], min(_MOST_UNPAIRED, MOST_EXPLAINED - len(rows)))
    if not rows:
        return
    console.print()
    for row in rows:
        say(console, explain(row))
    told = (*_EXPLAINED, Verdict.UNPAIRED)
    more = sum(comparison.counts.get(verdict, 0) for verdict in told) - len(rows)
    if more > 0:
        say(console, f"and {more} more such lines: --json has them all", "dim")


def _print_means(comparison: Comparison, console: Console) -> None:
    means = comparison.geometric_means
    if len(means) < 2:
        return
    console.print()
    for mean in means[:_MOST_MEANS]:
        line = f"{mean.name} ({mean.cases}): B/A {format_ratio(mean.ratio)}"
        if mean.low is not None and mean.high is not None:
            line += f", {format_ratio(mean.low)} to {format_ratio(mean.high)}"
        if mean.expected is not None and abs(mean.expected - 1) > _NO_CHANGE:
            line += f", by specification {format_ratio(mean.expected)}"
        say(console, f"geometric mean of {line}", "dim")
    if len(means) > _MOST_MEANS:
        say(console, f"and {len(means) - _MOST_MEANS} classes more", "dim")


def _is_expected_to_differ(row: DiffRow) -> bool:
    """Whether the two sides are different silicon, or have different parts of it."""
    if row.a is None or row.b is None:
        return False
    if row.expected_ratio is not None and abs(row.expected_ratio - 1) > _NO_CHANGE:
        return True
    return (row.a.device, row.a.chip, row.a.backend) != (row.b.device, row.b.chip, row.b.backend)


def _has_units(rows: Sequence[DiffRow]) -> bool:
    return any(_is_expected_to_differ(row) and len(row.units) > 1 for row in rows)


def _per(unit: str) -> Callable[[DiffRow], str]:
    return lambda row: format_ratio(row.units.get(unit))


def _unexpected(rows: Sequence[DiffRow]) -> list[str]:
    """One line for each reason for which the specification expects no ratio, of the rows where
    one is wanted."""
    reasons = Counter(
        row.expected_reason
        for row in rows
        if row.expected_reason and row.ratio is not None and _is_expected_to_differ(row)
    )
    return [
        f"{UNKNOWN} by spec ({count} of the cases): {reason}" for reason, count in reasons.items()
    ]


def _name(row: DiffRow) -> str:
    mode = "" if row.mode == "eager" else f" {row.mode}"
    devices = "" if row.devices == 1 else f" x{row.devices}"
    return f"{row.workload} {row.configuration}{mode}{devices}"


def _counterpart(row: DiffRow) -> str:
    """What the case is called in B, where that isn't what it is called in A."""
    if row.a is None or row.b is None:
        return ""
    # The backend of a published figure says no more than its origin does.
    names = ["configuration", "mode", *(["backend"] if row.b.origin == row.a.origin else [])]
    return " ".join(
        getattr(row.b, name) for name in names if getattr(row.a, name) != getattr(row.b, name)
    )


def _time(side: Side | None, row: DiffRow) -> str:
    if side is None:
        return UNKNOWN
    if side.status != Status.OK:
        return side.status
    mark = " i" if row.regime == "isolated" else ""
    return f"{format_seconds(side.time_s)}{mark}"


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


def _cut(lines: Sequence[str], most: int, what: str) -> list[str]:
    more = len(lines) - most
    return [*lines[:most], *([f"and {more} {what}"] if more > 0 else [])]
