"""What ``nccom-test`` says of collectives, in bytes per second.

The unit trap: its bandwidths are headed "GB/s", which its guide defines as 2^30 bytes per second.
Older releases print so (33554432 B in 768 µs as 40.69), newer ones print 10^9 bytes per second
under the same heading (1048576 B in 23.5 µs as 44.62). Which one a file means is worked out from
its own sizes and times, and a bandwidth is size over time here.

Source: AWS Neuron documentation, "NCCOM-TEST User Guide" (output description, bus bandwidth
calculation, examples), read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import Literal

from .nccom_text import OPERATIONS, PrintedRow, read_printed

Unit = Literal["GB/s", "GiB/s"]
UNITS: dict[Unit, float] = {"GB/s": 1e9, "GiB/s": 2.0**30}

#: A printed bandwidth has two decimals.
HALF_DIGIT = 0.005
#: Beyond rounding; the two units are 7 % apart.
SLACK = 0.005
_WHOLE = frozenset({"sendrecv", "permute"})
_PARTS = frozenset({"all_gather", "reduce_scatter", "all_to_all", "all_to_allv"})


@dataclass(frozen=True, slots=True)
class CollectiveRow:
    """One size of one collective.

    ``time_s`` is the time that the bandwidths are of; ``times_s`` has every statistic by name
    ("avg", "p50"). ``bytes_per_s`` is size over time; ``bus_bytes_per_s`` what one link
    carries, None where neither the unit nor the operation with its ranks is known.
    """

    size_bytes: int
    count: int | None
    dtype: str
    time_s: float
    times_s: dict[str, float]
    bytes_per_s: float
    bus_bytes_per_s: float | None
    algorithm: str | None = None


@dataclass(frozen=True, slots=True)
class Collectives:
    """One run of the tool.

    ``printed_unit`` is what it meant by "GB/s", None where every size is too small to tell.
    ``bus_factor`` is bus over algorithm bandwidth as printed; ``expected_bus_factor`` the one
    that the operation has over these ranks. ``average_bus_bytes_per_s`` is the rows' mean.
    """

    rows: list[CollectiveRow]
    printed_unit: Unit | None
    operation: str | None
    ranks: int | None
    bus_factor: float | None
    expected_bus_factor: float | None
    average_bus_bytes_per_s: float | None
    notes: list[str] = field(default_factory=list)


def read_collectives(
    text: str, operation: str | None = None, ranks: int | None = None
) -> Collectives:
    """The rows of nccom-test's table or of its JSON.

    ``operation`` and ``ranks`` are taken from a command line in the text where they aren't
    given; of a run in sub-groups, give the ranks of one group. Raises ``ValueError``, with what
    to do, for a failed run, for anything else than such a file, and for figures that contradict
    one another: a bandwidth that isn't size over time, a bus factor of another operation, an
    average that isn't of these rows.
    """
    printed = read_printed(text)
    if operation is not None and operation not in OPERATIONS:
        raise ValueError(f"operation '{operation}' given; known: {', '.join(OPERATIONS)}")
    operation = OPERATIONS[operation] if operation else printed.operation
    ranks = ranks or printed.ranks
    unit = _find_unit(printed.rows)
    expected = bus_factor(operation, ranks)
    if expected is not None:
        _check_factor(printed.rows, expected, f"{operation} over {ranks or 'any'} ranks")
    if printed.average is not None:
        _check_average(printed.rows, printed.average)
    rows = [_row(row, unit, expected) for row in printed.rows]
    bus = [row.bus_bytes_per_s for row in rows if row.bus_bytes_per_s is not None]
    notes = []
    if unit is None:
        notes.append("every size is too small to tell whether GB/s meant 10^9 or 2^30 bytes/s")
    if printed.left_out:
        notes.append(f"left out, being no rows of the table: {printed.left_out} lines")
    return Collectives(
        rows=rows,
        printed_unit=unit,
        operation=operation,
        ranks=ranks,
        bus_factor=_printed_factor(printed.rows),
        expected_bus_factor=expected,
        average_bus_bytes_per_s=mean(bus) if bus else None,
        notes=notes,
    )


def bus_factor(operation: str | None, ranks: int | None) -> float | None:
    """Bus over algorithm bandwidth: what one link carries, whatever the number of ranks. None
    where the operation, or the ranks that it takes, aren't known.

    Source: the guide's table "Bus Bandwidth Factor"; the same as nccl-tests'.
    """
    if operation in _WHOLE:
        return 1.0
    if ranks is None:
        return None
    if operation == "all_reduce":
        return 2 * (ranks - 1) / ranks
    return (ranks - 1) / ranks if operation in _PARTS else None


def _find_unit(rows: Sequence[PrintedRow]) -> Unit | None:
    """The unit in which each row's bandwidth is its size over its time."""
    told: dict[Unit, str] = {}
    for row in rows:
        fitting = [unit for unit in UNITS if _fits(row, UNITS[unit])]
        if not fitting:
            per_s = row.size_bytes / row.time_us * 1e6
            said = " or ".join(f"{per_s / scale:.2f} {unit}" for unit, scale in UNITS.items())
            raise ValueError(
                f"{row.where}: algbw {row.algbw:g} printed, but {row.size_bytes} B in "
                f"{row.time_us:g} µs are {said}: the file was changed, or has no mean times (add "
                "avg to --stats)"
            )
        if len(fitting) == 1:
            told.setdefault(fitting[0], row.where)
    if len(told) > 1:
        said = ", ".join(f"{unit} in {where}" for unit, where in told.items())
        raise ValueError(f"algbw is in two units ({said}): give one run of nccom-test at a time")
    return next(iter(told), None)


