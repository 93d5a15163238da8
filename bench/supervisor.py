"""Worker processes from the parent's side: start them, listen, limit, end them as a group.

A case that hangs, crashes or takes too much memory ends its worker; the outcome is typed and
a fresh worker goes on with the cases that remain.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import psutil

from ..results.record import CaseKey, Device, Failure, ProcessOutcome, Status
from .findings import NOT_MADE_ANEW
from .memory import resident_bytes
from .messages import Job, Line, Measured, Outcome, Phase, Started

#: Seconds between two looks at a worker's memory and clock. A look costs tens of microseconds
#: on another core; what is allocated in between can't pass the limit by much.
LOOK_S = 0.1
#: A worker that hasn't claimed its device after this long never will.
START_TIMEOUT_S = 180.0
#: Seconds that a worker gets to leave after its last message.
LEAVE_S = 10.0
#: Ends for which a stack's own output may know a better reason.
RAISED = frozenset({Status.BUILD_ERROR, Status.COMPILE_ERROR, Status.RUNTIME_ERROR})
#: What is read of a dead worker's output, and how many lines of it stand in a record.
TAIL_BYTES = 8192
LAST_LINES = 3
#: Phases in which a case is timed, or runs what was compiled before.
QUIET = frozenset({"warm-up", "sampling", "fit"})
#: Phases after which nothing should be compiled any more.
SAMPLED = frozenset({"sampling", "fit"})
OUT_OF_MEMORY_TEXT = re.compile(
    r"out of memory|can't allocate memory|std::bad_alloc", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Wall limit of one case in one process, and the resident size that ends a worker.

    ``compile_s`` comes on top of ``case_s`` up to the end of the warm-up, for a compiler that
    takes minutes; what is sampled after that has ``case_s`` for itself.
    """

    case_s: float
    memory_bytes: int
    compile_s: float = 0.0


@dataclass(slots=True)
class Told:
    """What the parent learns from one worker."""

    device: Device | None = None
    outcomes: dict[int, ProcessOutcome] = field(default_factory=dict)
    current: int | None = None
    measured: tuple[int, ProcessOutcome] | None = None
    phase: str = "start"
    case_begin: float = 0.0
    sampling_begin: float = 0.0
    output_begin: int = 0
    start_s: float | None = None


def run_job(
    job: Job,
    environment: dict[str, str],
    limits: Limits,
    on_phase: Callable[[CaseKey, str], None],
    on_outcome: Callable[[CaseKey, ProcessOutcome, Device | None], None],
    explain: Callable[[str], tuple[Status, Failure] | None],
) -> None:
    """Carry out every case of ``job``, however many workers that takes.

    ``on_outcome`` is called once a case, in the order in which they end; ``explain`` says what a
    dead worker's last words give away. Raises ``KeyboardInterrupt`` through, with the worker
    ended.
    """
    remaining = list(job.cases)
    position = job.first_position
    while remaining:
        worker = _Worker(
            job.model_copy(update={"cases": remaining, "first_position": position}),
            environment,
            limits,
            explain,
        )
        done = worker.run(on_phase, on_outcome)
        remaining, position = remaining[done:], position + done


