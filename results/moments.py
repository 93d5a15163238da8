"""When a record was made, as its text says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

#: A table that others published may give a month or a year: its first day stands for it.
_FIRST = ("", "-01", "-01-01")


def read_moment(text: str) -> datetime:
    """The time in UTC that a text of ISO 8601 names; one that names no zone is of UTC.

    Raises ``ValueError`` for what is no time, or has none in UTC: years go from 1 to 9999.
    """
    for rest in _FIRST:
        try:
            moment = datetime.fromisoformat(text + rest)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise ValueError(f"{text!r:.60} is no time of ISO 8601, such as 2026-11-22T02:17:33Z")


def in_calendar(times: pd.Series[Any]) -> pd.Series[bool]:
    """Of each of these times in UTC, whether it is one and Python's calendar has it: pandas
    goes on before the year 1 and after 9999, and can't print what it has there."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return (times >= first) & (times <= last)


def names_zone(text: str) -> bool:
    """Whether a text names a time to the clock and its zone, and so one moment and no day."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
