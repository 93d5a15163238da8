"""What runs on a stack: a matrix of typed outcomes, and what became of them in another run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .alignment import pair_records
from .origin import refuse_mixture
from .record import SEVERITY, CaseKey, Record, Status, is_working

Change = Literal[
    "no longer works",
    "newly works",
    "changed reason",
    "still doesn't",
    "can't tell",
    "only in A",
    "only in B",
    "still works",
]
#: In the order in which a reader wants them.
CHANGES: tuple[Change, ...] = get_args(Change)

UNCOMPILED = ("eager", "lazy")

#: Hashes, and numbers that stand for themselves: that of "float16" is part of a name.
_NUMBER = re.compile(
    r"(?<![\w.])(?:0x[0-9a-f]+|[0-9a-f]{12,}|\d[\d.]*(?:e[+-]?\d+)?)(?!\w)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class MatrixColumn:
    """What stands across: a backend in one of its modes."""

    backend: str
    mode: str


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One operator in one dtype; ``cells`` lacks what wasn't tried. Of several configurations
    that share a cell, the one that ended worst stands there."""

    operator: str
    dtype: str
    cells: dict[MatrixColumn, Record]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What was tried, and how it ended."""

    columns: list[MatrixColumn]
    rows: list[MatrixRow]


@dataclass(frozen=True, slots=True)
class CoverageChange:
    """A case in two runs; ``a`` or ``b`` is None where only the other has it."""

    change: Change
    a: Record | None
    b: Record | None

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON would hold it."""
        return {
            "change": self.change,
            "a": describe_outcome(self.a) if self.a else None,
            "b": describe_outcome(self.b) if self.b else None,
        }


def name_operator(case: CaseKey) -> str:
    """The family, with the operator where it has several: "matmul bmm"."""
    operator = case.params.get("op")
    return f"{case.workload} {operator}" if isinstance(operator, str) else case.workload


def arrange(records: Sequence[Record]) -> Matrix:
    """Operators, and dtypes within each, down; backends, and modes within each, across, the
    uncompiled mode first. All in the order in which ``records`` first name them."""
    rows: dict[tuple[str, str], MatrixRow] = {}
    for record in records:
        case = record.case
        key = name_operator(case), case.dtype
        cells = rows.setdefault(key, MatrixRow(*key, {})).cells
        column = MatrixColumn(case.backend, case.mode)
        cells[column] = max(record, cells.get(column, record), key=_severity)
    dtypes = list(dict.fromkeys(record.case.dtype for record in records))
    operators = list(dict.fromkeys(row.operator for row in rows.values()))
    backends = list(dict.fromkeys(record.case.backend for record in records))
    columns = sorted(
        {column for row in rows.values() for column in row.cells},
        key=lambda c: (backends.index(c.backend), c.mode not in UNCOMPILED, c.mode),
    )
    ordered = sorted(
        rows.values(), key=lambda row: (operators.index(row.operator), dtypes.index(row.dtype))
    )
    return Matrix(columns, ordered)


def compare_coverage(a: Sequence[Record], b: Sequence[Record]) -> list[CoverageChange]:
    """What became of every case, in the order of ``CHANGES``.

    Cases are the same as in ``results.alignment.align``. A reason has changed where the status,
    the kind of failure, or its words without the numbers in them did. Raises ``OriginError``
    where a stand-in would be compared with a device.
    """
    refuse_mixture(a, b)
    pairs = pair_records(a, b)
    paired = {id(record) for pair in pairs for record in pair}
    found = [CoverageChange(_judge(first, second), first, second) for first, second in pairs]
    found += [CoverageChange("only in A", record, None) for record in a if id(record) not in paired]
    found += [CoverageChange("only in B", None, record) for record in b if id(record) not in paired]
    return sorted(found, key=lambda change: CHANGES.index(change.change))


def describe_outcome(record: Record) -> dict[str, Any]:
    """One case as JSON holds it. ``works`` is None where the case wasn't tried; times are of the
    first process that has them."""
    case, numeric = record.case, record.numeric
    return {
        "operator": name_operator(case),
        **case.model_dump(mode="json"),
        "run": record.run,
        "origin": record.origin,
        "status": str(record.status),
        "works": is_working(record.status),
        "failure": record.failure.model_dump(mode="json") if record.failure else None,
        "numeric_error": numeric.error if numeric else None,
        "numeric_bound": numeric.bound if numeric else None,
        "executed_dtype": _first(record, "executed_dtype"),
        "fallbacks": _first(record, "fallbacks") or [],
        "compile_s": record.compile_s,
        "first_call_s": _seconds(_first(record, "first_call_ns")),
        "graphs_compiled": _first(record, "graphs_compiled"),
        "cache_state": _first(record, "cache_state"),
    }


def _judge(a: Record, b: Record) -> Change:
    before, now = is_working(a.status), is_working(b.status)
    if before is None or now is None:
        return "can't tell"
    if before and now:
        return "still works"
    if now:
        return "newly works"
    if before:
        return "no longer works"
    return "still doesn't" if _reason(a) == _reason(b) else "changed reason"


def _reason(record: Record) -> tuple[Status, str, str]:
    """Why a case doesn't work, without the numbers: an error's size and a line of code move."""
    failure = record.failure
    if failure is None:
        return record.status, "", ""
    return record.status, failure.kind, " ".join(_NUMBER.sub("#", failure.message).split())


def _severity(record: Record) -> int:
    return SEVERITY.index(record.status)


def _first(record: Record, name: str) -> Any:
    values = (getattr(process, name) for process in record.processes)
    return next((value for value in values if value not in (None, [])), None)


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e9
