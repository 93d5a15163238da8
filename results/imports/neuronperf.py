"""Reports of NeuronPerf: what ``write_json`` or ``write_csv`` stored.

A report is a model with a batch size, so many copies of it and so many workers a copy. A latency
is of one batch through one worker, end to end (pre- and postprocessing with it), waited for: the
isolated regime. The throughput is all workers' together, so it isn't the batch over the latency.

Source: AWS Neuron documentation, "NeuronPerf API" and "NeuronPerf Benchmark Guide"; the package's
``reporting.py`` (``get_report``, ``CSV_COLS``), read 2026-11-26.
"""

from __future__ import annotations

import csv
import io
from itertools import pairwise
from typing import Any

from ..exports.escapes import one_line
from ..record import CaseKey, Device, Estimate, Failure, Record, Status, Summary
from .collectives import unnamed_device
from .fields import describe, read_count, read_number, read_object, read_text
from .given import Given, parse_json

PROGRAM = "NeuronPerf"
_WANTED = ("model_name", "n_models", "batch_size", "latency_ms_p50")
_COUNTS = ("batch_size", "n_models", "workers_per_model", "pipeline_size", "performance_level")
_NOTED = {"throughput_peak": "inferences/s", "total_infs": "", "total_s": "s"}
_PERCENTILES = ("p0", "p50", "p95", "p99")
#: What ``write_csv`` puts where a report has nothing.
_NOTHING = "N/A"


def is_neuronperf(given: Given) -> bool:
    text = given.text
    if text.lstrip()[:1] in ("{", "["):
        return all(f'"{name}"' in text for name in _WANTED)
    heading = text.lstrip().partition("\n")[0].strip().split(",")
    return set(_WANTED) <= set(heading)


def read_neuronperf(given: Given) -> list[Record]:
    """A record for each report. Raises ``ValueError`` with line or report, and field."""
    if given.text.lstrip()[:1] in ("{", "["):
        content = parse_json(given.text)
        reports = content if isinstance(content, list) else [content]
        rows = [(f"report {n}", report) for n, report in enumerate(reports, start=1)]
    else:
        rows = list(_csv_rows(given.text))
    return [_record(read_object(row, where), where, given) for where, row in rows]


def _csv_rows(text: str) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text.lstrip(), newline=""))
    rows: list[tuple[str, dict[str, Any]]] = []
    for row in reader:
        where = f"line {reader.line_num}"
        if None in row or None in row.values():
            raise ValueError(f"{where}: more or fewer columns than the heading has: was it cut?")
        rows.append(
            (where, {name: None if said == _NOTHING else said for name, said in row.items()})
        )
    return rows


def _record(report: dict[str, Any], where: str, given: Given) -> Record:
    def figure(name: str, scale: float = 1.0) -> float | None:
        value = report.get(name)
        return None if value is None else scale * read_number(value, f"{where}: field '{name}'")

    def latency_s(percentile: str) -> float | None:
        # Under half a microsecond it reads 0, which is no time.
        return figure(f"latency_ms_{percentile}", 1e-3) or None

    latencies_s = {percentile: latency_s(percentile) for percentile in _PERCENTILES}
    _require_rising(latencies_s, where)
    typical_s = latencies_s["p50"]
    throughput = figure("throughput_avg")
    status, failure = Status.OK, None
    if typical_s is None:
        # A report of a run that failed has no latencies.
        status, failure = Status.SKIPPED, _no_time(report)
    return Record(
        run=given.run,
        origin="published",
        time=given.modified,
        status=status,
        failure=failure,
        case=_case(report, where),
        summary=None
        if typical_s is None
        else Summary(
            processes=1,
            isolated=Estimate(value=typical_s),
            min_s=latencies_s["p0"],
            p95_s=latencies_s["p95"],
            p99_s=latencies_s["p99"],
            throughput=throughput,
            throughput_unit=None if throughput is None else "inferences/s",
        ),
        device=_device(report, where),
        notes=_notes(report, where),
        source=f"{PROGRAM} {_said(report, 'NeuronPerf_version')}".strip() + f": {given.name}",
    )


def _require_rising(latencies_s: dict[str, float | None], where: str) -> None:
    known = [(name, value) for name, value in latencies_s.items() if value is not None]
    for (name, value), (next_name, next_value) in pairwise(known):
        if value > next_value:
            raise ValueError(
                f"{where}: field 'latency_ms_{next_name}' is below latency_ms_{name}; wanted "
                "percentiles that rise"
            )


def _no_time(report: dict[str, Any]) -> Failure:
    status = one_line(str(report.get("status", "unstated")), 40)
    given = describe(report.get("latency_ms_p50"))
    return Failure(message=f"no latency: latency_ms_p50 is {given}, and status is {status}")


def _case(report: dict[str, Any], where: str) -> CaseKey:
    params: dict[str, int | float | bool | str] = {
        name: read_count(report[name], f"{where}: field '{name}'")
        for name in _COUNTS
        if report.get(name) is not None
    }
    parts = [
        f"{params[name]}{word}"
        for name, word in (
            ("n_models", "models"),
            ("workers_per_model", "workers"),
            ("pipeline_size", "stages"),
        )
        if name in params
    ]
    batch = f"batch{params['batch_size']}" if "batch_size" in params else "batch-unstated"
    name = read_text(report.get("model_name"), f"{where}: field 'model_name'")
    return CaseKey(
        # A file's name where nobody named the model: then it may be a path of somebody's machine.
        workload=name.replace("\\", "/").rpartition("/")[2] or "unnamed",
        configuration="-".join([batch, *parts]),
        params=params,
        phase="forward",
        dtype="unstated",
        mode="unstated",
        backend="published",
    )


def _device(report: dict[str, Any], where: str) -> Device | None:
    if report.get("device_type") is None:
        return None
    name = read_text(report["device_type"], f"{where}: field 'device_type'")
    instance = _said(report, "instance_type")
    device = unnamed_device(name)
    if not instance:
        return device
    return device.model_copy(update={"facts": {"instance_type": instance}})


def _notes(report: dict[str, Any], where: str) -> str:
    said = []
    for name, unit in _NOTED.items():
        if report.get(name) is not None:
            value = read_number(report[name], f"{where}: field '{name}'")
            said.append(f"{name} {value:g} {unit}".strip())
    return ", ".join(said)


def _said(report: dict[str, Any], name: str) -> str:
    value = report.get(name)
    return "" if value is None else one_line(str(value), 60)
