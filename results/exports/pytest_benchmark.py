"""The file that ``pytest --benchmark-json`` writes, so that ``pytest-benchmark compare`` reads it.

One entry a case, one round a sample of the isolated regime (synchronised after each call, which
is what a round means), else of the sustained one; ``extra_info`` has the case's columns. Names
are those of ``pytest --benchmark --benchmark-json``, so that both kinds of file compare. The
statistics are computed by pytest-benchmark's own code.

Source: pytest-benchmark 5.3, ``plugin.py`` (``pytest_benchmark_generate_json``) and ``stats.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..case_names import name_parameters
from ..fold import per_call_s
from ..imports.kept import kept_entry
from ..lines import RecordError, StoreError
from ..record import Record, Samples, Status
from ..store import StoredRun, read_records
from .escapes import one_line
from .exported import Exported

PROGRAM = "pytest-benchmark"


def pytest_benchmark_json(paths: Sequence[Path]) -> Exported:
    """The file of one run; cases that aren't OK or have no samples are left out, since its table
    has no place for a failure."""
    runs_read = [_read(path) for path in paths]
    records = [record for run in runs_read for record in run.records]
    runs = list(dict.fromkeys(record.run for record in records))
    if len(runs) > 1:
        raise StoreError(
            f"{len(runs)} runs given; a file of {PROGRAM} holds one: export each to its own, then "
            f"{PROGRAM} compare A.json B.json"
        )
    entries = [entry for record in records if (entry := _entry(record)) is not None]
    if not entries:
        raise StoreError(
            f"none of the {len(records)} cases is OK and has samples; {PROGRAM} wants some"
        )
    content = {
        "machine_info": _machine_info(records),
        "commit_info": _commit_info(records),
        "benchmarks": entries,
        "datetime": max(record.time for record in records),
        "version": version(PROGRAM),
    }
    notices = [notice for run in runs_read for notice in run.notices]
    if len(entries) < len(records):
        left = len(records) - len(entries)
        notices.append(f"{left} of {len(records)} cases left out: not OK, or no samples")
    return Exported(json.dumps(content, indent=1) + "\n", tuple(notices))


def _read(path: Path) -> StoredRun:
    if path.suffix == ".parquet":
        raise RecordError(
            f"{path}: a Parquet file has no samples, and {PROGRAM} wants them: give the .jsonl file"
        )
    return read_records(path)


def _entry(record: Record) -> dict[str, Any] | None:
    """The benchmark that a record is; None where there is no time of it that counts."""
    if record.status != Status.OK:
        return None
    kept = kept_entry(record.notes, PROGRAM)
    regime, samples = _samples(record)
    durations = [float(t) for sample in samples for t in per_call_s(sample)]
    if kept is not None and isinstance(kept.get("stats"), dict):
        # Theirs: their statistics, as they computed them.
        return kept | {"stats": kept["stats"] | ({"data": durations} if durations else {})}
    if not durations:
        return None
    # Untyped.
    stats: Any = import_module("pytest_benchmark.stats").Stats()
    stats.data = durations
    case = record.case
    columns = case.model_dump(mode="json", exclude={"params"}) | case.params
    param = one_line(
        name_parameters(case.configuration, case.dtype, case.mode, case.backend, case.devices)
    )
    name = f"{one_line(case.workload)}[{param}]"
    return {
        "group": one_line(case.workload),
        "name": name,
        "fullname": f"trnbench::{name}",
        "params": columns,
        "param": param,
        "extra_info": extra_info(record, regime),
        # Of its own runs these say how rounds were chosen; no such rule made these samples.
        "options": {"disable_gc": True, "timer": "trnbench", "warmup": True},
        "stats": stats.as_dict() | {"data": durations, "iterations": 1},
    }


def _samples(record: Record) -> tuple[str, list[Samples]]:
    isolated = [p.isolated for p in record.processes if p.isolated is not None]
    if isolated:
        return "isolated", isolated
    return "sustained", [p.sustained for p in record.processes if p.sustained is not None]


def extra_info(record: Record, regime: str) -> dict[str, Any]:
    """What ``--benchmark-json`` says of a case beside its statistics."""
    summary = record.summary
    sustained = summary.sustained.value if summary and summary.sustained else None
    return record.case.model_dump(mode="json") | {
        "run": record.run,
        "origin": record.origin,
        "status": str(record.status),
        "flags": record.flags,
        "unit": "seconds per call",
        "regime": regime,
        "processes": len(record.processes),
        "sustained_s": sustained,
        "throughput": summary.throughput if summary else None,
        "throughput_unit": summary.throughput_unit if summary else None,
        "harness": "trnbench",
    }


def _machine_info(records: Sequence[Record]) -> dict[str, Any]:
    """Its names for what a record knows of the machine; a record has no host name."""
    environment = next((r.environment for r in records if r.environment is not None), None)
    if environment is None:
        return {}
    return {
        "node": "",
        "system": environment.system,
        "python_version": environment.python,
        "cpu": {"brand_raw": environment.cpu, "count": environment.cpus_logical},
    }


def _commit_info(records: Sequence[Record]) -> dict[str, Any]:
    environment = next((r.environment for r in records if r.environment is not None), None)
    git = environment.git if environment is not None else {}
    return {"id": git.get("commit"), "dirty": git.get("dirty")}
