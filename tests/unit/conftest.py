"""Made-up outcomes and records for the tests of results/."""

from __future__ import annotations

import pytest

from trnbench.results.fold import fold
from trnbench.results.record import (
    CaseKey,
    CostData,
    Device,
    Environment,
    Failure,
    ProcessOutcome,
    Record,
    RoofData,
    Samples,
    Status,
)


def a_case(**changes):
    columns = {
        "workload": "matmul",
        "configuration": "square-512",
        "params": {"op": "mm", "m": 512, "n": 512, "k": 512},
        "phase": "forward",
        "dtype": "fp32",
        "mode": "eager",
        "backend": "cpu",
    }
    return CaseKey(**columns | changes)


def some_samples(per_call_s=1e-3, count=20, calls=2, cpu_fraction=1.0, switched=0):
    """``per_call_s``: one figure, or one a sample."""
    times = per_call_s if isinstance(per_call_s, list) else [per_call_s] * count
    wall_ns = [round(time * calls * 1e9) for time in times]
    return Samples(
        calls=calls,
        wall_ns=wall_ns,
        cpu_ns=[round(wall * cpu_fraction) for wall in wall_ns],
        involuntary_switches=[1] * switched + [0] * (len(wall_ns) - switched),
    )


def an_outcome(process=0, per_call_s=1e-3, status=Status.OK, **changes):
    facts = {"process": process, "position": 0, "status": status, "duration_s": 0.5}
    if per_call_s is not None and "sustained" not in changes:
        facts |= {
            "sustained": some_samples(per_call_s),
            "isolated": some_samples(per_call_s * 1.2),
        }
    if status not in (Status.OK, Status.NOT_STEADY) and "failure" not in changes:
        facts["failure"] = Failure(message=f"{status} in process {process}", mend="mend it")
    return ProcessOutcome(**facts | changes)


def a_cost(**changes):
    facts = {
        "flops": 2 * 512**3,
        "flops_counted": 2 * 512**3,
        "bytes_moved": 3 * 512 * 512 * 4,
        "bytes_useful": 3 * 512 * 512 * 4,
        "working_set_bytes": 3 * 512 * 512 * 4,
        "items": 512,
        "item_unit": "rows",
        "headline": "flops",
        "convention": "a multiply-add is two",
        "source": "definition",
    }
    return CostData(**facts | changes)


def a_roof(ceiling="attained", floor_s=0.9e-3, fraction=0.9, bound="tensor", reason=""):
    return RoofData(
        ceiling=ceiling,
        floor_s=floor_s,
        bound=bound,
        fraction=fraction,
        denominator="made up",
        reason=reason,
    )


def an_environment(**changes):
    facts = {
        "machine": "0123456789ab",
        "boot": "ba9876543210",
        "system": "Linux 6.1 x86_64",
        "cpu": "Some Processor 9000",
        "cpus_logical": 4,
        "memory_bytes": 16 * 2**30,
        "threads": 2,
        "python": "3.11.2",
        "versions": {"torch": "2.13.0"},
    }
    return Environment(**facts | changes)


def a_device(**changes):
    facts = {
        "name": "Some Processor 9000",
        "chip": None,
        "chip_reason": "a CPU isn't in the catalog",
        "share": None,
        "index": 0,
        "cores_used": 2,
        "memory_bytes": 16 * 2**30,
        "driver": None,
    }
    return Device(**facts | changes)


def a_record(case=None, medians=(1e-3, 1.01e-3, 0.99e-3), status=Status.OK, **changes):
    """A record whose processes have these median times per call."""
    case = case or a_case()
    outcomes = [an_outcome(number, median) for number, median in enumerate(medians)]
    if status is not Status.OK:
        outcomes = [an_outcome(0, None, status)]
    cost = changes.pop("cost", a_cost())
    folded = fold(case, outcomes, cost, cores_used=1)
    facts = {
        "run": "20261122T021733Z-4f2a9c",
        "origin": "measured",
        "time": "2026-11-22T02:17:33Z",
        "status": status,
        "status_counts": folded.status_counts,
        "failure": folded.failure,
        "case": case,
        "summary": folded.summary,
        "cost": cost,
        "roofs": [a_roof()] if status is Status.OK else [],
        "flags": folded.flags,
        "processes": outcomes,
        "device": a_device(),
        "environment": an_environment(),
    }
    return Record(**facts | changes)


class Make:
    """The builders above, for tests: ``make.record(...)``."""

    case = staticmethod(a_case)
    samples = staticmethod(some_samples)
    outcome = staticmethod(an_outcome)
    cost = staticmethod(a_cost)
    roof = staticmethod(a_roof)
    environment = staticmethod(an_environment)
    device = staticmethod(a_device)
    record = staticmethod(a_record)


@pytest.fixture
def make():
    return Make
