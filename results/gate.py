"""What a difference must not hold, for CI: classes of findings, each with its exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .compare import Comparison
from .difference import DiffRow
from .difference_table import explain
from .limits import Limit, breaches
from .lines import StoreError
from .record import Status
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Condition:
    """A class of findings: the verdicts, or B's statuses, that are in it. ``in_either``: of the
    regime that doesn't speak for a row, too."""

    name: str
    exit_code: int
    verdicts: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    in_either: bool = False


#: The first of these that is met decides the exit code. Codes below 10 are pytest's.
CONDITIONS = (
    Condition("failing", 10, (Verdict.NEWLY_FAILING,)),
    Condition("numeric", 11, statuses=(Status.NUMERIC_MISMATCH,)),
    Condition("above-roof", 12, statuses=(Status.ABOVE_ROOF,)),
    Condition("slower", 13, (Verdict.SLOWER,), in_either=True),
    Condition("missing", 15, (Verdict.MISSING,)),
    Condition("not-comparable", 16, (Verdict.NOT_COMPARABLE,)),
    Condition("unpaired", 17, (Verdict.UNPAIRED,)),
    Condition("undecided", 18, (Verdict.UNDECIDED,)),
)
#: A limit that isn't kept stands between these: after what is slower, before what is missing.
LIMIT_EXIT_CODE = 14
_NAMES = tuple(condition.name for condition in CONDITIONS)


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a gate is closed."""

    condition: str
    exit_code: int
    message: str


@dataclass(frozen=True, slots=True)
class Gate:
    """``fail_on`` holds names of ``CONDITIONS``; every limit counts."""

    fail_on: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        for name in self.fail_on:
            if name not in _NAMES:
                raise StoreError(f"--fail-on '{name}' given; wanted one of {', '.join(_NAMES)}")


def findings(gate: Gate, comparison: Comparison, b: pd.DataFrame) -> list[Finding]:
    """What closes the gate, the weightiest first; none where it is open. ``b`` is the frame of
    the run that is judged, with all of its cases. Raises ``LimitError`` for a limit that no case
    can be held against."""
    found = [
        Finding(condition.name, condition.exit_code, explain(row))
        for condition in CONDITIONS
        if condition.name in gate.fail_on
        for row in _rows(condition, comparison)
    ]
    found += [
        Finding("limit", LIMIT_EXIT_CODE, str(breach))
        for limit in gate.limits
        for breach in breaches(b, limit)
    ]
    return sorted(found, key=lambda one: one.exit_code)


def _rows(condition: Condition, comparison: Comparison) -> list[DiffRow]:
    if condition.in_either:
        return comparison.rows_with(condition.verdicts)
    if condition.verdicts:
        return comparison.rows_of(condition.verdicts)
    return comparison.rows_of_status(condition.statuses)