class _Worker:
    """One child process in a session of its own, so that its children end with it."""

    def __init__(
        self,
        job: Job,
        environment: dict[str, str],
        limits: Limits,
        explain: Callable[[str], tuple[Status, Failure] | None],
    ) -> None:
        self.job = job
        self.limits = limits
        self.explain = explain
        self.begin = time.monotonic()
        self.told = Told()
        self.output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker
        reader, writer = os.pipe()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trnbench.bench.worker", str(writer)],
                stdin=subprocess.PIPE,
                stdout=self.output,
                stderr=self.output,
                env=environment,
                pass_fds=(writer,),
                start_new_session=True,
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        self.stdin = self.process.stdin
        self.pipe = reader
        self.buffer = b""

    def run(
        self,
        on_phase: Callable[[CaseKey, str], None],
        on_outcome: Callable[[CaseKey, ProcessOutcome, Device | None], None],
    ) -> int:
        """Listen until the worker ends or is ended; how many of its cases are done with."""
        failure, heard_out = None, False
        try:
            self._hand_over_job()
            failure = self._listen(on_phase, on_outcome)
            heard_out = failure is None
        finally:
            try:
                self._end_group(patient=heard_out)
            finally:
                os.close(self.pipe)
                with contextlib.suppress(BrokenPipeError):
                    self.stdin.close()
        done = len(self.told.outcomes)
        if done < len(self.job.cases):
            # The worker ended inside a case: that case is the one to blame. One that never
            # claimed its device would not claim it for the other cases either.
            status, reason = failure or self._explain_end()
            blamed = done + 1 if self.told.device else len(self.job.cases)
            for index in range(done, blamed):
                outcome = ProcessOutcome(
                    process=self.job.process,
                    position=self.job.first_position + index,
                    status=status,
                    failure=reason,
                    duration_s=time.monotonic() - self.told.case_begin,
                )
                if self.told.measured is not None and self.told.measured[0] == index:
                    kept = self.told.measured[1]
                    outcome = kept.model_copy(update={"flags": [*kept.flags, NOT_MADE_ANEW]})
                on_outcome(self.job.cases[index], outcome, self.told.device)
            done = blamed
        self.output.close()
        return done

    def _hand_over_job(self) -> None:
        self.told.case_begin = time.monotonic()
        self._tell(self.job.model_dump_json().encode())

    def _tell(self, line: bytes) -> None:
        # A worker that has died is explained by its end, not by the broken pipe.
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(line + b"\n")
            self.stdin.flush()

    def _listen(
        self,
        on_phase: Callable[[CaseKey, str], None],
        on_outcome: Callable[[CaseKey, ProcessOutcome, Device | None], None],
    ) -> tuple[Status, Failure] | None:
        """Until the pipe closes (None) or a limit is passed (the status and reason)."""
        while True:
            ready, _, _ = select.select([self.pipe], [], [], LOOK_S)
            if ready:
                chunk = os.read(self.pipe, 1 << 16)
                if not chunk:
                    return None
                self._take(chunk, on_phase, on_outcome)
                if len(self.told.outcomes) == len(self.job.cases):
                    return None
            elif self.process.poll() is not None:
                # Its children may still hold the other end of the pipe.
                return None
            over = self._limit_passed()
            if over is not None:
                return over

    def _take(
        self,
        chunk: bytes,
        on_phase: Callable[[CaseKey, str], None],
        on_outcome: Callable[[CaseKey, ProcessOutcome, Device | None], None],
    ) -> None:
        *lines, self.buffer = (self.buffer + chunk).split(b"\n")
        for line in lines:
            message = Line.model_validate_json(line).message
            if isinstance(message, Started):
                self.told.device = message.device
                self.told.case_begin = time.monotonic()
                self.told.start_s = self.told.case_begin - self.begin
            elif isinstance(message, Phase):
                if message.index != self.told.current:
                    self.told.current = message.index
                    self.told.output_begin = os.fstat(self.output.fileno()).st_size
                    self.told.case_begin = time.monotonic()
                self.told.phase = message.phase
                if message.phase == "sampling":
                    self.told.sampling_begin = time.monotonic()
                on_phase(self.job.cases[message.index], message.phase)
            elif isinstance(message, Measured):
                self.told.measured = message.index, message.outcome
            elif isinstance(message, Outcome):
                outcome = self._reconsidered(message.outcome)
                if not self.told.outcomes:
                    outcome = outcome.model_copy(update={"start_s": self.told.start_s})
                self.told.outcomes[message.index] = outcome
                on_outcome(self.job.cases[message.index], outcome, self.told.device)
                self.told.case_begin = time.monotonic()
                self._tell(b"")

    def _reconsidered(self, outcome: ProcessOutcome) -> ProcessOutcome:
        """The outcome of a case that raised, with what the stack printed meanwhile: a compiler is
        a process of its own, and its words aren't in the exception."""
        if outcome.status not in RAISED:
            return outcome
        size = os.fstat(self.output.fileno()).st_size
        begin = max(self.told.output_begin, size - TAIL_BYTES)
        # Read where it stands: the worker writes on at the same offset of the same file.
        printed = os.pread(self.output.fileno(), size - begin, begin).decode(errors="replace")
        known = self.explain(printed)
        if known is None:
            return outcome
        return outcome.model_copy(update={"status": known[0], "failure": known[1]})

    def _limit_passed(self) -> tuple[Status, Failure] | None:
        begin, limit = self.told.case_begin, self.limits.case_s
        if not self.told.device:
            limit = START_TIMEOUT_S
        elif self.limits.compile_s and self.told.phase in SAMPLED:
            begin = self.told.sampling_begin
        else:
            limit += self.limits.compile_s
        elapsed = time.monotonic() - begin
        if elapsed > limit:
            doing = self.told.phase
            return Status.TIMEOUT, Failure(
                message=f"no end after {elapsed:.0f} s in phase '{doing}'; limit {limit:g} s",
                mend="raise --bench-timeout if the case really needs that long",
                kind="timeout",
            )
        resident = self._resident_bytes()
        if resident > self.limits.memory_bytes:
            return Status.OUT_OF_MEMORY, Failure(
                message=f"the worker's resident size reached {resident / 2**30:.1f} GiB in phase "
                f"'{self.told.phase}'; limit {self.limits.memory_bytes / 2**30:.1f} GiB",
                mend="raise --bench-memory-limit, or measure a smaller configuration",
                kind="memory",
            )
        return None

    def _resident_bytes(self) -> int:
        """Finding children reads the whole process table, which would disturb timing."""
        return resident_bytes(self.process.pid, with_children=self.told.phase not in QUIET)

    def _end_group(self, *, patient: bool) -> None:
        """End the worker and whatever it started, and wait for it. A worker that has closed
        its pipe is given time to leave by itself, so that its exit status is its own."""
        try:
            if patient:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=LEAVE_S)
        finally:
            # Also when a second interrupt ends the wait.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _explain_end(self) -> tuple[Status, Failure]:
        """Why a worker ended by itself inside a case: its exit status and last words."""
        code = self.process.returncode
        tail = self._tail()
        known = self.explain(tail)
        if known is not None:
            return known
        words = " | ".join(line.strip() for line in tail.splitlines()[-LAST_LINES:])
        if OUT_OF_MEMORY_TEXT.search(words):
            return Status.OUT_OF_MEMORY, Failure(message=words, kind="memory")
        if code < 0:
            name = signal.Signals(-code).name
            message = f"the worker was ended by {name} in phase '{self.told.phase}'"
            return Status.CRASHED, Failure(
                message=f"{message}: {words}" if words else message, kind=name
            )
        message = f"the worker left with exit status {code} in phase '{self.told.phase}'"
        return Status.CRASHED, Failure(
            message=f"{message}: {words}" if words else message, kind=f"exit {code}"
        )

    def _tail(self) -> str:
        self.output.seek(0, os.SEEK_END)
        self.output.seek(max(0, self.output.tell() - TAIL_BYTES))
        return self.output.read().decode(errors="replace").strip()


def memory_limit_bytes(asked: int | None) -> int:
    """The asked limit, or 60 % of what is available now: the rest stays the system's, whose own
    killer would end any process but the right one."""
    return asked if asked is not None else int(0.6 * psutil.virtual_memory().available)


def split_job(cases: Sequence[CaseKey], cases_per_process: int | None) -> list[list[CaseKey]]:
    """Cases by worker process, as the backend asks."""
    size = cases_per_process or max(1, len(cases))
    return [list(cases[i : i + size]) for i in range(0, len(cases), size)]
