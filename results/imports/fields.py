"""Fields of an entry that somebody else wrote, each checked where it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..exports.escapes import one_line

LONGEST_TEXT = 200
#: Counts up to here are exact as they stand in JSON (RFC 8259, section 6).
MOST = 2.0**53


def read_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {describe(value)}; wanted an object")  # noqa: TRY004
    return value


def read_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {describe(value)}; wanted a list")  # noqa: TRY004
    return value


def read_text(value: Any, where: str) -> str:
    """One line of at most 200 characters, without control characters."""
    if not isinstance(value, str):
        raise ValueError(f"{where} is {describe(value)}; wanted a text")  # noqa: TRY004
    return one_line(value, LONGEST_TEXT)


def read_number(value: Any, where: str, least: float = 0.0, most: float = MOST) -> float:
    """A finite number; a text that is one counts, since a CSV has nothing else."""
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{where} is {describe(value)}; wanted a number")  # noqa: TRY004
    number = float(number)
    if not math.isfinite(number) or not least <= number <= most:
        raise ValueError(
            f"{where} is {describe(value)}; wanted a finite number, {least:g} to {most:g}"
        )
    return number


def read_seconds(value: Any, where: str) -> float:
    """A time, of at most 30 years: its nanoseconds are a count that 64 bits hold."""
    return read_number(value, where, most=1e9)


def read_count(value: Any, where: str, least: int = 0) -> int:
    number = read_number(value, where, least)
    if not number.is_integer():
        raise ValueError(f"{where} is {describe(value)}; wanted a whole number")
    return int(number)


def whole_ns(seconds: float, where: str) -> int:
    """Nanoseconds of a sample. Raises ``ValueError`` for more than 64 bits hold."""
    ns = round(seconds * 1e9)
    if ns >= 2**63:
        raise ValueError(f"{where}: a sample of {seconds:g} s; wanted less than 292 years")
    return ns


def plain_params(values: Mapping[str, Any]) -> dict[str, int | float | bool | str]:
    """Parameters that a case can have: numbers and texts as they are, everything else as text."""
    params: dict[str, int | float | bool | str] = {}
    for name, value in values.items():
        key = one_line(str(name), LONGEST_TEXT)
        if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= MOST):
            params[key] = value
        elif value is not None:
            params[key] = one_line(str(value), LONGEST_TEXT)
    return params


def describe(value: Any) -> str:
    """A value in an error, short and without anything that a terminal would act on."""
    return "missing" if value is None else f"{one_line(repr(value), 40)}"
