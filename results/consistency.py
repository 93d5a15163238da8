"""Whether what a valid record says in one place is what it says in another.

Each check recomputes a figure from what it was made of, or holds two fields together. A
difference means that the file was changed by hand, joined wrongly, or written by a program that
counts in another way; which of the two is wrong nobody can tell.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from .fold import summarise
from .moments import names_zone, read_moment
from .record import (
    Estimate,
    Failure,
    ProcessOutcome,
    QueueFit,
    Record,
    RoofData,
    Samples,
    Status,
    Summary,
)
from .rooflines import ABOVE, excess

#: (field, what is wrong with it).
Finding = tuple[str, str]

#: Two programs may round a sum or a logarithm differently, by far less than this.
TOLERANCE = 1e-6
_QUANTILES = ("min_s", "p20_s", "p95_s", "p99_s")


def inconsistencies(record: Record) -> Iterator[Finding]:
    """What contradicts itself in a record: field and sentence, none where all agrees."""
    yield from _of_names(record)
    yield from _of_status(record)
    for place, process in enumerate(record.processes):
        yield from outcome_inconsistencies(process, f"processes.{place}")
    if record.summary is not None:
        yield from _of_figures(record.summary)
    yield from _of_samples(record)
    for place, roof in enumerate(record.roofs):
        yield from _of_roof(record, roof, f"roofs.{place}")


def _of_names(record: Record) -> Iterator[Finding]:
    run = record.run
    if not run or run.startswith(".") or any(sign in run for sign in '/\\:\n\t"'):
        yield "run", f"{run!r:.60} can't be the name of a file"
    try:
        read_moment(record.time)
    except ValueError as error:
        # A table that others published may say that it is unknown.
        if record.origin != "published":
            yield "time", str(error)
    else:
        # Or give a day, a month or a year.
        if record.origin != "published" and not names_zone(record.time):
            yield "time", f"{record.time!r:.60} names no time zone"
    if record.device is not None and record.device.simulated != (record.origin == "simulated"):
        said = "a stand-in" if record.device.simulated else "no stand-in"
        yield "origin", f"'{record.origin}', and the device was {said} (device.simulated)"
    share = None if record.device is None else record.device.share
    if share is not None and not 0 < share <= 1:
        yield "device.share", f"{share:g}; wanted the part of a chip that one device is"
    if record.origin == "published" and not record.source:
        yield "source", "empty, and a published figure has one"


def _of_status(record: Record) -> Iterator[Finding]:
    yield from _of_failure(record.status, record.failure, "failure")
    if record.status is Status.OK and record.summary is None and _has_samples(record):
        yield "summary", "null, and there are samples"
    counts = Counter(str(process.status) for process in record.processes)
    if record.processes and counts != Counter(record.status_counts):
        yield (
            "status_counts",
            f"{_said(record.status_counts)}, and of the processes there are {_said(counts)}",
        )
    if counts and record.status is Status.OK:
        worse = [status for status in counts if status not in (Status.OK, Status.NOT_STEADY)]
        if worse:
            yield "status", f"OK, and a process ended {worse[0]}"


def _of_failure(status: Status, failure: Failure | None, field: str) -> Iterator[Finding]:
    if status is Status.OK and failure is not None:
        yield field, "given, and the status is OK"
    if status is not Status.OK and failure is None:
        yield field, f"null, and the status is {status}: wanted what went wrong"


def outcome_inconsistencies(process: ProcessOutcome, field: str) -> Iterator[Finding]:
    """What contradicts itself in what one process found out; ``field`` is where it stands."""
    yield from _of_failure(process.status, process.failure, f"{field}.failure")
    if process.duration_s < 0:
        yield f"{field}.duration_s", f"{process.duration_s:g}; wanted no negative time"
    for name in ("first_call_ns", "compile_ns", "peak_memory_bytes", "clock_hz"):
        value = getattr(process, name)
        if value is not None and value < 0:
            yield f"{field}.{name}", f"{value:g}; wanted none that is negative"
    for name in ("isolated", "sustained"):
        samples = getattr(process, name)
        if samples is not None:
            yield from _of_lists(samples, f"{field}.{name}")
    if process.fit is not None:
        yield from _of_fit(process.fit, f"{field}.fit")


def _of_lists(samples: Samples, field: str) -> Iterator[Finding]:
    count = len(samples.wall_ns)
    for name in ("cpu_ns", "device_ns", "involuntary_switches"):
        values = getattr(samples, name)
        # None at all is what other programs stamp, whose samples were read in.
        if values and len(values) != count:
            yield f"{field}.{name}", f"{len(values)} entries, and wall_ns has {count}"
    if any(value <= 0 for value in samples.wall_ns):
        yield f"{field}.wall_ns", f"{min(samples.wall_ns)} among them; wanted times above 0"
    if any(value < 0 for value in samples.cpu_ns):
        yield f"{field}.cpu_ns", f"{min(samples.cpu_ns)} among them; wanted no negative time"


def _of_fit(fit: QueueFit, field: str) -> Iterator[Finding]:
    if len(fit.calls) != len(fit.wall_ns):
        yield f"{field}.wall_ns", f"{len(fit.wall_ns)} entries, and calls has {len(fit.calls)}"


def _of_figures(summary: Summary) -> Iterator[Finding]:
    """What holds within a summary, whatever it was made from."""
    for name in ("isolated", "sustained", "fixed_cost", "slope"):
        estimate: Estimate | None = getattr(summary, name)
        if estimate is None:
            continue
        yield from _of_estimate(estimate, f"summary.{name}")
    known = [(name, value) for name in _QUANTILES if (value := getattr(summary, name)) is not None]
    for (name, value), (next_name, next_value) in pairwise(known):
        if value > next_value * (1 + TOLERANCE):
            yield f"summary.{next_name}", f"{next_value:g}, and {name} is {value:g}"
    for name, (low, high) in summary.rank_intervals_s.items():
        if low > high:
            yield f"summary.rank_intervals_s.{name}", f"begins at {low:g} and ends at {high:g}"


def _of_estimate(estimate: Estimate, field: str) -> Iterator[Finding]:
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        if low is not None or high is not None:
            yield field, "one bound without the other"
        return
    slack = TOLERANCE * max(abs(low), abs(high))
    if not low - slack <= estimate.value <= high + slack:
        yield field, f"{estimate.value:g} lies outside its interval, {low:g} to {high:g}"


def _of_samples(record: Record) -> Iterator[Finding]:
    """The summary made anew from the raw samples, held against the one that stands there. A
    baseline and an import have a summary of samples that aren't in the file."""
    if all(process.sustained is None and process.isolated is None for process in record.processes):
        return
    if record.summary is None and record.status is not Status.OK:
        return
    try:
        wanted = summarise(record.processes, record.cost, record.case.dtype)
    except ValueError as error:
        yield "processes", f"no summary can be made of these samples: {error}"
        return
    if record.summary is None or wanted is None:
        return
    found, made = _flat(record.summary), _flat(wanted)
    for name in sorted(found.keys() | made.keys()):
        if not _agree(found.get(name), made.get(name)):
            yield (
                f"summary.{name}",
                f"{_figure(found.get(name))}, and the samples give {_figure(made.get(name))}",
            )


