"""The part of a record that becomes columns, decoded without the rest.

``Record`` validates every field, samples included. A frame wants some sixty figures of each
record, and may be of half a million of them: these structures name just those, and the decoder
passes over everything else.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

#: Columns of counts are 64-bit.
Count = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
OneOrMore = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Seconds = Annotated[float, Meta(gt=0)]

NULL = Raw(b"null")


class EstimateRow(Struct, frozen=True, gc=False):
    value: float
    low: float | None = None
    high: float | None = None


class TimeRow(EstimateRow, frozen=True, gc=False):
    value: Seconds
    low: Seconds | None = None


class CaseRow(Struct, frozen=True, gc=False):
    workload: str
    configuration: str
    params: Raw
    phase: str
    dtype: str
    mode: str
    backend: str
    devices: OneOrMore = 1


class SummaryRow(Struct, frozen=True, gc=False):
    processes: Count
    isolated: TimeRow | None = None
    sustained: TimeRow | None = None
    fixed_cost: EstimateRow | None = None
    slope: EstimateRow | None = None
    min_s: float | None = None
    p20_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    throughput: float | None = None
    throughput_unit: str | None = None


class CostRow(Struct, frozen=True, gc=False):
    flops: Count
    bytes_moved: Count
    bytes_useful: Count
    working_set_bytes: Count
    items: Count
    item_unit: str
    flops_counted: Count | None = None
    flops_recomputed: Count = 0
    items_padded: Count = 0


class FootprintRow(Struct, frozen=True, gc=False):
    peak: Count


class RoofRow(Struct, frozen=True, gc=False):
    ceiling: str
    floor_s: float | None = None
    fraction: float | None = None
    bound: str | None = None
    mfu: float | None = None
    hfu: float | None = None
    reason: str = ""


class NumericRow(Struct, frozen=True, gc=False):
    error: float | None = None
    bound: float | None = None


class FailureRow(Struct, frozen=True, gc=False):
    message: str
    kind: str = ""


class SamplesRow(Struct, frozen=True, gc=False):
    calls: OneOrMore
    device_ns: list[float] | None = None


class ProcessRow(Struct, frozen=True, gc=False):
    first_call_ns: Count | None = None
    compile_ns: Count | None = None
    graphs_compiled: Count | None = None
    graph_breaks: Count | None = None
    cache_state: str | None = None
    sustained: SamplesRow | None = None
    split_ns: dict[str, list[float]] = {}
    fallbacks: list[str] = []
    executed_dtype: str | None = None
    peak_memory_bytes: Count | None = None
    clock_hz: float | None = None


class DeviceRow(Struct, frozen=True, gc=False):
    name: str
    chip: str | None = None
    share: float | None = None
    cores_used: Count | None = None
    driver: str | None = None
    facts: dict[str, str | int | float | bool | None] = {}


class EnvironmentRow(Struct, frozen=True, gc=False):
    machine: str | None = None
    boot: str | None = None
    system: str | None = None
    cpu: str | None = None
    threads: Count | None = None
    python: str | None = None
    versions: dict[str, str] = {}
    git: dict[str, str | int | float | bool | None] = {}
    variables: dict[str, str] = {}


class RecordRow(Struct, frozen=True, gc=False):
    """One record. Device and environment stay text: a run has few different ones."""

    run: str
    origin: str
    time: str
    status: str
    case: CaseRow
    schema_version: Count = 1
    label: str = ""
    failure: FailureRow | None = None
    summary: SummaryRow | None = None
    cost: CostRow | None = None
    footprint: FootprintRow | None = None
    roofs: list[RoofRow] = []
    numeric: NumericRow | None = None
    compile_s: float | None = None
    flags: list[str] = []
    processes: list[ProcessRow] = []
    device: Raw = NULL
    environment: Raw = NULL
    source: str = ""


record_decoder = Decoder(RecordRow)
device_decoder = Decoder(DeviceRow | None)
environment_decoder = Decoder(EnvironmentRow | None)
params_decoder = Decoder(dict[str, Count | float | bool | str])
