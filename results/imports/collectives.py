"""What a collective took, as a record, whichever program printed it.

Sizes and times are what the programs measured; bandwidths follow from them. The throughput of
such a record is the bus bandwidth in bytes per second: what one link carries, which compares
across operations and numbers of ranks as size over time does not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..exports.escapes import one_line
from ..quantity import format_bytes
from ..record import CaseKey, Device, Estimate, Failure, Record, Status, Summary
from .given import Given

#: Their names of types, as ours; others stay as they are.
_DTYPES = {
    "float": "fp32",
    "float32": "fp32",
    "half": "fp16",
    "float16": "fp16",
    "bfloat16": "bf16",
    "double": "fp64",
    "float64": "fp64",
}
#: Operations that reduce nothing print these.
_NO_REDUCTION = ("", "none")


@dataclass(frozen=True, slots=True)
class Collective:
    """One size of one collective. ``size_bytes`` is what its program calls size.

    ``operation`` is "" and ``ranks`` None where the file doesn't say; ``placement`` is
    "in-place", "out-of-place" or "" where there is no such difference. ``wrong`` counts elements
    that came out wrong, None where nobody counted.
    """

    operation: str
    ranks: int | None
    size_bytes: int
    count: int | None
    dtype: str
    time_s: float
    bus_bytes_per_s: float | None
    reduction: str = ""
    placement: str = ""
    algorithm: str = ""
    wrong: int | None = None


def collective_record(
    found: Collective, given: Given, program: str, device: Device | None, notes: str = ""
) -> Record:
    """The record of one row. A row whose result was wrong is NUMERIC_MISMATCH and keeps its time.

    The time stands in the sustained regime: calls are queued and waited for once.
    """
    bandwidth = found.bus_bytes_per_s
    return Record(
        run=given.run,
        origin="published",
        time=given.modified,
        status=Status.NUMERIC_MISMATCH if found.wrong else Status.OK,
        failure=None
        if not found.wrong
        else Failure(message=f"{found.wrong} elements of the result were wrong"),
        case=_case(found),
        summary=Summary(
            processes=1,
            sustained=Estimate(value=found.time_s),
            throughput=bandwidth,
            throughput_unit="B/s" if bandwidth is not None else None,
        ),
        device=device,
        notes=notes,
        source=f"{program}: {given.name}",
    )


def unnamed_device(name: str, index: int = 0) -> Device:
    """A device by what a program printed: nobody recognised its chip."""
    return Device(
        name=name,
        chip=None,
        chip_reason="imported: the name that its program printed is no proof of a chip",
        share=None,
        index=index,
        cores_used=None,
        memory_bytes=None,
        driver=None,
    )


def commonest(names: list[str]) -> str:
    """The name that most ranks have."""
    return Counter(names).most_common(1)[0][0]


def _case(found: Collective) -> CaseKey:
    params: dict[str, int | float | bool | str] = {"size_bytes": found.size_bytes}
    if found.ranks is not None:
        params["ranks"] = found.ranks
    if found.reduction.lower() not in _NO_REDUCTION:
        params["reduction"] = one_line(found.reduction, 40)
    for name in ("placement", "algorithm"):
        if said := getattr(found, name):
            params[name] = one_line(said, 40)
    size = format_bytes(found.size_bytes).replace(" ", "")
    ranks = f"-{found.ranks}ranks" if found.ranks is not None else ""
    placement = f"-{found.placement}" if found.placement else ""
    return CaseKey(
        workload=found.operation or "collective",
        configuration=f"{size}{ranks}{placement}",
        params=params,
        phase="forward",
        dtype=_DTYPES.get(found.dtype, one_line(found.dtype, 40)) or "unstated",
        mode="unstated",
        backend="published",
        devices=found.ranks or 1,
    )
