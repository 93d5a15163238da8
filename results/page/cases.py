"""The cases of a run: those with a result, and those without one and why."""

from __future__ import annotations

from collections.abc import Sequence

from ..quantity import UNKNOWN
from ..record import ACCEPTED, Record
from .blocks import Block, Cell, Heading, Notes, Section, Table
from .case_words import (
    case_name,
    explain_flags,
    flags_cell,
    fraction_cell,
    known_ceilings,
    status_cell,
    throughput_cell,
    time_cell,
)
from .runs import PageRun, titles
from .text import count, lower, name, one_line

#: Rows of a table: more is a file for a program, not a page for a person.
MOST_ROWS = 500


def cases_section(runs: Sequence[PageRun]) -> Section | None:
    """A table of results for each run that has some."""
    blocks: list[Block] = []
    for number, (title, run) in enumerate(zip(titles(runs), runs, strict=True), start=1):
        if run.ok:
            blocks.append(_results(title, f"cases-{number}", run.ok))
    if not blocks:
        return None
    everything = [record for run in runs for record in run.ok]
    explained = [*explain_flags(everything), *_unknown_ceilings(everything)]
    blocks += [Notes(explained)] if explained else []
    return Section(
        "cases",
        "Every result",
        "Time of one call when calls are queued, ± the longer arm of its 95 % interval over "
        "processes. A fraction is the least possible time at that ceiling over the time taken.",
        blocks,
    )


def _results(title: str, id_: str, records: list[Record]) -> Table:
    modes = {(r.case.mode, r.case.backend) for r in records}
    ceilings = known_ceilings(records)
    flagged = any(record.flags for record in records)
    headings = [
        Heading("case"),
        Heading("dtype"),
        *([Heading("mode")] if len(modes) > 1 else []),
        Heading("time", figure=True),
        Heading("throughput", figure=True),
        *(Heading(f"of {ceiling}", figure=True) for ceiling in ceilings),
        *([Heading("flags")] if flagged else []),
    ]
    rows = [
        [
            Cell(case_name(record)),
            Cell(name(record.case.dtype)),
            *([Cell(name(f"{record.case.mode} {record.case.backend}"))] if len(modes) > 1 else []),
            time_cell(record),
            throughput_cell(record),
            *(fraction_cell(record, ceiling) for ceiling in ceilings),
            *([flags_cell(record)] if flagged else []),
        ]
        for record in records[:MOST_ROWS]
    ]
    more = len(records) - len(rows)
    note = f"The first {len(rows)} of {count(len(records), 'case')}." if more > 0 else ""
    return Table(id_, f"Results of {title}", headings, rows, note=note, active=True, chosen_by=1)


def _unknown_ceilings(records: Sequence[Record]) -> list[str]:
    """Why a ceiling is unknown, and of how many cases."""
    found: dict[tuple[str, str], int] = {}
    for record in records:
        for roof in record.roofs:
            if roof.fraction is None:
                key = roof.ceiling, roof.reason or "no reason stored"
                found[key] = found.get(key, 0) + 1
    return [
        f"{UNKNOWN} of {ceiling}, {count(number, 'case')}: {one_line(reason)}"
        for (ceiling, reason), number in sorted(found.items(), key=lambda item: -item[1])[:8]
    ]


def failures_section(runs: Sequence[PageRun]) -> Section | None:
    """The cases without a result, failures first, each with what happened and the mend."""
    blocks: list[Block] = []
    for number, (title, run) in enumerate(zip(titles(runs), runs, strict=True), start=1):
        rest = [record for record in run.records if record.status != "OK"]
        if rest:
            rest.sort(key=lambda record: record.status in ACCEPTED)
            blocks.append(_failures(title, f"failures-{number}", rest))
    if not blocks:
        return None
    return Section(
        "failures", "Without a result", "What happened, and what to do about it.", blocks
    )


def _failures(title: str, id_: str, records: list[Record]) -> Table:
    rows = []
    for record in records[:MOST_ROWS]:
        failure = record.failure
        rows.append(
            [
                Cell(case_name(record)),
                Cell(name(f"{record.case.dtype} {record.case.mode} {record.case.backend}")),
                status_cell(record.status),
                Cell(
                    one_line(failure.message) if failure else "no reason stored",
                    more=one_line(failure.mend) if failure else "",
                ),
            ]
        )
    more = len(records) - len(rows)
    note = f"The first {len(rows)} of {count(len(records), 'case')}." if more > 0 else ""
    headings = [Heading("case"), Heading("as"), Heading("status"), Heading("why, and the mend")]
    return Table(
        id_,
        f"Cases of {title} without a result",
        headings,
        rows,
        note=note,
        active=True,
        chosen_by=2,
    )


def describe_rest(records: Sequence[Record]) -> str:
    """``3 unsupported, 1 timeout`` for all that aren't OK; "" where every case is."""
    found: dict[str, int] = {}
    for record in records:
        if record.status != "OK":
            found[lower(record.status)] = found.get(lower(record.status), 0) + 1
    return ", ".join(f"{number} {word}" for word, number in found.items())
