"""Records as a pandas frame: one row a case, typed columns, every time in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .archive import DEFAULT_FOLDER, find_records
from .lines import RecordError, read_lines
from .rates import by_silicon

if TYPE_CHECKING:
    import pandas as pd

CEILINGS = ("datasheet", "engine", "derived", "attained")

_CATEGORIES = (
    "workload",
    "configuration",
    "dtype",
    "mode",
    "backend",
    "phase",
    "status",
    "throughput_unit",
    "bound",
    "label",
    "run",
    "origin",
    "device",
    "chip",
    "cpu",
    "machine",
)
_INTEGERS = (
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
    "threads",
    "cores_used",
)
_FLOATS = (
    "isolated_s",
    "isolated_low_s",
    "isolated_high_s",
    "sustained_s",
    "sustained_low_s",
    "sustained_high_s",
    "fixed_cost_s",
    "slope_s",
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
    "share",
    "clock_hz",
)
_TEXTS = ("flags", "failure", "executed_dtype", "source")


def load(path: str | Path = "", folder: Path = DEFAULT_FOLDER) -> pd.DataFrame:
    """One row a case of a stored run.

    ``path`` is a file, a folder (its newest run), a run id or a label, as in ``trnbench show``.

    Columns, all there even where a run has nothing for them: the case (workload,
    configuration, dtype, mode, backend, devices, phase, ``param.*``), status (category), times
    per call with their 95 % intervals in seconds, throughput in SI with its unit, floor and
    fraction of each ceiling, bound, cost, numeric error, compile_s, flags (a text, separated by
    blanks), label, run, origin, time (UTC), device, chip, share, threads, ``version.*``.
    ``items_per_s`` is of one device; per chip and per US dollar as in ``rates``.
    Counts are ``Int64``, so that an unknown one is ``<NA>`` and not a float. Raw samples stay in
    the file. ``frame.attrs["notices"]`` says what was left out.

    Raises ``StoreError`` for an unknown run and ``RecordError`` for a broken line.
    """
    import pandas as pd

    file = find_records(path, folder)
    notices: list[str] = []
    extra_names: set[str] = set()
    rows = list(_rows(file, notices, extra_names))
    extra = sorted(extra_names)
    texts = ("time", *_CATEGORIES, *_TEXTS)
    columns: dict[str, pd.Series[Any]] = {}
    for name in (*texts, *_INTEGERS, *_FLOATS, *extra):
        values = [row.get(name) for row in rows]
        if name in _INTEGERS:
            columns[name] = pd.Series(values, dtype="Int64")
        elif name in _FLOATS:
            columns[name] = pd.Series(values, dtype="float64")
        elif name in _CATEGORIES or name.startswith("version."):
            columns[name] = pd.Series(values, dtype="category")
        elif name.startswith("param."):
            columns[name] = pd.Series(values, dtype=_parameter_dtype(values))
        else:
            columns[name] = pd.Series(values, dtype="str")
    frame = pd.DataFrame(columns)
    frame["time"] = pd.to_datetime(frame["time"], utc=True, format="ISO8601")
    frame.attrs["notices"] = tuple(notices)
    return frame[[name for name in _order(extra) if name in frame]]


def _order(extra: list[str]) -> list[str]:
    case = ["workload", "configuration", "dtype", "mode", "backend", "devices", "phase"]
    first = [*case, *(name for name in extra if name.startswith("param.")), "status", *_FLOATS]
    rest = [*_INTEGERS, *_TEXTS, *_CATEGORIES, "time", *extra]
    return [*first, *(name for name in rest if name not in first)]


def _parameter_dtype(values: list[Any]) -> str:
    """The narrowest type that holds a parameter's values in all workloads that have it."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64"
    if kinds <= {int, float}:
        return "float64"
    return "str" if kinds == {str} else "object"


def _rows(path: Path, notices: list[str], extra_names: set[str]) -> Iterator[dict[str, Any]]:
    """The columns of each record; names that depend on the run are added to ``extra_names``."""
    for number, record in read_lines(path, notices):
        try:
            row, extra = _flat(record), _extra(record)
        except (KeyError, TypeError, AttributeError) as error:
            raise RecordError(
                f"{path}: line {number}: no record: {type(error).__name__} {error}; check the "
                f"file with: trnbench show {path}"
            ) from error
        extra_names.update(extra)
        row.update(extra)
        yield row


