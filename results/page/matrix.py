"""Does it run: operators and dtypes down, backends and modes across, typed outcomes within."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..coverage import arrange
from ..coverage_table import MEANINGS
from ..record import Record, Status
from .blocks import Block, Cell, Heading, Notes, Section, Table
from .case_words import sign_of, status_cell
from .runs import PageRun, titles
from .text import count, lower, name

_NO_CASE = Cell("·", sort="", tone="muted")
_MOST_ROWS = 400


def matrix_section(runs: Sequence[PageRun]) -> Section | None:
    """A matrix for each run; None where no run has a record."""
    blocks: list[Block] = [
        _matrix(title, f"matrix-{number}", run.records)
        for number, (title, run) in enumerate(zip(titles(runs), runs, strict=True), start=1)
        if run.records
    ]
    if not blocks:
        return None
    counts = Counter(record.status for run in runs for record in run.records)
    legend = [
        f"{sign_of(status)[0]} {lower(status)}: {count(counts[status], 'case')}, {MEANINGS[status]}"
        for status in Status
        if counts[status]
    ]
    return Section(
        "matrix",
        "Does it run",
        "Of several configurations that share a cell, the one that ended worst stands there.",
        [*blocks, Notes(legend)],
    )


def _matrix(title: str, id_: str, records: Sequence[Record]) -> Table:
    matrix = arrange(records)
    headings = [Heading("operator"), Heading("dtype")]
    headings += [Heading(name(f"{column.backend} {column.mode}")) for column in matrix.columns]
    rows = []
    for row in matrix.rows[:_MOST_ROWS]:
        cells = [Cell(name(row.operator)), Cell(name(row.dtype))]
        for column in matrix.columns:
            record = row.cells.get(column)
            cells.append(_NO_CASE if record is None else status_cell(record.status))
        rows.append(cells)
    more = len(matrix.rows) - len(rows)
    note = f"The first {len(rows)} of {count(len(matrix.rows), 'row')}." if more > 0 else ""
    return Table(id_, f"What ran in {title}", headings, rows, note=note)
