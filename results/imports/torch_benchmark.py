"""Measurements of ``torch.utils.benchmark``, written as JSON.

torch itself stores a ``Measurement`` by pickling, and a pickle runs code when it is loaded, so
none is read here. ``dataclasses.asdict`` of each one, as JSON, is: ``raw_times`` (seconds of a
run), ``number_per_run`` (calls in a run) and ``task_spec``.

A run is ``number_per_run`` calls and then one synchronisation of the device: a sample of the
sustained regime. Source: PyTorch 2.13, ``torch/utils/benchmark/utils/common.py`` (``TaskSpec``,
``Measurement``), ``timer.py`` (``timer``, ``timeit``).
"""

from __future__ import annotations

from typing import Any

from ..exports.escapes import one_line
from ..fold import summarise
from ..record import CaseKey, Failure, ProcessOutcome, Record, Samples, Status
from .fields import read_count, read_list, read_object, read_seconds, read_text, whole_ns
from .given import Given, parse_json

PROGRAM = "torch.utils.benchmark"


def is_torch_benchmark(given: Given) -> bool:
    return '"raw_times"' in given.text and '"number_per_run"' in given.text


def read_torch_benchmark(given: Given) -> list[Record]:
    """A record for each measurement: one, or a list of them. Raises ``ValueError``."""
    content = parse_json(given.text)
    entries = content if isinstance(content, list) else [content]
    return [
        _record(read_object(entry, f"entry {number}"), number, given)
        for number, entry in enumerate(entries, start=1)
    ]


def _record(entry: dict[str, Any], number: int, given: Given) -> Record:
    where = f"entry {number}"
    spec = read_object(entry.get("task_spec"), f"{where}: field 'task_spec'")
    calls = read_count(entry.get("number_per_run"), f"{where}: field 'number_per_run'", least=1)
    field = f"{where}: field 'raw_times'"
    times = [read_seconds(value, field) for value in read_list(entry.get("raw_times"), field)]
    walls = [whole_ns(value, field) for value in times]
    # A run that took less than the timer sees is none.
    measured = bool(walls) and min(walls) > 0
    outcome = ProcessOutcome(
        process=0,
        position=number - 1,
        status=Status.OK,
        duration_s=sum(times),
        # It stamps neither CPU time nor switches.
        sustained=Samples(calls=calls, wall_ns=walls, cpu_ns=[], involuntary_switches=[]),
    )
    return Record(
        run=given.run,
        origin="published",
        time=given.modified,
        status=Status.OK if measured else Status.SKIPPED,
        status_counts={"OK": 1} if measured else {},
        failure=None if measured else Failure(message="no run, or one that took no time"),
        case=_case(spec, where),
        summary=summarise([outcome], None) if measured else None,
        processes=[outcome] if measured else [],
        flags=["SINGLE_PROCESS"] if measured else [],
        source=f"{PROGRAM}: {given.name}",
    )


def _case(spec: dict[str, Any], where: str) -> CaseKey:
    """The label is the workload; what torch prints as row and column is the configuration."""

    def text(name: str) -> str:
        value = spec.get(name)
        return "" if value is None else read_text(value, f"{where}: field 'task_spec.{name}'")

    statement = text("stmt")
    params: dict[str, int | float | bool | str] = {
        name: said for name in ("stmt", "sub_label", "description", "env") if (said := text(name))
    }
    if spec.get("num_threads") is not None:
        field = f"{where}: field 'task_spec.num_threads'"
        params["num_threads"] = read_count(spec["num_threads"], field, least=1)
    parts = [part for part in (text("sub_label"), text("description")) if part]
    return CaseKey(
        workload=one_line(text("label") or statement or "unnamed", 100),
        configuration=one_line(" ".join(parts), 100) or "default",
        params=params,
        phase="forward",
        dtype="unstated",
        mode="unstated",
        backend="published",
    )