def _extra(record: dict[str, Any]) -> dict[str, Any]:
    versions = (record.get("environment") or {}).get("versions") or {}
    columns = {f"param.{name}": value for name, value in record["case"]["params"].items()}
    columns.update({f"version.{name}": value for name, value in versions.items()})
    return columns


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record's columns. By hand from JSON: validating each record takes ten times as long."""
    case = record["case"]
    summary = record.get("summary") or {}
    numeric = record.get("numeric") or {}
    device = record.get("device") or {}
    environment = record.get("environment") or {}
    cost = record.get("cost") or {}
    failure = record.get("failure") or {}
    processes = record.get("processes") or []
    row: dict[str, Any] = {
        name: case[name]
        for name in ("workload", "configuration", "dtype", "mode", "backend", "devices", "phase")
    }
    row.update({name: record[name] for name in ("status", "run", "origin", "time")})
    row.update({name: record.get(name) for name in ("label", "source", "compile_s")})
    row.update({name: cost.get(name) for name in _INTEGERS if name in cost})
    for regime in ("isolated", "sustained"):
        estimate = summary.get(regime) or {}
        row[f"{regime}_s"] = estimate.get("value")
        row[f"{regime}_low_s"] = estimate.get("low")
        row[f"{regime}_high_s"] = estimate.get("high")
    for name in ("processes", "min_s", "p20_s", "p95_s", "p99_s", "throughput", "throughput_unit"):
        row[name] = summary.get(name)
    row["fixed_cost_s"] = (summary.get("fixed_cost") or {}).get("value")
    row["slope_s"] = (summary.get("slope") or {}).get("value")
    row.update(_roof_columns(record.get("roofs") or []))
    row["flags"] = " ".join(record.get("flags") or [])
    row["failure"] = failure.get("message")
    row["numeric_error"] = numeric.get("error")
    row["numeric_bound"] = numeric.get("bound")
    row["footprint_bytes"] = (record.get("footprint") or {}).get("peak")
    row.update(_rate_columns(cost, row, device))
    row["executed_dtype"] = _first(processes, "executed_dtype")
    row["peak_memory_bytes"] = _largest(processes, "peak_memory_bytes")
    row["clock_hz"] = _largest(processes, "clock_hz")
    row.update(device=device.get("name"), chip=device.get("chip"), share=device.get("share"))
    row["cores_used"] = device.get("cores_used")
    row.update({name: environment.get(name) for name in ("cpu", "machine", "threads")})
    return row


def _rate_columns(
    cost: dict[str, Any], row: dict[str, Any], device: dict[str, Any]
) -> dict[str, float | None]:
    """Items per second of a case with a result, per device, per chip and per dollar."""
    time_s = row["sustained_s"] or row["isolated_s"]
    if row["status"] != "OK" or not time_s or not cost.get("items"):
        return {}
    per_device = cost["items"] / row["devices"] / time_s
    instance = (device.get("facts") or {}).get("instance_type")
    found = by_silicon(per_device, device.get("chip"), device.get("share"), instance)
    return {
        "items_per_s": per_device,
        "items_per_chip_s": found.per_chip,
        "items_per_usd": found.per_usd,
    }


def _roof_columns(roofs: list[dict[str, Any]]) -> dict[str, Any]:
    """Floor and fraction per ceiling; ``bound`` is of the last ceiling that names one, which is
    the attained one where there is one."""
    columns: dict[str, Any] = {}
    for roof in sorted(roofs, key=lambda roof: CEILINGS.index(roof["ceiling"])):
        columns[f"floor_{roof['ceiling']}_s"] = roof.get("floor_s")
        columns[f"fraction_{roof['ceiling']}"] = roof.get("fraction")
        columns[f"mfu_{roof['ceiling']}"] = roof.get("mfu")
        columns[f"hfu_{roof['ceiling']}"] = roof.get("hfu")
        columns["bound"] = roof.get("bound") or columns.get("bound")
    return columns


def _first(processes: list[dict[str, Any]], name: str) -> Any:
    return next((p[name] for p in processes if p.get(name) is not None), None)


def _largest(processes: list[dict[str, Any]], name: str) -> Any:
    return max((p[name] for p in processes if p.get(name) is not None), default=None)
