"""Tests that use the fixture ``bench``, from the side of the run: each is measured in child
processes of pytest that run this one test, since a closure can't be sent to a worker.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from ..backends import registry
from ..backends.protocol import Backend
from ..results.record import CaseKey, CostData, Device, Failure, ProcessOutcome, Status
from .findings import explained
from .fixture_messages import FixtureAnswer, FixtureJob
from .memory import resident_bytes
from .messages import SettingsData
from .occupancy import busy_outcomes, find_others
from .options import RunOptions
from .plugin import CHILD_VARIABLE
from .privacy import scrub_text
from .supervisor import (
    LEAVE_S,
    LOOK_S,
    OUT_OF_MEMORY_TEXT,
    QUIET,
    RAISED,
    START_TIMEOUT_S,
    TAIL_BYTES,
    memory_limit_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of a failing child's output that its report shows.
SHOWN_OUTPUT = 20_000


def is_fixture_test(item: pytest.Item) -> bool:
    """Whether a test asks for our fixture ``bench``; a project may have another of that name."""
    info = getattr(item, "_fixtureinfo", None)
    definitions = info.name2fixturedefs.get("bench") if info is not None else None
    if not definitions:
        return False
    return getattr(definitions[-1].func, "__module__", "") == f"{__package__}.plugin"


class FixtureCase:
    """One test as a case that something else measures: see ``run.ExternalCase``.

    ``cache`` is the folder of a run that has compile caches of its own. ``outputs`` holds what
    failing children printed: (title, text).
    """

    def __init__(self, item: pytest.Item, options: RunOptions, cache: str | None = None) -> None:
        self.item = item
        self.options = options
        self.settings = replace(options.settings(), cache=cache)
        self.outputs: list[tuple[str, str]] = []
        self._memory_bytes = memory_limit_bytes(options.memory_limit_bytes)
        self._first: tuple[ProcessOutcome, Device | None] | None = None
        self._key: CaseKey | None = None
        self._cost: CostData | None = None

    def describe(self) -> None:
        """Measure the first process now: what is measured is known only from the call. The run
        is told the key and the cost that are known after it, and these stay."""
        outcome, device, answer = self._measure(0)
        self._key, self._cost = answer.key, answer.cost
        self._first = outcome, device

    @property
    def key(self) -> CaseKey:
        if self._key is not None:
            return self._key
        # The test never came to its call of bench.
        return CaseKey(
            workload=self.item.nodeid.partition("[")[0],
            configuration=_configuration(self.item),
            params=_params(self.item),
            phase="forward",
            dtype="unknown",
            mode="eager",
            backend=self._backend,
        )

    @property
    def cost(self) -> CostData | None:
        return self._cost

    def measure(self, process: int) -> tuple[ProcessOutcome, Device | None]:
        if self._first is not None:
            first, device = self._first
            if process == 0:
                return first, device
            if first.status is Status.BUSY_DEVICE:
                # Nobody knows what the test measures: a figure would stand under a guessed key.
                return first.model_copy(update={"process": process}), None
        outcome, device, answer = self._measure(process)
        if outcome.sustained is not None and answer.key and answer.key != self.key:
            outcome = outcome.model_copy(update=_not_the_same(self.key, answer.key))
        return outcome, device

    @property
    def _backend(self) -> str:
        return next(iter(self.options.backends), "cpu")

    def _measure(self, process: int) -> tuple[ProcessOutcome, Device | None, FixtureAnswer]:
        """Run the test in a fresh interpreter, and turn whatever happens into an outcome."""
        backend = registry.create(self.key.backend)
        busy = find_others(backend, self.settings)
        if busy is not None:
            (outcome,) = busy_outcomes(busy, 1, process, 0)
            return outcome, None, FixtureAnswer()
        limit_s = self.options.timeout_s + backend.compile_allowance_s
        with tempfile.TemporaryDirectory(prefix="trnbench-") as folder:
            begin = time.monotonic()
            job = self._job(process, Path(folder))
            Path(folder, "job.json").write_text(job.model_dump_json(), encoding="utf-8")
            with Path(folder, "output").open("w+b") as output:
                child = _Child(self._command(folder), self._environment(folder, backend), output)
                ended = child.wait(Path(job.answer), limit_s, self._memory_bytes)
                answer = _read(Path(job.answer))
                text = _text(output, SHOWN_OUTPUT)
                said = _text(output, TAIL_BYTES, *answer.said)
        outcome = answer.outcome or ProcessOutcome(
            process=process,
            position=0,
            status=Status.OK,
            duration_s=time.monotonic() - begin,
        )
        worse = ended or _blame(backend, answer, child.returncode, text, said)
        if worse is not None:
            status, failure = worse
            outcome = outcome.model_copy(update={"status": status, "failure": failure})
        if outcome.status not in (Status.OK, Status.SKIPPED, Status.UNSUPPORTED):
            self.outputs.append((f"bench, process {process}", text))
        return outcome, answer.device, answer

    def _job(self, process: int, folder: Path) -> FixtureJob:
        options = self.options
        names = self.item.nodeid.partition("::")[2]
        return FixtureJob(
            node=f"{self.item.path}::{names}",
            nodeid=self.item.nodeid,
            configuration=_configuration(self.item),
            params=_params(self.item),
            answer=str(folder / "answer.json"),
            process=process,
            position=0,
            budget_s=options.budget_s,
            settings=SettingsData(**asdict(self.settings)),
            load=list(options.load),
            backends=list(options.backends),
            dtypes=list(options.dtypes),
            modes=list(options.modes),
            parent=os.getpid(),
        )

    def _command(self, folder: str) -> list[str]:
        """The user's own command line, so that rootdir, plugins and their options are the same;
        then what must not be shared with this run. Of an option given twice, the last holds."""
        config = self.item.config
        command = [sys.executable, "-m", "pytest", *config.invocation_params.args]
        command += ["-o", f"cache_dir={folder}/cache", f"--basetemp={folder}/base"]
        # Any argument that is a folder by now, such as --bench-out's, would move the root, and
        # with it the test's id.
        command.append(f"--rootdir={config.rootpath}")
        # What pytest has captured is lost with a process that dies, last words and all.
        command.append("--capture=no")
        for option, name, value in (
            ("xmlpath", "--junit-xml", "junit.xml"),
            ("log_file", "--log-file", "log"),
        ):
            if getattr(config.option, option, None):
                command.append(f"{name}={folder}/{value}")
        if config.pluginmanager.has_plugin("xdist"):
            command.append("-n0")
        if config.pluginmanager.has_plugin("pytest-benchmark"):
            command.append("--benchmark-disable")
        return command

    def _environment(self, folder: str, backend: Backend) -> dict[str, str]:
        environment = dict(os.environ)
        environment[CHILD_VARIABLE] = f"{folder}/job.json"
        backend.prepare_environment(environment, self.settings)
        return environment


class _Child:
    """A child process in a session of its own, so that what it starts ends with it."""

    def __init__(self, command: list[str], environment: dict[str, str], output: IO[bytes]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )

    @property
    def returncode(self) -> int:
        return self.process.returncode

    def wait(
        self, answer: Path, timeout_s: float, memory_bytes: int
    ) -> tuple[Status, Failure] | None:
        """Until the child has left by itself (None) or has passed a limit. The test's own limit
        holds from its set-up on: what comes before is pytest's start and the collection."""
        begin = time.monotonic()
        started = False
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=LOOK_S)
                    return None
                if not started and answer.exists():
                    started, begin = True, time.monotonic()
                elapsed_s = time.monotonic() - begin
                limit_s = timeout_s if started else max(START_TIMEOUT_S, timeout_s)
                phase = _read(answer).phase
                if elapsed_s > limit_s:
                    return _too_long(phase, elapsed_s, limit_s)
                resident = resident_bytes(self.process.pid, with_children=phase not in QUIET)
                if resident > memory_bytes:
                    return _too_large(resident, memory_bytes)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=LEAVE_S)


