"""A case and its figures as the page's tables and charts word them."""

from __future__ import annotations

from ..quantity import UNKNOWN, format_fraction, format_plus_minus, format_rate, format_seconds
from ..rates import call_time
from ..record import UNTRIED, WORKING, Record, Status
from ..table import CEILINGS, FLAGS, roof_of
from .blocks import Cell, Tone
from .text import lower, name


def case_name(record: Record) -> str:
    """``matmul square-512``: without dtype and mode, which have columns of their own."""
    return name(f"{record.case.workload} {record.case.configuration}")


def full_name(record: Record) -> str:
    """The same with dtype, and with mode where the case isn't eager."""
    mode = "" if record.case.mode == "eager" else f" {record.case.mode}"
    return name(f"{case_name(record)} {record.case.dtype}{mode}")


def sign_of(status: str) -> tuple[str, Tone]:
    """A sign that is read without colour, and the colour."""
    if status == Status.OK:
        return "✓", "good"
    if status == Status.UNSUPPORTED:
        return "–", "muted"
    if status in WORKING:
        return "!", "warn"
    return ("?", "warn") if status in UNTRIED else ("✗", "bad")


def status_cell(status: str) -> Cell:
    """Sign and word."""
    sign, tone = sign_of(status)
    return Cell(f"{sign} {lower(status)}", sort=lower(status), tone=tone)


def time_cell(record: Record) -> Cell:
    """Time of a call with the longer arm of its interval, sorted by seconds."""
    estimate = call_time(record)
    if record.status is not Status.OK:
        return status_cell(record.status)
    if estimate is None:
        return Cell(UNKNOWN)
    around = format_plus_minus(estimate.value, estimate.low, estimate.high)
    more = "" if around == UNKNOWN else f"± {around}"
    return Cell(format_seconds(estimate.value), sort=estimate.value, more=more)


def throughput_cell(record: Record) -> Cell:
    """In the unit that the workload's reader wants."""
    summary = record.summary
    if record.status is not Status.OK or summary is None or summary.throughput is None:
        return Cell(UNKNOWN)
    return Cell(format_rate(summary.throughput, summary.throughput_unit), sort=summary.throughput)


def fraction_cell(record: Record, ceiling: str) -> Cell:
    """Fraction of a ceiling, and what binds."""
    roof = roof_of(record, ceiling)
    if record.status is not Status.OK or roof is None or roof.fraction is None:
        return Cell(UNKNOWN)
    return Cell(
        format_fraction(roof.fraction),
        sort=roof.fraction,
        more=f"by {name(roof.bound)}" if roof.bound else "",
        fraction=min(max(roof.fraction, 0.0), 1.0),
    )


def known_ceilings(records: list[Record]) -> list[str]:
    """Those that at least one case with a result is held against, as the terminal orders them."""
    return [
        ceiling
        for ceiling in CEILINGS
        if any(
            (roof := roof_of(record, ceiling)) is not None and roof.fraction is not None
            for record in records
            if record.status is Status.OK
        )
    ]


def flags_cell(record: Record) -> Cell:
    """The doubts about a case, in words."""
    return Cell(", ".join(lower(flag) for flag in record.flags), tone="muted")


def explain_flags(records: list[Record]) -> list[str]:
    """What each flag that occurs means."""
    seen = dict.fromkeys(flag for record in records for flag in record.flags)
    return [f"{lower(flag)}: {FLAGS[flag]}" for flag in seen if flag in FLAGS]
