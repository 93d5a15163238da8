"""A run as a person reads it in a terminal: where, how fast, how far from each ceiling, what else.

Wide terminals show every column. In narrow ones flags become numbers with a legend below, the
gaps close, names fold, and at last the columns in ``_DROPPED_FIRST`` go one after another until
the rest fits; mode and backend go into the name then. What every case shares (mode, backend) has no column at any width.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .columns import Column, Legend, empty_table, fitted_table, say
from .model_table import print_models
from .origin import SIMULATED_NOTICE, split_by_origin
from .quantity import (
    UNKNOWN,
    format_fraction,
    format_frequency,
    format_plus_minus,
    format_rate,
    format_seconds,
)
from .record import ACCEPTED, Record, RoofData, Status

#: In the order in which a reader wants them, and in which the summary looks for one.
CEILINGS = ("attained", "measured", "derived", "engine", "datasheet")

#: What a flag says, for the legend; others speak for themselves.
FLAGS = {
    "CONTENDED": "less CPU time than wall time: the processor was shared",
    "MORE_WARMUP": "a round of samples wasn't steady, became warm-up, and was taken anew",
    "PREEMPTED": "over a fifth of the samples were switched off the processor",
    "PROCESS_SPREAD": "the processes' medians differ by over 10 %",
    "DRIFT": "the second half of the samples differs from the first by over 5 %",
    "UNSTEADY_PROCESS": "one process found no steady state",
    "THROTTLED": "the device lowered its clock",
    "SINGLE_PROCESS": "one process: no interval",
    "MAY_FUSE": "queued operators may be fused: the sustained figure may be of another program",
    "NOT_MADE_ANEW": "the program couldn't be made a second time in the same process",
    "CHECKED_SMALLER": "numerics were checked on a smaller program of the same code, which was "
    "compiled first: what both share is missing from the compile time",
    "ESTIMATED_COST": "work counted by torch in one call for want of a formula, bytes estimated",
    "GRAPH_BREAKS": "compiled as several graphs, with Python between them",
    "CEILING_STALE": "faster than the attained ceiling, which products and copies reached: measure "
    "it again with trnbench ceiling; where that changes nothing, this operator has faster kernels",
}

_DROPPED_FIRST = (
    *("of datasheet", "of engine", "of derived"),
    *("mode", "backend", "bound", "±", "throughput"),
)
_FULL_FLAGS_WIDTH = 120
_NAMED_CASES = 3


def print_run(
    records: Sequence[Record], path: Path, console: Console, notices: Iterable[str] = ()
) -> None:
    """Print a run: head, table, legend, cases without a result, the sum, and the file.

    What a stand-in for hardware measured has a table of its own, below that of real devices.
    """
    real, simulated = split_by_origin(records)
    if real or not simulated:
        _print_cases(real, console)
    if simulated:
        console.print(Text(SIMULATED_NOTICE, "bold red"), soft_wrap=True)
        _print_cases(simulated, console)
    for notice in notices:
        say(console, f"note: {notice}")
    console.print(Text(f"records: {path}"), soft_wrap=True)


def _print_cases(records: Sequence[Record], console: Console) -> None:
    for line in header_lines(records):
        say(console, line, "dim")
    legend = Legend(numbered=console.width < _FULL_FLAGS_WIDTH, explained=FLAGS)
    if any(record.status is Status.OK for record in records):
        console.print(run_table(records, console.width, legend))
    for line in [*legend.lines(), *unknown_ceilings(records)]:
        say(console, line, "dim")
    print_models(records, console)
    left_out = left_out_table(records)
    if left_out.row_count:
        console.print()
        console.print(left_out)
    console.print()
    say(console, summary_line(records), "bold")


def run_table(records: Sequence[Record], width: int = 100, legend: Legend | None = None) -> Table:
    """The cases that ended OK, a row each: time with interval, throughput, the fraction of each
    ceiling, what binds, flags. At most ``width`` cells wide as far as dropping columns helps."""
    legend = legend or Legend(numbered=False, explained=FLAGS)
    shown = [record for record in records if record.status is Status.OK]
    return fitted_table(
        _columns(shown, legend), shown, width, _DROPPED_FIRST, said_in_name=("mode", "backend")
    )


def unknown_ceilings(records: Sequence[Record]) -> list[str]:
    """One line for each reason for which a ceiling is unknown, and of how many cases."""
    found = Counter(
        (roof.ceiling, roof.reason)
        for record in records
        if record.status is Status.OK
        for roof in record.roofs
        if roof.fraction is None
    )
    return [
        f"{UNKNOWN} of {ceiling} ({count} of the cases): {reason or 'no reason stored'}"
        for (ceiling, reason), count in found.items()
    ]


def left_out_table(records: Sequence[Record]) -> Table:
    """The cases without a valid result: status, case and reason, failures first. Neighbours that
    were refused for one reason share a row; a failure always has its own."""
    table = empty_table()
    table.add_column("status", no_wrap=True, vertical="top")
    table.add_column("no result, and why", overflow="fold")
    failed = [record for record in records if record.status is not Status.OK]
    failed.sort(key=lambda record: record.status in ACCEPTED)
    for (status, reason, _), group in groupby(failed, key=_grouping):
        names = [name_case(record) for record in group]
        more = len(names) - _NAMED_CASES
        said = ", ".join(names[:_NAMED_CASES]) + (f" and {more} more" if more > 0 else "")
        table.add_row(Text(str(status)), Text.assemble(said, "\n", (reason, "dim")))
    return table


def _grouping(record: Record) -> tuple[Status, str, str]:
    own = "" if record.status in ACCEPTED else name_case(record)
    return record.status, _reason(record), own


def _reason(record: Record) -> str:
    """One line: what happened, and the mend."""
    if record.failure is None:
        return ""
    message = " ".join(record.failure.message.split())
    counts = record.status_counts
    if sum(counts.values()) > 1 and len(counts) > 1:
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        message = f"{message} ({said})"
    return f"{message}; {record.failure.mend}" if record.failure.mend else message


def name_case(record: Record) -> str:
    """The name that selects the case again: ``matmul[square-512-fp32-eager-cpu]``."""
    case = record.case
    return f"{case.workload}[{case.configuration}-{case.dtype}-{case.mode}-{case.backend}]"


def summary_line(records: Sequence[Record]) -> str:
    """The best and the worst case by their fraction of one ceiling, and what that covers: how
    many cases, and how many are left out and why. The ceiling is the one known for most cases."""
    shown = [record for record in records if record.status is Status.OK]
    ceiling = max(CEILINGS, key=lambda c: sum(_fraction(r, c) is not None for r in shown))
    ranked = [(value, r) for r in shown if (value := _fraction(r, ceiling)) is not None]
    counts = Counter(str(r.status) for r in records)
    ok = counts.pop(str(Status.OK), 0)
    scope = [f"{ok} of {len(records)} cases OK"]
    if counts:
        scope.append(", ".join(f"{count} {status}" for status, count in counts.most_common()))
    if ranked and ok > len(ranked):
        scope.append(f"{ok - len(ranked)} without a known {ceiling} ceiling not ranked")
    said = "; ".join(scope)
    if not ranked:
        return f"{said}; none has a known ceiling to be held against"
    best, worst = (pick(ranked, key=lambda pair: pair[0]) for pick in (max, min))
    line = f"best: {name_case(best[1])} at {format_fraction(best[0])} of the {ceiling} peak"
    if len(ranked) > 1:
        bound = _bound(worst[1])
        line += f"; worst: {name_case(worst[1])} at {format_fraction(worst[0])}"
        line += f", bound by {bound}" if bound else ""
    return f"{line} ({said})"


def header_lines(records: Sequence[Record]) -> list[str]:
    """Which run this is, and on what it was made."""
    lines = []
    for run in dict.fromkeys(record.run for record in records):
        own = [record for record in records if record.run == run]
        label = f" '{own[0].label}'" if own[0].label else ""
        origins = Counter(record.origin for record in own)
        said = ", ".join(f"{count} {origin}" for origin, count in origins.items())
        mixed = ": not the same kind of figure" if len(origins) > 1 else ""
        lines.append(f"run {run}{label}, {own[-1].time}, {said}{mixed}")
    lines += list(dict.fromkeys(describe_device(record) for record in records if record.device))
    for where in dict.fromkeys(map(_describe_software, records)):
        if where:
            lines.append(where)
    starts = [p.start_s for r in records for p in r.processes if p.start_s is not None]
    if starts:
        lines.append(
            f"{len(starts)} worker{'s' * (len(starts) != 1)} started, {format_seconds(sum(starts))} "
            "in all before the first case of each"
        )
    clocks = [p.clock_hz for r in records for p in r.processes if p.clock_hz is not None]
    if clocks:
        lines.append(
            f"clock {format_frequency(statistics.median(clocks))} (median; "
            f"{format_frequency(min(clocks))} to {format_frequency(max(clocks))})"
        )
    return lines


def describe_device(record: Record) -> str:
    """``neuron: NC_v3, 0.125 of trainium2, 1 core used, driver 2.24``; "" without a device."""
    device = record.device
    if device is None:
        return ""
    parts = [f"{record.case.backend}: {device.name}"]
    if device.chip and device.share is not None:
        parts.append(f"{device.share:g} of {device.chip}")
    if device.cores_used is not None:
        parts.append(f"{device.cores_used} core{'s' * (device.cores_used != 1)} used")
    if device.driver:
        parts.append(f"driver {device.driver}")
    return ", ".join(parts)


def _describe_software(record: Record) -> str:
    where = record.environment
    if where is None:
        return ""
    count = where.threads
    threads = "threads unstated" if count is None else f"{count} thread{'s' * (count != 1)}"
    torch = where.versions.get("torch")
    parts = [threads, *([f"torch {torch}"] if torch else []), f"python {where.python}"]
    return ", ".join([*parts, where.system])


def _columns(records: Sequence[Record], legend: Legend) -> list[Column[Record]]:
    def varies(name: str) -> bool:
        return len({getattr(record.case, name) for record in records}) > 1

    columns: list[Column[Record]] = [
        Column("case", "left", lambda r: f"{r.case.workload} {r.case.configuration}", folds=True),
        Column("dtype", "left", lambda r: r.case.dtype),
    ]
    if varies("mode"):
        columns.append(Column("mode", "left", lambda r: r.case.mode))
    if varies("backend"):
        columns.append(Column("backend", "left", lambda r: r.case.backend))
    columns += [
        Column("time", "right", _time),
        Column("±", "right", _around),
        Column("throughput", "right", _throughput),
    ]
    columns += [
        Column(f"of {ceiling}", "right", partial(_fraction_text, ceiling=ceiling))
        for ceiling in CEILINGS
        # A ceiling that none of the cases knows takes a line below the table, not a column.
        if any(_fraction(record, ceiling) is not None for record in records)
    ]
    columns.append(Column("bound", "left", _bound))
    if any(record.flags for record in records):
        columns.append(Column("flags", "left", lambda r: legend.mark(r.flags), folds=True))
    return columns


def _time(record: Record) -> str:
    estimate = record.summary and (record.summary.sustained or record.summary.isolated)
    return format_seconds(estimate.value) if estimate else UNKNOWN


def _around(record: Record) -> str:
    estimate = record.summary and (record.summary.sustained or record.summary.isolated)
    return format_plus_minus(estimate.value, estimate.low, estimate.high) if estimate else UNKNOWN


def _throughput(record: Record) -> str:
    summary = record.summary
    return format_rate(summary.throughput, summary.throughput_unit) if summary else UNKNOWN


def roof_of(record: Record, ceiling: str) -> RoofData | None:
    """The case held against that ceiling."""
    return next((roof for roof in record.roofs if roof.ceiling == ceiling), None)


def _fraction(record: Record, ceiling: str) -> float | None:
    roof = roof_of(record, ceiling)
    return roof.fraction if roof else None


def _fraction_text(record: Record, ceiling: str) -> str:
    return format_fraction(_fraction(record, ceiling))


def _bound(record: Record) -> str:
    """What binds by the first ceiling that can tell."""
    roofs = (roof_of(record, ceiling) for ceiling in CEILINGS)
    return next((roof.bound for roof in roofs if roof and roof.bound), "")
