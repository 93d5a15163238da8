"""The table and the JSON of ``nccom-test`` as rows, in the units in which it printed them.

Source: AWS Neuron documentation, "NCCOM-TEST User Guide" (output description, examples), read
2026-11-23.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

#: Every name of an operation, and the one that stands here.
OPERATIONS = {
    "all_reduce": "all_reduce",
    "allr": "all_reduce",
    "all_gather": "all_gather",
    "allg": "all_gather",
    "all_gatherv": "all_gatherv",
    "allgv": "all_gatherv",
    "reduce_scatter": "reduce_scatter",
    "redsct": "reduce_scatter",
    "all_to_all": "all_to_all",
    "alltoall": "all_to_all",
    "all_to_allv": "all_to_allv",
    "alltoallv": "all_to_allv",
    "sendrecv": "sendrecv",
    "permute": "permute",
}
#: The tool's own words for "there is no result".
FAILURES = (
    re.compile(r"Neuron DKMS Driver is not running!"),
    re.compile(r"Failure running neuron-bench.*"),
    re.compile(r"[1-9]\d* errors? found - test failed"),
    re.compile(r"nccom-test: error:.*"),
)
_AVERAGE = re.compile(r"Avg bus bandwidth\s*:?\s*(\S*?)(?:GB/s|\s|$)")
_COMMAND = re.compile(r"nccom-test\s+(.*)")
_AS_WRITTEN = "give the output as nccom-test wrote it"
_NO_TABLE = (
    "no output of nccom-test: wanted its table, with 'size(B)' and 'busbw(GB/s)' in the heading, "
    'or the {"results": [...]} of --report-to-json-file'
)


#: A number of ranks: none of 0, and no other script's digits.
_COUNT = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """A row as printed: times in microseconds, bandwidths in a unit yet to be found out.

    ``half_us``: how far the printed time may be from the one that was divided by.
    """

    where: str
    size_bytes: int
    count: int | None
    dtype: str
    times_us: dict[str, float]
    algbw: float
    busbw: float
    algorithm: str | None
    half_us: float

    @property
    def time_us(self) -> float:
        """The mean where there is one: the bandwidths are of it."""
        return self.times_us.get("avg", next(iter(self.times_us.values())))


@dataclass(slots=True)
class Printed:
    """What one output holds; what it doesn't say is None. ``average`` is of the bus bandwidth,
    in the unit printed; ``left_out`` counts lines that belong to no table."""

    rows: list[PrintedRow] = field(default_factory=list)
    average: float | None = None
    operation: str | None = None
    ranks: int | None = None
    left_out: int = 0


def read_printed(text: str) -> Printed:
    """Raises ``ValueError`` for the output of a run that failed, and for anything else."""
    for pattern in FAILURES:
        match = pattern.search(text)
        if match:
            raise ValueError(
                f"nccom-test failed: {' '.join(match.group().split())}; there is no result in "
                "this file: give the output of a run that worked"
            )
    return _read_json(text) if text.lstrip()[:1] in ("{", "[") else _read_table(text)


def _read_json(text: str) -> Printed:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{_NO_TABLE}; no JSON either: {error}") from error
    except RecursionError as error:
        raise ValueError(
            f"{_NO_TABLE}; this JSON has brackets within brackets beyond what can be read: "
            f"{_AS_WRITTEN}"
        ) from error
    results = content.get("results") if isinstance(content, dict) else None
    if not isinstance(results, list) or not results:
        raise ValueError(f'{_NO_TABLE}; this JSON has no filled list "results"')
    printed = Printed()
    for number, row in enumerate(results, start=1):
        columns = row if isinstance(row, dict) else {}
        printed.rows.append(_read_row(columns, f"result {number}"))
    return printed


def _read_table(text: str) -> Printed:
    """The one table of a text, whatever stands around it."""
    printed = Printed()
    names: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        where = f"line {number}"
        if "size(B)" in words and any(word.startswith("busbw(") for word in words):
            if names:
                raise ValueError(f"{where}: a second table; give one run of nccom-test at a time")
            names = words
        elif names:
            _read_line(line, names, where, printed)
        else:
            _read_command(line, printed)
    if not names:
        raise ValueError(_NO_TABLE)
    if not printed.rows:
        raise ValueError("nccom-test printed a heading and no row: the run ended early; repeat it")
    return printed


def _read_command(line: str, printed: Printed) -> None:
    """Operation and ranks, where the line holds the command; the last such line stands."""
    match = _COMMAND.search(line)
    if match is None:
        return
    words = match.group(1).replace('"', " ").split()
    printed.operation = next((OPERATIONS[w] for w in words if w in OPERATIONS), None)
    ranks = (value for flag, value in pairwise(words) if flag in ("-r", "--nworkers"))
    printed.ranks = next((int(value) for value in ranks if _COUNT.fullmatch(value)), None)


def _read_line(line: str, names: list[str], where: str, printed: Printed) -> None:
    """A line below the heading: a row, the average, or another program's."""
    words = line.split()
    average = _AVERAGE.search(line)
    if average:
        printed.average = _number(average.group(1), f"{where}: Avg bus bandwidth")
    elif words and words[0].replace(".", "", 1).isdigit():
        if len(words) != len(names):
            raise ValueError(
                f"{where}: {len(words)} columns given ('{line.strip()[:50]}'), the heading has "
                f"{len(names)}: was the line cut?"
            )
        printed.rows.append(_read_row(dict(zip(names, words, strict=True)), where))
    elif words:
        printed.left_out += 1


def _read_row(columns: Mapping[str, Any], where: str) -> PrintedRow:
    """A row by the names of its columns, in whatever order they stand."""

    def find(prefix: str) -> Any:
        for name, value in columns.items():
            if name.startswith(prefix) and value is not None:
                return value
        given = ", ".join(columns) or "none"
        raise ValueError(f"{where}: no '{prefix}...' among its columns ({given})")

    times = {_statistic(name): columns[name] for name in columns if name.startswith("time")}
    first = times.get("avg", find("time"))
    count, algorithm = columns.get("count(elems)"), columns.get("algorithm")
    return PrintedRow(
        where=where,
        size_bytes=int(_positive(find("size("), f"{where}: size")),
        count=None if count is None else int(_number(count, f"{where}: count")),
        dtype=str(find("type")),
        times_us={
            name: _positive(value, f"{where}: time {name}")
            for name, value in times.items()
            if value is not None
        },
        algbw=_number(find("algbw("), f"{where}: algbw"),
        busbw=_number(find("busbw("), f"{where}: busbw"),
        algorithm=None if algorithm is None else str(algorithm),
        # "768" was rounded to a whole microsecond, "23.5" may be 23.50 or not.
        half_us=0.5 * 10.0 ** -min(len(str(first).partition(".")[2]), 2),
    )


def _statistic(column: str) -> str:
    """What a time is of: "avg" for "time:avg(us)", and for "time(us)", which is the mean."""
    match = re.fullmatch(r"time(?::(\w+))?\(us\)", column)
    if match is None:
        raise ValueError(f"column '{column}' given; wanted microseconds, as 'time:avg(us)'")
    return match.group(1) or "avg"


def _number(value: Any, what: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(
            f"{what}: '{value!s:.40}' given; wanted a number of 0 or more: {_AS_WRITTEN}"
        )
    return number


def _positive(value: Any, what: str) -> float:
    number = _number(value, what)
    if number == 0:
        raise ValueError(f"{what}: '{value}' given; wanted a number above 0: {_AS_WRITTEN}")
    return number
