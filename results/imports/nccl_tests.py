"""The table that ``all_reduce_perf`` and its siblings of nccl-tests print, or their JSON.

Their GB/s is 10^9 bytes per second, and algbw is size over time. A row has two measurements, out
of place and in place: two records. Host names and environment variables, which both forms hold,
are left where they are.

Source: NVIDIA/nccl-tests, ``doc/PERFORMANCE.md`` and ``src/*.cu`` (``...GetBw``), read 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ..nccom import bus_factor
from ..record import Device, Record
from .collectives import Collective, collective_record, commonest, unnamed_device
from .given import Given
from .nccl_printed import Printed, PrintedHalf, heading_of, read_json, read_table, untagged

PROGRAM = "nccl-tests"

#: algbw times time over size: 1, or (ranks - 1) / ranks in an old all_gather.
_LEAST_RATIO, _MOST_RATIO = 0.45, 1.1
#: A bandwidth is printed with two decimals: below this it is mostly rounding.
_TELLING_GB_PER_S = 1.0
#: Two figures of three digits each, and a time of four.
_SLACK = 0.02


def is_nccl_tests(given: Given) -> bool:
    text = given.text
    if text.lstrip()[:1] == "{":
        return '"bus_bw"' in text and '"alg_bw"' in text
    return any(heading_of(untagged(line)) for line in text.splitlines())


def read_nccl_tests(given: Given) -> list[Record]:
    """Two records a row, out of place and in place. Raises ``ValueError`` with line and field."""
    is_json = given.text.lstrip()[:1] == "{"
    output = read_json(given.text) if is_json else read_table(given.text)
    if not output.halves:
        raise ValueError("a heading of nccl-tests and no row below it: the run ended early")
    _check(output.halves)
    factor, remark = _factor(output)
    device = unnamed_device(commonest(output.devices)) if output.devices else None
    notes = [remark] if remark else []
    if not output.operation or output.ranks is None:
        notes.append("operation or ranks unstated")
    if output.wrong_values is None:
        notes.append("nobody counted wrong values")
    return [
        _record(half, output, factor, given, device, "; ".join(notes)) for half in output.halves
    ]


def _record(
    half: PrintedHalf,
    output: Printed,
    factor: float | None,
    given: Given,
    device: Device | None,
    notes: str,
) -> Record:
    time_s = half.time_us / 1e6
    wrong = half.wrong
    if wrong is None and output.wrong_values:
        # Old releases print an error a row, and the count of wrong values at the end alone.
        wrong = output.wrong_values
    found = Collective(
        operation=output.operation,
        ranks=output.ranks,
        size_bytes=half.size_bytes,
        count=half.count,
        dtype=half.dtype,
        time_s=time_s,
        bus_bytes_per_s=None if factor is None else factor * half.size_bytes / time_s,
        reduction=half.reduction,
        placement=half.placement,
        wrong=wrong,
    )
    return collective_record(found, given, PROGRAM, device, notes)


def _check(halves: Sequence[PrintedHalf]) -> None:
    """Refuses times in another unit than microseconds: the oldest releases printed milliseconds."""
    for half in halves:
        if half.algbw < _TELLING_GB_PER_S:
            continue
        ratio = half.algbw * 1e3 * half.time_us / half.size_bytes
        if not _LEAST_RATIO <= ratio <= _MOST_RATIO:
            raise ValueError(
                f"{half.where}: algbw {half.algbw:g} GB/s, but {half.size_bytes} B in "
                f"{half.time_us:g} µs are {half.size_bytes / half.time_us / 1e3:.2f} GB/s; wanted "
                "microseconds and 10^9 bytes per second, as releases since 2.0 print"
            )


def _factor(output: Printed) -> tuple[float | None, str]:
    """Bus bandwidth over size by time, and a remark on it.

    As the operation has it over its ranks; as printed, where that isn't known or the two differ:
    of reductions in the network the tool counts otherwise.
    """
    telling = [half for half in output.halves if half.busbw >= _TELLING_GB_PER_S]
    printed = [half.busbw * 1e3 * half.time_us / half.size_bytes for half in telling]
    wanted = bus_factor(output.operation, output.ranks)
    if not printed:
        return wanted, ""
    found = median(printed)
    if wanted is None or abs(found - wanted) <= _SLACK * found:
        return found if wanted is None else wanted, ""
    said = f"{output.operation} over {output.ranks} ranks"
    return (
        found,
        f"busbw is {found:.3g} times size over time as printed, and {wanted:.3g} for {said}",
    )