def _too_long(phase: str, elapsed_s: float, limit_s: float) -> tuple[Status, Failure]:
    return Status.TIMEOUT, Failure(
        message=f"no end after {elapsed_s:.0f} s in phase '{phase}'; limit {limit_s:g} s",
        mend="raise --bench-timeout if the test really needs that long",
        kind="timeout",
    )


def _too_large(resident: int, limit: int) -> tuple[Status, Failure]:
    return Status.OUT_OF_MEMORY, Failure(
        message=f"resident size reached {resident / 2**30:.1f} GiB; limit {limit / 2**30:.1f} GiB",
        mend="raise --bench-memory-limit, or measure something smaller",
        kind="memory",
    )


def _not_the_same(first: CaseKey, now: CaseKey) -> dict[str, Status | Failure]:
    """The end of a process that measured something else than the first one."""
    one, other = (f"{key.dtype}, {key.mode}, {key.backend}" for key in (first, now))
    message = f"the test measured {other} in this process, and {one} in the first"
    mend = "measure the same in every process; parametrize the test to measure both"
    return {
        "status": Status.RUNTIME_ERROR,
        "failure": Failure(message=message, mend=mend, kind="other"),
    }


def _blame(
    backend: Backend, answer: FixtureAnswer, returncode: int, text: str, said: str
) -> tuple[Status, Failure] | None:
    """What a child that left by itself did wrong; None where its outcome stands. ``text`` is the
    end of what it printed, ``said`` what it printed in the call of ``bench``."""
    if not answer.finished:
        known = explained(backend, text)
        if known is not None:
            return known
        status = Status.OUT_OF_MEMORY if OUT_OF_MEMORY_TEXT.search(text) else Status.CRASHED
        where = f"in phase '{answer.phase}'"
        if returncode < 0:
            kind = signal.Signals(-returncode).name
            return status, Failure(
                message=f"the test's process was ended by {kind} {where}", kind=kind
            )
        words = " | ".join(line.strip() for line in text.strip().splitlines()[-3:])
        return status, Failure(
            message=f"the test's process left with exit status {returncode} {where}: {words}",
            kind=f"exit {returncode}",
        )
    if answer.outcome is not None and not answer.returned:
        # A compiler is a process of its own, and its words aren't in the exception.
        return explained(backend, said) if answer.outcome.status in RAISED else None
    if answer.failed:
        return Status.RUNTIME_ERROR, Failure(message=answer.failed, kind="test")
    if answer.skipped:
        return Status.SKIPPED, Failure(message=answer.skipped, kind="test")
    if answer.outcome is None:
        return Status.RUNTIME_ERROR, Failure(
            message="the test ended without a call of bench",
            mend="call bench(fn), or don't ask for the fixture",
            kind="unused",
        )
    return None