def _fits(row: PrintedRow, scale: float) -> bool:
    """Whether size over time, in this unit, is what stands there but for rounding."""
    slowest = row.size_bytes / (row.time_us + row.half_us) * 1e6 / scale
    fastest = row.size_bytes / max(row.time_us - row.half_us, 1e-3) * 1e6 / scale
    low, high = row.algbw - HALF_DIGIT, row.algbw + HALF_DIGIT
    return slowest * (1 - SLACK) <= high and fastest * (1 + SLACK) >= low


def _printed_factor(rows: Sequence[PrintedRow]) -> float | None:
    """Of the rows whose rounding leaves it known within 1 %; None where there are none."""
    factors = [row.busbw / row.algbw for row in rows if row.algbw >= 1]
    return median(factors) if factors else None


def _check_factor(rows: Sequence[PrintedRow], expected: float, said: str) -> None:
    for row in rows:
        wanted = row.algbw * expected
        if abs(row.busbw - wanted) > HALF_DIGIT * (1 + expected) + SLACK * wanted:
            raise ValueError(
                f"{row.where}: busbw {row.busbw:g} printed, but algbw {row.algbw:g} is a busbw of "
                f"{wanted:.2f} for {said} (factor {expected:.3g}): state the operation as it was, "
                "and the ranks of one group"
            )


def _check_average(rows: Sequence[PrintedRow], average: float) -> None:
    found = mean(row.busbw for row in rows)
    if abs(found - average) > HALF_DIGIT + 1e-3 * average:
        raise ValueError(
            f"'Avg bus bandwidth' is {average:g} there, the mean of the {len(rows)} rows read is "
            f"{found:.4g}: rows are missing or were changed; give the whole output"
        )


def _row(row: PrintedRow, unit: Unit | None, expected: float | None) -> CollectiveRow:
    bytes_per_s = row.size_bytes / row.time_us * 1e6
    bus: float | None = None
    if expected is not None:
        bus = bytes_per_s * expected
    elif unit is not None:
        bus = row.busbw * UNITS[unit]
    return CollectiveRow(
        size_bytes=row.size_bytes,
        count=row.count,
        dtype=row.dtype,
        time_s=row.time_us / 1e6,
        times_s={name: value / 1e6 for name, value in row.times_us.items()},
        bytes_per_s=bytes_per_s,
        bus_bytes_per_s=bus,
        algorithm=row.algorithm,
    )
