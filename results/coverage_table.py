"""What runs on a stack, in a terminal: the matrix, its legend, and what to do about the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .columns import empty_table, say
from .coverage import CHANGES, CoverageChange, arrange
from .environment_changes import environment_changes
from .frame import frame_of
from .origin import SIMULATED_NOTICE, split_by_origin
from .record import ACCEPTED, Record, Status, is_working
from .table import header_lines, left_out_table, name_case

MEANINGS = {
    Status.OK: "ran on the device, and its output is right",
    Status.UNSUPPORTED: "the stack has no such operator, dtype or mode",
    Status.SKIPPED: "not tried",
    Status.NOT_STEADY: "ran and is right; its times don't settle",
    Status.BUSY_DEVICE: "not tried: somebody else held the device",
    Status.FALLBACK_TO_CPU: "a part of it ran on the host",
    Status.RECOMPILED: "ran and is right; compiled again while it was timed",
    Status.ABOVE_ROOF: "ran and is right; faster than the device can be",
    Status.NUMERIC_MISMATCH: "ran, and its output is wrong",
    Status.BUILD_ERROR: "the workload itself failed",
    Status.COMPILE_ERROR: "the compiler, or the first call, failed",
    Status.RUNTIME_ERROR: "failed while it ran",
    Status.OUT_OF_MEMORY: "did not fit the memory",
    Status.TIMEOUT: "took longer than the limit",
    Status.CRASHED: "took its process with it",
}
_UNTRIED = "·"
_NAMED_CASES = 5


def print_coverage(records: Sequence[Record], path: Path, console: Console | None = None) -> None:
    """Print a run as a matrix. A stand-in for hardware has one of its own, and says so."""
    console = console or Console()
    real, simulated = split_by_origin(records)
    if real or not simulated:
        _print_matrix(real, console)
    if simulated:
        console.print(Text(SIMULATED_NOTICE, "bold red"), soft_wrap=True)
        _print_matrix(simulated, console)
    console.print(Text(f"records: {path}"), soft_wrap=True)


def _print_matrix(records: Sequence[Record], console: Console) -> None:
    for line in header_lines(records):
        say(console, line, "dim")
    console.print(matrix_table(records))
    for line in legend_lines(records):
        say(console, line, "dim")
    rest = left_out_table(records)
    if rest.row_count:
        console.print()
        console.print(rest)
    console.print()
    say(console, summary_line(records), "bold")


def matrix_table(records: Sequence[Record]) -> Table:
    """A row for each operator and dtype, a column for each backend and mode."""
    matrix = arrange(records)
    table = empty_table()
    table.add_column("operator", overflow="fold", vertical="top")
    table.add_column("dtype", no_wrap=True, vertical="top")
    for column in matrix.columns:
        table.add_column(Text(f"{column.backend}\n{column.mode}"), overflow="fold", vertical="top")
    shown = ""
    for row in matrix.rows:
        cells = [row.cells.get(column) for column in matrix.columns]
        name = "" if row.operator == shown else row.operator
        table.add_row(Text(name), row.dtype, *(_cell(record) for record in cells))
        shown = row.operator
    return table


def legend_lines(records: Sequence[Record]) -> list[str]:
    """Each status that occurs, with its sign, how often, and what it means."""
    counts = Counter(record.status for record in records)
    lines = [
        f"{_sign(status)} {_word(status)}: {counts[status]}, {MEANINGS[status]}"
        for status in Status
        if counts[status]
    ]
    matrix = arrange(records)
    if any(len(row.cells) < len(matrix.columns) for row in matrix.rows):
        lines.append(f"{_UNTRIED}: no such case in this run")
    return lines


def summary_line(records: Sequence[Record]) -> str:
    """``72 cases: 60 work, 8 unsupported, 4 fail``."""
    working = sum(is_working(record.status) is True for record in records)
    accepted = Counter(r.status for r in records if r.status in ACCEPTED and r.status != Status.OK)
    untried = sum(is_working(r.status) is None and r.status not in ACCEPTED for r in records)
    failing = len(records) - working - sum(accepted.values()) - untried
    parts = [f"{working} work", *(f"{n} {_word(status)}" for status, n in accepted.items())]
    parts += [f"{untried} not tried"] if untried else []
    return f"{len(records)} cases: {', '.join(parts)}, {failing} fail"


def print_coverage_changes(
    changes: Sequence[CoverageChange],
    a: Sequence[Record],
    b: Sequence[Record],
    console: Console | None = None,
) -> None:
    """Print what two runs are, what differs around them, and what became of each case."""
    console = console or Console()
    for name, records in (("A", a), ("B", b)):
        for line in header_lines(records)[:2] or ["no records"]:
            say(console, f"{name}: {line}")
    for change in environment_changes(frame_of(a), frame_of(b)):
        say(console, f"  {change}", "dim")
    if any(record.origin == "simulated" for record in (*a, *b)):
        console.print(Text(SIMULATED_NOTICE, "bold red"), soft_wrap=True)
    listed = [c for c in changes if c.a and c.b and c.change != "still works"]
    if listed:
        console.print(changes_table(listed))
    for only in ("only in A", "only in B"):
        alone = [side for c in changes if c.change == only for side in (c.a, c.b) if side]
        names = [name_case(record) for record in alone]
        if names:
            more = len(names) - _NAMED_CASES
            rest = f" and {more} more" if more > 0 else ""
            say(console, f"{only}: {', '.join(names[:_NAMED_CASES])}{rest}")
    counts = Counter(change.change for change in changes)
    said = ", ".join(f"{counts[name]} {name}" for name in CHANGES if counts[name])
    say(console, said or "no case in either run", "bold")


def changes_table(changes: Sequence[CoverageChange]) -> Table:
    """A row for each case of both runs: with what it says in B, or in A where it works in B."""
    table = empty_table()
    table.add_column("change", no_wrap=True, vertical="top")
    table.add_column("case, and why", overflow="fold")
    table.add_column("A", overflow="fold", vertical="top")
    table.add_column("B", overflow="fold", vertical="top")
    shown = ""
    for change in changes:
        if change.a is None or change.b is None:
            raise ValueError(f"a case of one run given ('{change.change}'); wanted those of both")
        names = list(dict.fromkeys(name_case(record) for record in (change.a, change.b)))
        why = _why(change.a if is_working(change.b.status) else change.b)
        text = Text.assemble(" -> ".join(names), (f"\n{why}" if why else "", "dim"))
        style = {"no longer works": "red", "newly works": "green"}.get(change.change, "")
        heading = "" if change.change == shown else change.change
        table.add_row(Text(heading, style), text, _cell(change.a), _cell(change.b))
        shown = change.change
    return table


def _why(record: Record) -> str:
    if record.failure is None:
        return ""
    message = " ".join(record.failure.message.split())
    return f"{message}; {record.failure.mend}" if record.failure.mend else message


def _cell(record: Record | None) -> Text:
    if record is None:
        return Text(_UNTRIED, "dim")
    status = record.status
    style = {True: "green", False: "red", None: "yellow"}[is_working(status)]
    return Text(
        f"{_sign(status)} {_word(status)}", "yellow" if status is Status.UNSUPPORTED else style
    )


def _sign(status: Status) -> str:
    if status is Status.UNSUPPORTED:
        return "-"
    return {True: "✓", False: "✗", None: "?"}[is_working(status)]


def _word(status: Status) -> str:
    """The status in words, which a narrow column may break."""
    return status.value if status is Status.OK else status.value.replace("_", " ").lower()