def _read(answer: Path) -> FixtureAnswer:
    if not answer.exists():
        return FixtureAnswer()
    return FixtureAnswer.model_validate_json(answer.read_bytes())


def _text(output: IO[bytes], limit: int, begin: int = 0, end: int | None = None) -> str:
    """The last ``limit`` bytes of what stands between ``begin`` and ``end``."""
    if end is None:
        end = os.fstat(output.fileno()).st_size
    begin = max(begin, end - limit)
    return os.pread(output.fileno(), end - begin, begin).decode(errors="replace")


def _configuration(item: pytest.Item) -> str:
    """The parameters' id, fit to be published."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return "default"
    return _scrubbed(callspec.id, "-".join(map(str, callspec.indices.values())))


def _params(item: pytest.Item) -> dict[str, int | float | bool | str]:
    """The test's parameters that a record can hold, fit to be published."""
    return dict(_plain_params(item))


def _plain_params(item: pytest.Item) -> Iterator[tuple[str, int | float | bool | str]]:
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return
    for name, value in callspec.params.items():
        if isinstance(value, str):
            yield name, _scrubbed(value, callspec.indices[name])
        elif isinstance(value, float) and not math.isfinite(value):
            yield name, repr(float(value))  # JSON has no infinity and no NaN
        elif isinstance(value, int | float):
            yield name, value


def _scrubbed(text: str, index: int | str) -> str:
    """Without paths and names; what lost some keeps its place among the test's parameters, so
    that two of them don't become one case."""
    scrubbed = scrub_text(text)
    return text if scrubbed == text else f"{scrubbed} #{index}"
