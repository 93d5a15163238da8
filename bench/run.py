"""A run: the plan, its workers, its records. The one entry for pytest and the command line."""

from __future__ import annotations

import functools
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from ..backends import registry as backends
from ..backends.protocol import Settings
from ..results.record import CaseKey, CostData, Device, ProcessOutcome, Record, Status
from ..results.store import case_id
from .assembly import Assembly
from .case import Case
from .errors import UsageError
from .findings import explained
from .messages import Job, SettingsData
from .occupancy import busy_outcomes, find_others
from .options import RunOptions
from .registration import registering_modules
from .session import Session, open_session
from .supervisor import Limits, memory_limit_bytes, run_job, split_job
from .telemetry import Telemetry

#: What the folder of a run's own compile caches is called, while the run lasts.
CACHE_SUFFIX = ".cache"


class Listener(Protocol):
    """Told what happens while a run goes on; draws it, or does nothing."""

    def planned(self, cases: Sequence[Case], processes: int) -> None:
        """The cases of the run, and how many worker processes measure each."""

    def started(self, case: Case, process: int) -> None:
        """A worker began with a case."""

    def phase(self, case: Case, process: int, phase: str) -> None:
        """The case's phase: reference, build, first call, numerics, warm-up, sampling,
        fit or made anew."""

    def ended(self, case: Case, process: int, status: str) -> None:
        """A process is done with a case."""

    def recorded(self, record: Record) -> None:
        """A case is finished: its record stands in the run's file."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """Where a run's file is, and its records in the order of the selection."""

    path: Path
    records: tuple[Record, ...]


class ExternalCase(Protocol):
    """A case that something else measures, such as a test that uses the fixture ``bench``:
    one process at a time, each in a fresh interpreter of its own."""

    @property
    def key(self) -> CaseKey: ...

    @property
    def cost(self) -> CostData | None: ...

    def measure(self, process: int) -> tuple[ProcessOutcome, Device | None]:
        """Measure once in a fresh process; every failure is a typed outcome."""


def measure(
    cases: Sequence[Case],
    options: RunOptions,
    listener: Listener,
    external: Sequence[ExternalCase] = (),
    *,
    check: bool = False,
) -> RunResult:
    """Measure ``cases`` in ``options.processes`` fresh worker processes and store a record for
    each; ``external`` cases are measured in the same rounds and stored in the same file. With
    ``check`` nothing is timed: the records say which cases run and are right.

    Records are written as soon as a case's last process is done. Raises ``UsageError`` and
    ``results.store.StoreError`` for options that can't be met. An interrupt goes through; what
    was measured until then stays in the journal.
    """
    keys = [case.key() for case in cases] + [e.key for e in external]
    require_environment(keys, options.settings())
    role = "check" if check else "measure"
    names = list(dict.fromkeys(key.backend for key in keys))
    with (
        open_session(keys, options, role) as session,
        Telemetry([] if check else names) as telemetry,
    ):
        assembly = Assembly(session, options, {case_id(e.key): e.cost for e in external})
        run = _Run(session, assembly, options, listener, telemetry, role)
        if options.cache == "fresh":
            # Beside the run's own files, so that a run which is taken up finds it again.
            cache = session.path.with_suffix(CACHE_SUFFIX)
            run.settings = replace(run.settings, cache=str(cache.absolute()))
        listener.planned([Case.of(key) for key in keys], options.processes)
        # What of them was measured to learn their keys is in the journal before anything else.
        run.measure_external(external, 0)
        with tempfile.TemporaryDirectory(prefix="trnbench-") as references:
            assembly.references = Path(references)
            run.make_references([case.key() for case in cases], references)
            for process in range(options.processes):
                run.measure_once([case.key() for case in cases], process, references)
                run.measure_external(external, process)
            run.record_rest()
        shutil.rmtree(session.path.with_suffix(CACHE_SUFFIX), ignore_errors=True)
        return RunResult(session.path, session.records())


def require_environment(keys: Sequence[CaseKey], settings: Settings) -> None:
    """Raises ``UsageError`` where a variable or a setting rules a backend out, before anything
    is measured."""
    for name in dict.fromkeys(key.backend for key in keys):
        try:
            backends.create(name).prepare_environment(dict(os.environ), settings)
        except ValueError as error:
            raise UsageError(f"backend '{name}' can't measure here: {error}") from error


