"""A run to compare with that is reviewed and kept in git: its records without their samples.

What a difference needs stays: the estimates with their intervals, the roofs, what each process
said of compilation, memory and clock. Lines stand in the order of their cases, so that a change
of the file shows which cases changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .lines import StoreError
from .origin import refuse_mixture
from .record import ProcessOutcome, Record
from .store import case_id, read_records


def slim(record: Record) -> Record:
    """The record without its samples; of the device's own clock, one figure a process stays."""
    return record.model_copy(update={"processes": [_slim(p) for p in record.processes]})


def baseline_lines(records: Iterable[Record]) -> list[str]:
    """The lines of a baseline file. Raises ``OriginError`` for simulated records beside others,
    and ``StoreError`` for a case that is there twice: which of the two would count?"""
    records = list(records)
    refuse_mixture(records)
    by_case: dict[str, Record] = {}
    for record in records:
        before = by_case.setdefault(case_id(record.case), record)
        if before is not record:
            case = record.case
            raise StoreError(
                f"{case.workload} {case.configuration} {case.dtype} {case.mode} is there twice "
                f"(runs {before.run} and {record.run}); give one run"
            )
    return [slim(by_case[key]).model_dump_json() for key in sorted(by_case)]


def write_baseline(records: Iterable[Record], path: Path) -> int:
    """Write a baseline over the one that is there, whole or not at all; how many cases it has.

    Raises ``StoreError`` where the file is no baseline: a run's samples are nowhere else.
    """
    lines = baseline_lines(records)
    if path.exists():
        _require_baseline(path)
    unfinished = path.with_name(f"{path.name}.part")
    try:
        unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error.strerror}; give another file") from error
    return len(lines)


def _require_baseline(path: Path) -> None:
    try:
        kept = read_records(path).records
    except StoreError as error:
        raise StoreError(f"{path} is there and no baseline ({error}); give another file") from error
    if any(process.sustained or process.isolated for one in kept for process in one.processes):
        raise StoreError(
            f"{path} is a run's file, whose samples a baseline would destroy; give another file"
        )


def _slim(process: ProcessOutcome) -> ProcessOutcome:
    split = dict(process.split_ns)
    samples = process.sustained
    if samples is not None and samples.device_ns:
        ordered = sorted(samples.device_ns)
        split["device"] = [round(ordered[len(ordered) // 2] / samples.calls)]
    elif "device" in split:
        parts = sorted(split["device"])
        split["device"] = [parts[len(parts) // 2]]
    return process.model_copy(
        update={
            "sustained": None,
            "isolated": None,
            "fit": None,
            "warmup_ns": [],
            "split_ns": {"device": split["device"]} if "device" in split else {},
            "telemetry": {},
            "health": {},
        }
    )
