"""Hands what we measured to pytest-benchmark, so that its files, its comparison and its
histogram work on our cases. It measures nothing of them itself: its timer replays our samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..results.exports.pytest_benchmark import extra_info
from ..results.fold import per_call_s
from ..results.record import Record

if TYPE_CHECKING:
    import pytest

#: Options that ask for pytest-benchmark's own table.
TABLE_OPTIONS = tuple(
    f"--benchmark-{name}"
    for name in (
        "columns",
        "compare",
        "group-by",
        "histogram",
        "name",
        "sort",
        "time-unit",
        "verbose",
    )
)


def is_table_wanted(arguments: Sequence[str]) -> bool:
    """Whether the command line asks for the table of pytest-benchmark, beside ours."""
    return any(argument.partition("=")[0] in TABLE_OPTIONS for argument in arguments)


def replay(item: pytest.Item, record: Record) -> bool:
    """Add the record's samples to pytest-benchmark's session; whether it took them.

    One round a sample, in seconds per call, of the isolated regime (synchronised after each
    call, which is what a round of pytest-benchmark means), over all processes. It takes none
    where it isn't loaded or is told to skip or to disable benchmarks.
    """
    session = item.config.pluginmanager.get_plugin("pytest-benchmark")
    if session is None or session.skip or session.disabled:
        return False
    durations = isolated_s(record)
    if not durations:
        return False
    # Untyped, in part.
    theirs: Any = import_module("pytest_benchmark.fixture")

    options = session.options | {
        "timer": theirs.NameWrapper(replaying_timer(durations)),
        "cprofile": False,
    }
    fixture = theirs.BenchmarkFixture(
        _node(item, record),
        add_stats=session.benchmarks.append,
        logger=session.logger,
        warner=item.warn,
        disabled=False,
        group=record.case.workload,
        **options,
    )
    fixture.extra_info.update(extra_info(record, "isolated"))
    fixture.pedantic(_nothing, rounds=len(durations))
    return True


def isolated_s(record: Record) -> list[float]:
    """Seconds per call of every isolated sample, process after process."""
    return [
        float(duration)
        for outcome in record.processes
        if outcome.isolated is not None
        for duration in per_call_s(outcome.isolated)
    ]


def replaying_timer(durations: Sequence[float]) -> Callable[[], float]:
    """A timer whose readings, two by two, are these durations apart."""

    def readings() -> Iterator[float]:
        for duration in durations:
            yield 0.0
            yield duration

    reading = readings()

    def replayed_samples() -> float:
        return next(reading)

    return replayed_samples


def _node(item: pytest.Item, record: Record) -> Any:
    """What pytest-benchmark reads of a test: its names, and parameters to group by."""
    case = record.case
    columns = case.model_dump(mode="json", exclude={"params"}) | case.params
    name = item.name.partition("[")[2].removesuffix("]") or case.configuration
    return SimpleNamespace(
        name=item.name,
        nodeid=item.nodeid,
        _nodeid=item.nodeid,  # what releases before 5.3 read
        callspec=SimpleNamespace(id=name, params=columns),
    )


def _nothing() -> None:
    """What is called between two readings of the replaying timer."""