class _Run:
    """The rounds of a run: each process measures what is still open, in an order of its own."""

    def __init__(
        self,
        session: Session,
        assembly: Assembly,
        options: RunOptions,
        listener: Listener,
        telemetry: Telemetry,
        role: str,
    ) -> None:
        self.role = role
        self.session = session
        self.assembly = assembly
        self.options = options
        self.listener = listener
        self.telemetry = telemetry
        self.settings = options.settings()
        self.limits = Limits(options.timeout_s, memory_limit_bytes(options.memory_limit_bytes))

    def make_references(self, keys: Sequence[CaseKey], references: str) -> None:
        """Compute the reference of every open case; one that fails is that case's outcome."""
        open_keys = [key for key in keys if self.session.is_open(key)]
        first = {(k.workload, k.configuration, k.dtype): k for k in reversed(open_keys)}
        if not first:
            return
        failed: dict[tuple[str, str, str], ProcessOutcome] = {}

        def on_outcome(key: CaseKey, outcome: ProcessOutcome, _: Device | None) -> None:
            if outcome.status is not Status.OK:
                failed[key.workload, key.configuration, key.dtype] = outcome

        ordered = [key for key in open_keys if first[_workload_of(key)] is key]
        job = self._job("reference", "cpu", ordered, process=0, references=references)
        environment = os.environ | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
        run_job(job, environment, self.limits, self._on_phase(0), on_outcome, lambda _: None)
        for key in open_keys:
            if _workload_of(key) in failed:
                self._take(key, failed[_workload_of(key)], None)

    def measure_once(self, keys: Sequence[CaseKey], process: int, references: str) -> None:
        """One fresh process (or as many as the backend asks for) over every open case."""
        for name in dict.fromkeys(key.backend for key in keys):
            backend = backends.create(name)
            todo = [k for k in keys if k.backend == name and self.session.is_open(k, process)]
            random.Random(f"{self.session.run} {process}").shuffle(todo)
            environment = dict(os.environ)
            backend.prepare_environment(environment, self.settings)
            limits = replace(self.limits, compile_s=backend.compile_allowance_s)
            explain = functools.partial(explained, backend)
            position = 0
            for chunk in split_job(todo, backend.cases_per_process):
                busy = find_others(backend, self.settings)
                if busy is not None:
                    left = busy_outcomes(busy, len(chunk), process, position)
                    for key, outcome in zip(chunk, left, strict=True):
                        self._take(key, outcome, None)
                else:
                    job = self._job(self.role, name, chunk, process, references, position)
                    on_phase = self._on_phase(process)
                    run_job(job, environment, limits, on_phase, self._take, explain)
                position += len(chunk)

    def measure_external(self, external: Sequence[ExternalCase], process: int) -> None:
        """One process of each case that something else measures."""
        for case in external:
            if self.session.is_open(case.key, process):
                self.listener.started(Case.of(case.key), process)
                outcome, device = case.measure(process)
                self._take(case.key, outcome, device)

    def record_rest(self) -> None:
        """Write the records of cases whose last process ended before the run was taken up."""
        for key in self.session.unrecorded():
            self._record(key)

    def _job(
        self,
        role: str,
        backend: str,
        keys: Sequence[CaseKey],
        process: int,
        references: str,
        position: int = 0,
    ) -> Job:
        return Job.model_validate(
            {
                "role": role,
                "backend": backend,
                "settings": SettingsData(**asdict(self.settings)),
                "cases": list(keys),
                "process": process,
                "first_position": position,
                "budget_s": self.options.budget_s,
                "load": list(dict.fromkeys([*self.options.load, *registering_modules()])),
                "path": import_path(),
                "references": references,
                "parent": os.getpid(),
                "memory_bytes": self.limits.memory_bytes,
                "economics": self.settings.cache is not None,
            }
        )

    def _on_phase(self, process: int) -> Callable[[CaseKey, str], None]:
        began: set[str] = set()

        def on_phase(key: CaseKey, phase: str) -> None:
            case = Case.of(key)
            if case_id(key) not in began:
                began.add(case_id(key))
                self.listener.started(case, process)
            self.listener.phase(case, process, phase)

        return on_phase

    def _take(self, key: CaseKey, outcome: ProcessOutcome, device: Device | None) -> None:
        """Keep an outcome; write the case's record when it was the last."""
        end_s = time.monotonic()
        read = self.telemetry.between(end_s - outcome.duration_s, end_s)
        outcome = outcome.model_copy(update={"telemetry": read})
        self.session.keep(key, outcome, device)
        self.listener.ended(Case.of(key), outcome.process, outcome.status)
        if not self.session.is_open(key):
            self._record(key)

    def _record(self, key: CaseKey) -> None:
        record = self.assembly.record(key)
        self.session.append(record)
        self.listener.recorded(record)


def _workload_of(key: CaseKey) -> tuple[str, str, str]:
    return key.workload, key.configuration, key.dtype


def import_path() -> list[str]:
    """Where the parent finds a user's modules; the empty entry is the working folder."""
    return [str(Path(entry).absolute()) for entry in sys.path]
