"""An open run: what it was asked, what is measured so far, what is still to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..results.record import CaseKey, Device, Environment, ProcessOutcome, Record, Status
from ..results.store import (
    RunHeader,
    RunWriter,
    case_id,
    create_run,
    find_run,
    new_run_id,
    resume_run,
)
from ..specs.catalog import Catalog
from .environment import environment
from .errors import UsageError
from .options import RunOptions
from .privacy import scrub_text
from .roofs import identified

#: Ends that another process of the same case would only repeat, at the price of a limit each.
SETTLED = frozenset(Status) - {
    Status.OK,
    Status.NOT_STEADY,
    Status.RECOMPILED,
    Status.FALLBACK_TO_CPU,
    Status.BUSY_DEVICE,
}
#: Facts of the environment that may differ between the halves of a run.
VOLATILE = frozenset({"boot", "load_average"})
#: Options that must be as they were when a run is taken up again.
BINDING = (
    "preset",
    "processes",
    "budget_s",
    "threads",
    "allow_tf32",
    "cores",
    "lnc",
    "cache",
    "load",
)


class Session:
    """The run's file with the outcomes so far. Use as a context; made by ``open_session``."""

    def __init__(
        self,
        writer: RunWriter,
        here: Environment,
        processes: int,
        outcomes: dict[str, list[ProcessOutcome]],
        devices: Mapping[str, Device],
        records: Sequence[Record],
        catalog: Catalog,
    ) -> None:
        self.environment = here
        self.catalog = catalog
        self._writer = writer
        self._processes = processes
        self._outcomes = outcomes
        self._records = {case_id(record.case): record for record in records}
        self._devices: dict[str, Device] = {
            record.case.backend: record.device for record in records if record.device
        }
        self._devices |= devices

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._writer.finish()
        else:
            self._writer.close()

    @property
    def run(self) -> str:
        return self._writer.file.run

    @property
    def path(self) -> Path:
        return self._writer.path

    def outcomes(self, key: CaseKey) -> list[ProcessOutcome]:
        return self._outcomes.get(case_id(key), [])

    def device(self, backend: str) -> Device | None:
        """The device that last answered for this backend; ``None`` before any did."""
        return self._devices.get(backend)

    @property
    def label(self) -> str:
        """The run's label: that of its header, also when it is taken up again."""
        return self._writer.header.label

    def clock_hz(self, backend: str) -> float | None:
        """The highest clock that any process of the run has measured so far; ``None`` where
        none could. A disturbed reading is only ever too low."""
        recorded = (o for r in self._records.values() for o in r.processes)
        known = [
            outcome.clock_hz
            for outcome in (*recorded, *(o for some in self._outcomes.values() for o in some))
            if outcome.clock_hz is not None
        ]
        return max(known, default=None) if backend == "cpu" else None

    def is_open(self, key: CaseKey, process: int | None = None) -> bool:
        """Whether the case needs more processes; with ``process``, whether it needs that one."""
        if case_id(key) in self._records:
            return False
        done = self.outcomes(key)
        if any(outcome.status in SETTLED for outcome in done):
            return False
        if process is not None:
            return all(outcome.process != process for outcome in done)
        return len(done) < self._processes

    def keep(self, key: CaseKey, outcome: ProcessOutcome, device: Device | None) -> None:
        """Write an outcome to the journal before anything else is measured."""
        if device is not None and key.backend not in self._devices:
            self._devices[key.backend] = identified(_publishable_device(device), self.catalog)
        outcome = _publishable(outcome)
        self._writer.journal(key, outcome, self._devices.get(key.backend))
        self._outcomes.setdefault(case_id(key), []).append(outcome)

    def append(self, record: Record) -> None:
        self._writer.append(record)
        self._records[case_id(record.case)] = record

    def unrecorded(self) -> list[CaseKey]:
        return self._writer.missing()

    def records(self) -> tuple[Record, ...]:
        """In the order of the selection."""
        ids = [case_id(key) for key in self._writer.header.cases]
        return tuple(self._records[i] for i in ids if i in self._records)


def open_session(keys: Sequence[CaseKey], options: RunOptions, role: str) -> Session:
    """A new run, or the unfinished one that ``options.resume`` names; ``role`` is that of its
    workers ("measure" or "check").

    Raises ``UsageError`` where there is nothing to measure, or where the cases, the options or
    the environment of the run to resume are others; ``StoreError`` where there is no such run.
    """
    if not keys:
        raise UsageError("no cases selected; see what there is with: trnbench list")
    here, catalog = environment(options.threads), options.catalog()
    header = RunHeader(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        label=options.label,
        fingerprint=_fingerprint(here),
        options={name: asdict(options)[name] for name in BINDING} | {"role": role},
        cases=list(keys),
    )
    if options.resume is None:
        writer = create_run(options.out, new_run_id(), header)
        return Session(writer, here, options.processes, {}, {}, (), catalog)
    writer, journal, stored = resume_run(find_run(options.out, options.resume, role))
    try:
        _require_same(header, journal.header, journal.run)
    except UsageError:
        writer.close()
        raise
    return Session(
        writer,
        here,
        options.processes,
        journal.outcomes,
        journal.devices,
        stored.records,
        catalog,
    )


def _publishable_device(device: Device) -> Device:
    """The device with paths and names taken out of what its stack says of it."""
    facts = {k: scrub_text(v) if isinstance(v, str) else v for k, v in device.facts.items()}
    return device.model_copy(update={"facts": facts})


def _publishable(outcome: ProcessOutcome) -> ProcessOutcome:
    """The outcome with paths and names taken out of what a workload or its stack said."""
    changes: dict[str, Any] = {
        "peak_memory_note": scrub_text(outcome.peak_memory_note),
        "health": {
            k: scrub_text(v) if isinstance(v, str) else v for k, v in outcome.health.items()
        },
    }
    if outcome.failure is not None:
        said = {name: scrub_text(getattr(outcome.failure, name)) for name in ("message", "mend")}
        changes["failure"] = outcome.failure.model_copy(update=said)
    if outcome.numeric is not None:
        note = scrub_text(outcome.numeric.note)
        changes["numeric"] = outcome.numeric.model_copy(update={"note": note})
    return outcome.model_copy(update=changes)


def _fingerprint(here: Environment) -> dict[str, Any]:
    return {k: v for k, v in here.model_dump(mode="json").items() if k not in VOLATILE}


def _require_same(now: RunHeader, then: RunHeader, run: str) -> None:
    """Half a run of one thing and half of another would be no run."""
    plain = RunHeader.model_validate_json(now.model_dump_json())
    advice = "start a new run without --bench-resume, or go back to what it was"
    for kind, before, after in (
        ("environment", then.fingerprint, plain.fingerprint),
        ("options", then.options, plain.options),
    ):
        changed = [k for k in sorted(before.keys() | after.keys()) if before.get(k) != after.get(k)]
        if changed:
            changes = "; ".join(f"{k}: {before.get(k)} then, {after.get(k)} now" for k in changed)
            raise UsageError(f"run {run} can't go on: its {kind} changed ({changes}); {advice}")
    if now.label and now.label != then.label:
        raise UsageError(
            f"run {run} has the label '{then.label}', '{now.label}' given; leave it out to go on"
        )
    given, wanted = ({case_id(key) for key in header.cases} for header in (now, then))
    if given != wanted:
        raise UsageError(
            f"run {run} can't go on: it has {len(wanted)} cases, {len(given)} are selected now, "
            f"{len(given & wanted)} of them the same; select what it was started with, or start "
            "a new run without --bench-resume"
        )
