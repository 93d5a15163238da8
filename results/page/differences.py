"""What is different from the baseline: a chart of speed-ups and a table, for each further run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..quantity import UNKNOWN, format_fraction, format_ratio, format_seconds
from ..table import CEILINGS
from .blocks import Block, Cell, Heading, Notes, Section, Table, Tone
from .case_words import status_cell
from .speedup import classes_table, format_interval, invert, speedup_chart
from .text import count, lower, name, one_line

if TYPE_CHECKING:
    from ..compare import Comparison
    from ..difference import DiffRow, Side

#: Rows of a table; what matters stands first.
MOST_ROWS = 500
_MOST_NOTES = 12

#: Verdict -> sign and tone. Whatever isn't here is a status in which both sides failed.
VERDICTS: dict[str, tuple[str, Tone]] = {
    "NEWLY_FAILING": ("✗", "bad"),
    "SLOWER": ("▼", "bad"),
    "FASTER": ("▲", "good"),
    "UNPAIRED": ("~", "warn"),
    "NEWLY_WORKING": ("✓", "good"),
    "NOT_COMPARABLE": ("≠", "muted"),
    "MISSING": ("−", "muted"),
    "NEW": ("+", "muted"),
    "UNDECIDED": ("?", "muted"),
    "SAME": ("=", "muted"),
}
MEANINGS = {
    "NEWLY_FAILING": "a result in A and none in B",
    "SLOWER": "by more than the smallest difference that matters, beyond chance",
    "FASTER": "by more than the smallest difference that matters, beyond chance",
    "UNPAIRED": "a difference that may be of the machine's mood: two stored runs of one kind of "
    "machine, made at different times",
    "NEWLY_WORKING": "a result in B and none in A",
    "NOT_COMPARABLE": "not the same work, or a time that isn't to be trusted",
    "MISSING": "only in A",
    "NEW": "only in B",
    "UNDECIDED": "the intervals are too wide to tell, or there are none",
    "SAME": "equal within the smallest difference that matters",
}
#: What a call costs in a unit of silicon or money -> the heading of its column.
_UNITS = {"chip": "per chip", "usd": "per dollar"}


class Column(NamedTuple):
    """A column of the table: its heading, and what a row has to say there."""

    heading: Heading
    cell: Callable[[DiffRow], Cell]


def differences_section(
    comparisons: Sequence[tuple[str, str, Comparison]],
) -> Section | None:
    """Chart and table of each comparison, given with the titles of its two runs."""
    blocks: list[Block] = []
    for number, (a, b, comparison) in enumerate(comparisons, start=1):
        rows = comparison.rows(MOST_ROWS)
        chart = speedup_chart(a, b, f"speedup-{number}", rows)
        classes = classes_table(a, b, f"classes-{number}", comparison)
        blocks += [one for one in (chart, classes) if one is not None]
        blocks.append(_table(a, b, f"differences-{number}", rows, comparison.counts))
        blocks.append(Notes(_explain(comparison.counts)))
    if not blocks:
        return None
    return Section(
        "differences",
        "What is different",
        "Speed-up is the time in the baseline over the time in the run: above 1, the run is "
        "faster (trnbench diff prints the inverse, B/A). Intervals are of 95 %. Expected is the "
        "ratio of the least possible times by the two chips' specifications. In a sentence A is "
        "the baseline and B the run.",
        blocks,
    )


def _explain(counts: Mapping[str, int]) -> list[str]:
    """What each verdict that occurs means."""
    return [
        f"{VERDICTS[verdict][0]} {lower(verdict)}: {count(number, 'case')}, {MEANINGS[verdict]}"
        for verdict, number in counts.items()
        if verdict in MEANINGS
    ]


def verdict_cell(row: DiffRow) -> Cell:
    """Sign and word of a verdict."""
    verdict = str(row.verdict)
    if verdict not in VERDICTS:
        return status_cell(verdict)
    sign, tone = VERDICTS[verdict]
    return Cell(f"{sign} {lower(verdict)}", sort=lower(verdict), tone=tone)


def _table(a: str, b: str, id_: str, rows: Sequence[DiffRow], counts: dict[str, int]) -> Table:
    columns = _columns(a, b, rows)
    total = sum(counts.values())
    note = f"What matters first: {len(rows)} of {count(total, 'case')}." * (total > len(rows))
    return Table(
        id_,
        f"{b} against {a}",
        [column.heading for column in columns],
        [[column.cell(row) for column in columns] for row in rows],
        note=note,
        active=True,
        chosen_by=next(i for i, one in enumerate(columns) if one.heading.label == "verdict"),
    )


def _columns(a: str, b: str, rows: Sequence[DiffRow]) -> list[Column]:
    """Those that have something to say in this comparison."""
    columns = [
        Column(Heading("case"), _case_cell),
        Column(Heading("dtype"), lambda row: Cell(name(row.dtype))),
    ]
    if len({row.mode for row in rows}) > 1:
        columns.append(Column(Heading("mode"), lambda row: Cell(name(row.mode))))
    columns += [
        Column(Heading("verdict"), verdict_cell),
        Column(
            Heading(a, figure=True, explained="time of a call in the baseline"),
            lambda row: _side_cell(row.a),
        ),
        Column(
            Heading(b, figure=True, explained="time of a call in the run"),
            lambda row: _side_cell(row.b),
        ),
        Column(
            Heading("speed-up", figure=True, explained="time in the baseline over that in the run"),
            _speedup_cell,
        ),
    ]
    if any(row.expected_ratio for row in rows):
        expected = Heading("expected", figure=True, explained="speed-up by specification")
        columns.append(Column(expected, lambda row: _inverted(row.expected_ratio)))
    columns += [
        Column(Heading(label, figure=True, explained=f"speed-up {label}"), _unit_cell(unit))
        for unit, label in _UNITS.items()
        # Where a call's share of the silicon is the same on both sides, it says nothing new.
        if any(_differs(row.units.get(unit), row.ratio) for row in rows)
    ]
    if any(row.b and row.b.fractions for row in rows):
        roof = Heading("of roof", figure=True, explained="of the run, and of which ceiling")
        columns.append(Column(roof, lambda row: _fraction_cell(row.b)))
    return [*columns, Column(Heading("why"), _why_cell)]


def _case_cell(row: DiffRow) -> Cell:
    """The case by the baseline's name, and the run's own where that is another."""
    own = row.b.configuration if row.b is not None else row.configuration
    return Cell(
        name(f"{row.workload} {row.configuration}"),
        more="" if own == row.configuration else f"B: {name(own)}",
    )


def _differs(units: float | None, ratio: float | None) -> bool:
    return units is not None and (ratio is None or abs(units / ratio - 1) > 0.001)


def _inverted(ratio: float | None) -> Cell:
    return Cell(format_ratio(invert(ratio)), sort=invert(ratio))


def _unit_cell(unit: str) -> Callable[[DiffRow], Cell]:
    return lambda row: _inverted(row.units.get(unit))


def _side_cell(side: Side | None) -> Cell:
    if side is None:
        return Cell(UNKNOWN, tone="muted")
    if side.status != "OK":
        return status_cell(side.status)
    return Cell(format_seconds(side.time_s), sort=side.time_s)


def _speedup_cell(row: DiffRow) -> Cell:
    speedup = invert(row.ratio)
    return Cell(format_ratio(speedup), sort=speedup, more=format_interval(row.low, row.high))


def _fraction_cell(side: Side | None) -> Cell:
    """Of the first ceiling that is known, attained before specified."""
    fractions = side.fractions if side is not None else {}
    for ceiling in CEILINGS:
        value = fractions.get(ceiling)
        if value is not None:
            return Cell(
                format_fraction(value),
                sort=value,
                more=f"of {ceiling}",
                fraction=min(max(value, 0.0), 1.0),
            )
    return Cell(UNKNOWN)


def _why_cell(row: DiffRow) -> Cell:
    """What the time went to, else what the verdict rests on; doubts and remarks small below."""
    notes = "; ".join(row.notes[:_MOST_NOTES])
    return Cell(one_line(row.cause or row.why), more=one_line(notes))