def _of_roof(record: Record, roof: RoofData, field: str) -> Iterator[Finding]:
    if (roof.floor_s is None) != (roof.fraction is None):
        yield field, "floor_s without fraction, or fraction without floor_s"
    if roof.floor_s is None and not roof.reason:
        yield f"{field}.reason", "empty, and floor_s is null: wanted why the roof is unknown"
    if record.status is Status.OK and record.origin != "published":
        reached = excess(record, roof)
        if reached is not None and reached > ABOVE:
            yield "status", f"OK, and {reached:.2f} times the {roof.ceiling} ceiling"
    if roof.floor_s is None or roof.fraction is None:
        return
    if roof.floor_s <= 0:
        yield f"{field}.floor_s", f"{roof.floor_s:g}; wanted a time above 0"
    summary = record.summary
    sustained = None if summary is None else summary.sustained
    if sustained is not None:
        wanted = roof.floor_s / sustained.value
        if not _agree(roof.fraction, wanted):
            yield (
                f"{field}.fraction",
                f"{roof.fraction:g}, and floor_s over the sustained time is {wanted:g}",
            )


def _has_samples(record: Record) -> bool:
    return any(
        samples is not None and samples.wall_ns
        for process in record.processes
        for samples in (process.isolated, process.sustained)
    )


def _flat(summary: Summary) -> dict[str, float | str | None]:
    flat: dict[str, float | str | None] = {}
    for name, value in summary.model_dump().items():
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, tuple):
                    flat[f"{name}.{key}.low"], flat[f"{name}.{key}.high"] = inner
                else:
                    flat[f"{name}.{key}"] = inner
        else:
            flat[name] = value
    return {name: value for name, value in flat.items() if value is not None}


def _agree(found: float | str | None, wanted: float | str | None) -> bool:
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        # A sum that comes out near zero, such as a fixed cost, is known to a nanosecond's part.
        return math.isclose(found, wanted, rel_tol=TOLERANCE, abs_tol=1e-15)
    return found == wanted


def _figure(value: float | str | None) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) else f"{value:.9g}"


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"
