"""The columns of a frame of records: their names, their types, and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from statistics import median
from typing import Any, NamedTuple

from .row import (
    CostRow,
    EstimateRow,
    FailureRow,
    FootprintRow,
    NumericRow,
    ProcessRow,
    RecordRow,
    RoofRow,
    SummaryRow,
)

CEILINGS = ("datasheet", "engine", "derived", "measured", "attained")
#: What a specification promises: a CPU's peak is derived from its microarchitecture, another
#: chip's is in its datasheet. One stands against the other.
SPECIFICATION = ("datasheet", "derived")

CATEGORIES = (
    "workload",
    "configuration",
    "dtype",
    "mode",
    "backend",
    "phase",
    "status",
    "throughput_unit",
    "item_unit",
    "bound",
    "roof_reason",
    "label",
    "run",
    "origin",
    "device",
    "chip",
    "instance",
    "driver",
    "cpu",
    "machine",
    "boot",
    "system",
    "python",
    "commit",
    "lnc",
)
INTEGERS = (
    "devices",
    "processes",
    "flops",
    "flops_counted",
    "bytes_moved",
    "bytes_useful",
    "working_set_bytes",
    "flops_recomputed",
    "items",
    "items_padded",
    "footprint_bytes",
    "peak_memory_bytes",
    "graphs",
    "graph_breaks",
    "threads",
    "cores_used",
)
FLOATS = (
    "isolated_s",
    "isolated_low_s",
    "isolated_high_s",
    "sustained_s",
    "sustained_low_s",
    "sustained_high_s",
    "fixed_cost_s",
    "fixed_cost_low_s",
    "fixed_cost_high_s",
    "slope_s",
    "slope_low_s",
    "slope_high_s",
    "device_s",
    "min_s",
    "p20_s",
    "p95_s",
    "p99_s",
    "throughput",
    "items_per_s",
    "items_per_chip_s",
    "items_per_usd",
    *(f"floor_{ceiling}_s" for ceiling in CEILINGS),
    *(f"fraction_{ceiling}" for ceiling in CEILINGS),
    *(f"mfu_{ceiling}" for ceiling in CEILINGS),
    *(f"hfu_{ceiling}" for ceiling in CEILINGS),
    "numeric_error",
    "numeric_bound",
    "compile_s",
    "compile_cold_s",
    "compile_warm_s",
    "first_call_s",
    "share",
    "clock_hz",
)
#: Figures that a record's own checks hold to be above 0 where they are known.
ABOVE_ZERO = (
    "devices",
    "isolated_s",
    "isolated_low_s",
    "sustained_s",
    "sustained_low_s",
)
TEXTS = ("params", "flags", "failure", "failure_kind", "fallbacks", "executed_dtype", "source")
TIME = "time"
#: Columns whose names depend on the records.
EXTRA_PREFIXES = ("param.", "version.", "variable.")

#: Those that a record has once for its device and once for its environment.
DEVICE_COLUMNS = ("device", "chip", "instance", "driver", "lnc", "share", "cores_used")
ENVIRONMENT_COLUMNS = ("cpu", "machine", "boot", "system", "python", "commit", "threads")

_ESTIMATES = ("isolated", "sustained", "fixed_cost", "slope")
_ABSENT: Any = None


class ProcessFigures(NamedTuple):
    """What the processes of a record say together."""

    executed_dtype: str | None = None
    peak_memory_bytes: int | None = None
    clock_hz: float | None = None
    compile_cold_s: float | None = None
    compile_warm_s: float | None = None
    first_call_s: float | None = None
    graphs: int | None = None
    graph_breaks: int | None = None
    device_s: float | None = None
    fallbacks: str = ""


_NO_ESTIMATE = EstimateRow(_ABSENT)
_NO_SUMMARY = SummaryRow(_ABSENT)
_NO_COST = CostRow(*([_ABSENT] * 9))
_NO_FOOTPRINT = FootprintRow(_ABSENT)
_NO_NUMERIC = NumericRow()
_NO_FAILURE = FailureRow(_ABSENT, _ABSENT)
_NO_ROOF = RoofRow("")
_NO_PROCESSES = ProcessFigures()


def case_columns(rows: Sequence[RecordRow]) -> dict[str, list[Any]]:
    """Every column that a record has a value of its own for, by name; None is unknown."""
    columns: dict[str, list[Any]] = {}
    _take(columns, rows, ("run", "origin", "time", "status", "label", "source", "compile_s"))
    columns["flags"] = [" ".join(row.flags) for row in rows]
    cases = [row.case for row in rows]
    names = ("workload", "configuration", "phase", "dtype", "mode", "backend", "devices")
    _take(columns, cases, names)
    summaries = [row.summary or _NO_SUMMARY for row in rows]
    names = ("processes", "min_s", "p20_s", "p95_s", "p99_s", "throughput", "throughput_unit")
    _take(columns, summaries, names)
    for name in _ESTIMATES:
        estimates = [getattr(summary, name) or _NO_ESTIMATE for summary in summaries]
        columns[f"{name}_s"] = [estimate.value for estimate in estimates]
        columns[f"{name}_low_s"] = [estimate.low for estimate in estimates]
        columns[f"{name}_high_s"] = [estimate.high for estimate in estimates]
    costs = [row.cost or _NO_COST for row in rows]
    _take(columns, costs, ("item_unit", *(name for name in INTEGERS if hasattr(_NO_COST, name))))
    columns["footprint_bytes"] = [(row.footprint or _NO_FOOTPRINT).peak for row in rows]
    numerics = [row.numeric or _NO_NUMERIC for row in rows]
    columns["numeric_error"] = [numeric.error for numeric in numerics]
    columns["numeric_bound"] = [numeric.bound for numeric in numerics]
    failures = [row.failure or _NO_FAILURE for row in rows]
    columns["failure"] = [failure.message for failure in failures]
    columns["failure_kind"] = [failure.kind for failure in failures]
    _take_roofs(columns, rows)
    folded = [_fold(row.processes) if row.processes else _NO_PROCESSES for row in rows]
    _take(columns, folded, ProcessFigures._fields)
    return columns


def _take(columns: dict[str, list[Any]], rows: Sequence[Any], names: Iterable[str]) -> None:
    for name in names:
        columns[name] = list(map(attrgetter(name), rows))


def _take_roofs(columns: dict[str, list[Any]], rows: Sequence[RecordRow]) -> None:
    """Floor and fractions per ceiling; ``bound`` is of the last ceiling that names one, which is
    the attained one where there is one."""
    roofs = [{roof.ceiling: roof for roof in row.roofs} for row in rows]
    present = {ceiling for found in roofs for ceiling in found}
    bound: list[str | None] = [None] * len(rows)
    for ceiling in CEILINGS:
        if ceiling not in present:
            names = (f"floor_{ceiling}_s", *(f"{n}_{ceiling}" for n in ("fraction", "mfu", "hfu")))
            columns.update(dict.fromkeys(names, [None] * len(rows)))
            continue
        own = [found.get(ceiling, _NO_ROOF) for found in roofs]
        columns[f"floor_{ceiling}_s"] = [roof.floor_s for roof in own]
        for name in ("fraction", "mfu", "hfu"):
            columns[f"{name}_{ceiling}"] = list(map(attrgetter(name), own))
        bound = [roof.bound or before for roof, before in zip(own, bound, strict=True)]
    columns["bound"] = bound
    columns["roof_reason"] = [_find_reason(found) for found in roofs]


def _find_reason(roofs: dict[str, RoofRow]) -> str | None:
    """Why the specification has no floor for a record; None where it has one."""
    own = [roof for name in SPECIFICATION if (roof := roofs.get(name)) is not None]
    if any(roof.floor_s is not None for roof in own):
        return None
    return next((roof.reason for roof in own if roof.reason), None)


def _fold(processes: Sequence[ProcessRow]) -> ProcessFigures:
    """The longest cold compilation, since that is what a user pays, and the median warm one; the
    largest memory and clock; what the device's own clock says of a call, in the median."""
    if len(processes) == 1:
        # Of a baseline, and of most imports, each record has one: a quarter of the time.
        return _alone(processes[0])
    found = [_alone(process) for process in processes]
    warm = [one.compile_warm_s for one in found if one.compile_warm_s is not None]
    device = [one.device_s for one in found if one.device_s is not None]
    return ProcessFigures(
        next((one.executed_dtype for one in found if one.executed_dtype is not None), None),
        _largest(one.peak_memory_bytes for one in found),
        _largest(one.clock_hz for one in found),
        _largest(one.compile_cold_s for one in found),
        median(warm) if warm else None,
        _largest(one.first_call_s for one in found),
        _largest(one.graphs for one in found),
        _largest(one.graph_breaks for one in found),
        median(device) if device else None,
        " ".join(sorted({name for process in processes for name in process.fallbacks})),
    )


def _alone(process: ProcessRow) -> ProcessFigures:
    compile_s = None if process.compile_ns is None else process.compile_ns / 1e9
    return ProcessFigures(
        process.executed_dtype,
        process.peak_memory_bytes,
        process.clock_hz,
        compile_s if process.cache_state == "cold" else None,
        compile_s if process.cache_state == "warm" else None,
        None if process.first_call_ns is None else process.first_call_ns / 1e9,
        process.graphs_compiled,
        process.graph_breaks,
        _device_s(process),
        " ".join(sorted(set(process.fallbacks))) if process.fallbacks else "",
    )


def _device_s(process: ProcessRow) -> float | None:
    """Seconds of a call by the device's clock, or in the part "device" of a lazy call."""
    samples = process.sustained
    if samples is not None and samples.device_ns:
        return median(samples.device_ns) / samples.calls / 1e9
    part = process.split_ns.get("device")
    return median(part) / 1e9 if part else None


def _largest(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)
