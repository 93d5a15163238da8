"""A file of ``pytest --benchmark-json`` or ``--benchmark-save``.

Each entry is a case: the test's function is the workload, what stands in its brackets the
configuration. A round is a sample of the isolated regime: its calls end one after another on a
host; of a device pytest-benchmark knows nothing. Times are kept in whole nanoseconds, and its own
statistics in the record's notes, so that an export gives them back as they were.

An entry that ``trnbench`` wrote has the case's columns in ``extra_info``, and gets them back.

Source: pytest-benchmark 5.3, ``plugin.py`` (``pytest_benchmark_generate_json``), ``stats.py``
(``Stats.fields``).
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Literal

from pydantic import ValidationError

from ..exports.escapes import one_line
from ..fold import summarise
from ..moments import read_moment
from ..record import (
    CaseKey,
    Estimate,
    Failure,
    ProcessOutcome,
    Record,
    Samples,
    Status,
    Summary,
)
from .fields import (
    plain_params,
    read_count,
    read_list,
    read_number,
    read_object,
    read_seconds,
    read_text,
    whole_ns,
)
from .given import Given, parse_json
from .kept import keep_entry

PROGRAM = "pytest-benchmark"
_NUMBERS = ("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "ld15iqr", "hd15iqr")
_KEPT = ("group", "name", "fullname", "params", "param", "extra_info", "options")
_HARNESS = "trnbench"


def is_pytest_benchmark(given: Given) -> bool:
    head = given.text[:4096]
    return (
        head.lstrip().startswith("{") and '"benchmarks"' in given.text and '"stats"' in given.text
    )


def read_pytest_benchmark(given: Given) -> list[Record]:
    """A record for each entry. Raises ``ValueError`` with entry and field."""
    content = read_object(parse_json(given.text), "the file")
    entries = read_list(content.get("benchmarks"), "field 'benchmarks'")
    time = _time(content.get("datetime"), given)
    source = f"{PROGRAM} {one_line(str(content.get('version', '')), 20)}: {given.name}"
    commit = read_object(content.get("commit_info") or {}, "field 'commit_info'").get("id")
    if isinstance(commit, str) and commit != "unknown":
        source += f", commit {one_line(commit, 40)}"
    return [
        _record(read_object(entry, f"entry {number}"), number, given, time, source)
        for number, entry in enumerate(entries, start=1)
    ]


def _record(entry: dict[str, Any], number: int, given: Given, time: str, source: str) -> Record:
    where = f"entry {number} '{one_line(str(entry.get('name', '')), 60)}'"
    stats = read_object(entry.get("stats"), f"{where}: field 'stats'")
    for name in _NUMBERS:
        read_number(stats.get(name), f"{where}: field 'stats.{name}'", least=_least(name))
    extra = read_object(entry.get("extra_info") or {}, f"{where}: field 'extra_info'")
    ours = extra.get("harness") == _HARNESS
    regime: Literal["isolated", "sustained"] = "isolated"
    if ours and extra.get("regime") == "sustained":
        regime = "sustained"
    outcome = _outcome(stats, number, where, regime)
    # A published time is none where the timer saw nothing.
    measured = outcome is not None or float(stats["median"]) > 0
    return Record(
        run=given.run,
        origin="simulated" if ours and extra.get("origin") == "simulated" else "published",
        time=time,
        status=Status.OK if measured else Status.SKIPPED,
        status_counts={"OK": 1} if outcome else {},
        failure=None
        if measured
        else Failure(message="half of its rounds took no time that its timer saw"),
        case=_case(entry, extra, where, ours=ours),
        summary=_summary(stats, outcome) if measured else None,
        processes=[outcome] if outcome else [],
        flags=["SINGLE_PROCESS"] if measured else [],
        notes=_note(entry, stats, where),
        source=source,
    )


def _least(name: str) -> float:
    # A fence lies below the fastest round, and of fast ones below zero.
    return -1e12 if name == "ld15iqr" else 0.0


def _outcome(
    stats: dict[str, Any], number: int, where: str, regime: Literal["isolated", "sustained"]
) -> ProcessOutcome | None:
    """The rounds as samples; None where the file was saved without them, or a round took less
    than the timer sees: then its statistics are all that is kept."""
    calls = read_count(stats.get("iterations", 1), f"{where}: field 'stats.iterations'", least=1)
    if stats.get("data") is None:
        return None
    field = f"{where}: field 'stats.data'"
    data = [read_seconds(value, field) for value in read_list(stats["data"], field)]
    wall_ns = [whole_ns(value * calls, field) for value in data]
    if not data or min(wall_ns) == 0:
        return None
    samples = Samples(
        calls=calls,
        wall_ns=wall_ns,
        # It stamps neither; an empty list is what nobody looked at.
        cpu_ns=[],
        involuntary_switches=[],
    )
    return ProcessOutcome(
        process=0,
        position=number - 1,
        status=Status.OK,
        duration_s=sum(data) * calls,
        isolated=samples if regime == "isolated" else None,
        sustained=samples if regime == "sustained" else None,
    )


def _summary(stats: dict[str, Any], outcome: ProcessOutcome | None) -> Summary | None:
    if outcome is not None:
        return summarise([outcome], None)
    typical = Estimate(value=float(stats["median"]))
    # A round that took less than the timer sees is no time.
    return Summary(processes=1, isolated=typical, min_s=float(stats["min"]) or None)


def _case(entry: dict[str, Any], extra: dict[str, Any], where: str, *, ours: bool) -> CaseKey:
    if ours:
        try:
            return CaseKey.model_validate({name: extra.get(name) for name in CaseKey.model_fields})
        except ValidationError as error:
            fields = ", ".join(str(problem["loc"][0]) for problem in error.errors()[:3])
            raise ValueError(
                f"{where}: field 'extra_info': no case of trnbench ({fields})"
            ) from error
    name = entry.get("fullname") or entry.get("name")
    test, _, bracket = read_text(name, f"{where}: field 'fullname'").partition("[")
    param = entry.get("param")
    params = read_object(entry.get("params") or {}, f"{where}: field 'params'")
    configuration = str(param) if param is not None else bracket.removesuffix("]")
    return CaseKey(
        workload=_without_folders(test),
        configuration=one_line(configuration, 100) or "default",
        params=plain_params(params),
        phase="forward",
        dtype="unstated",
        mode="unstated",
        backend="published",
    )


def _without_folders(test: str) -> str:
    """A test's name; a path that leads out of its project says where somebody's files are."""
    file, colons, function = test.partition("::")
    path = PurePath(file)
    leads_out = path.is_absolute() or ".." in path.parts or ":" in file or "\\" in file
    return f"{path.name.rpartition(chr(92))[2] if leads_out else file}{colons}{function}"


def _note(entry: dict[str, Any], stats: dict[str, Any], where: str) -> str:
    kept = {name: entry[name] for name in _KEPT if name in entry}
    kept["stats"] = {name: value for name, value in stats.items() if name != "data"}
    try:
        return keep_entry(PROGRAM, kept)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _time(value: Any, given: Given) -> str:
    if value is None:
        return given.modified
    # Without a zone it is UTC: that is what its releases before 4 wrote.
    try:
        moment = read_moment(read_text(value, "field 'datetime'"))
    except ValueError as error:
        raise ValueError(f"field 'datetime': {error}") from None
    return moment.isoformat(timespec="seconds")
