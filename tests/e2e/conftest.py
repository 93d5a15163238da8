"""Runs of the real pytest in which nothing is timed, so that reporting can be tested fast."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy.fft
import pytest
import rich.progress
import scipy.special

from trnbench.backends import registry as backends
from trnbench.bench import pytest_session, run, selection
from trnbench.bench.case import Case
from trnbench.models import registry as models
from trnbench.results import table
from trnbench.results.fold import fold
from trnbench.results.record import Failure, ProcessOutcome, Record, Samples, Status

# A run inside this process forgets the modules that it was the first to import, and some can't
# be imported twice: they are imported here.
IMPORTED = (numpy.fft, rich.progress, scipy.special, pytest_session, selection, table)
models.families()
backends.availabilities()

CALL_NS = 2_000_000
DURATION_S = 7.0


@dataclass
class MadeUpRuns:
    """Runs pytest in a folder of its own, with records made up in place of measurements.

    ``statuses`` maps a node id to its status, "interrupt" raises as Ctrl-C does; ``asked``
    holds the names of the cases that the last run was to measure, None where none was.
    """

    pytester: pytest.Pytester
    statuses: dict[str, str] = field(default_factory=dict)
    asked: list[str] | None = None

    def __call__(self, *arguments, statuses=None):
        self.statuses = statuses or {}
        self.asked = None
        # No rewriting of asserts: inside this process the modules are imported already, and
        # pytest would warn of that.
        return self.pytester.runpytest_inprocess(
            "--assert=plain", "--bench-backend=cpu", *arguments, no_reraise_ctrlc=True
        )

    def listed(self, *arguments):
        """The node ids that `--co -q` lists."""
        return [
            line for line in self("--benchmark", "--co", "-q", *arguments).outlines if "::" in line
        ]

    def measure(self, cases, options, listener, external=()):
        self.asked = [case.node_name for case in cases]
        if "interrupt" in self.statuses.values():
            raise KeyboardInterrupt
        listener.planned([*cases, *(Case.of(one.key) for one in external)], options.processes)
        records = []
        for case in cases:
            status = Status(self.statuses.get(f"trnbench::{case.node_name}", "OK"))
            outcomes = [make_outcome(status, process) for process in range(options.processes)]
            for outcome in outcomes:
                listener.started(case, outcome.process)
                listener.phase(case, outcome.process, "sampling")
                listener.ended(case, outcome.process, outcome.status)
            records.append(make_record(case.key(), outcomes, None))
            listener.recorded(records[-1])
        for one in external:
            outcomes = [one.measure(process)[0] for process in range(options.processes)]
            records.append(make_record(one.key, outcomes, one.cost))
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / "made-up.jsonl"
        path.write_text("".join(r.model_dump_json() + "\n" for r in records), encoding="utf-8")
        return run.RunResult(path, tuple(records))


def make_outcome(status, process):
    samples = Samples(
        calls=2,
        wall_ns=[CALL_NS * 2 + process * 1000 + i * 100 for i in range(10)],
        cpu_ns=[CALL_NS * 2] * 10,
        involuntary_switches=[0] * 10,
    )
    measured = {"sustained": samples, "isolated": samples} if status is Status.OK else {}
    failure = Failure(message=f"made up {status}", mend="mend the test", kind="fake")
    return ProcessOutcome(
        process=process,
        position=0,
        status=status,
        failure=None if status is Status.OK else failure,
        duration_s=DURATION_S,
        **measured,
    )


def make_record(key, outcomes, cost):
    folded = fold(key, outcomes, cost)
    return Record(
        run="made-up",
        origin="simulated",
        time="2026-11-22T00:00:00+00:00",
        status=folded.status,
        status_counts=folded.status_counts,
        failure=folded.failure,
        case=key,
        summary=folded.summary,
        cost=cost,
        flags=folded.flags,
        processes=outcomes,
    )


@pytest.fixture
def made_up(pytester, monkeypatch):
    runs = MadeUpRuns(pytester)
    monkeypatch.setattr(run, "measure", runs.measure)
    return runs
