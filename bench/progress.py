"""A run's progress: a bar where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from ..results.record import ACCEPTED, Record
from ..results.store import case_id
from .case import Case

if TYPE_CHECKING:
    from rich.progress import Progress

#: Seconds between two plain lines, so that a log stays short.
LINE_INTERVAL_S = 10.0


def make_listener(stream: TextIO, *, verbosity: int = 0) -> ProgressListener:
    """A listener that draws on ``stream``; use it as a context, so that a bar is taken away.

    ``verbosity`` is pytest's: below 0 nothing is drawn, above 0 there is a plain line for each
    case in each process.
    """
    if verbosity < 0:
        return ProgressListener()
    if stream.isatty():
        return ProgressBar(stream)
    return ProgressLines(stream, every_case=verbosity > 0)


class ProgressListener:
    """Counts and draws nothing. A step is one case in one process."""

    def __init__(self) -> None:
        self.processes = 1
        self.steps = 0
        self.done: dict[str, int] = {}
        self.begin_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def note(self, text: str) -> None:
        """Something that isn't a case goes on."""

    def planned(self, cases: Sequence[Case], processes: int) -> None:
        self.processes = processes
        self.steps = len(cases) * processes
        self.done = {case_id(case.key()): 0 for case in cases}
        self.begin_s = time.monotonic()

    def started(self, case: Case, process: int) -> None:
        """A worker began with a case."""

    def phase(self, case: Case, process: int, phase: str) -> None:
        """The case's phase."""

    def ended(self, case: Case, process: int, status: str) -> None:  # noqa: ARG002 - protocol
        self.done[case_id(case.key())] += 1

    def recorded(self, record: Record) -> None:
        # A case that failed isn't tried in the other processes: its steps are done with.
        self.done[case_id(record.case)] = self.processes

    def close(self) -> None:
        """The run is over, or was interrupted."""

    @property
    def steps_done(self) -> int:
        return sum(self.done.values())

    def left_s(self) -> float | None:
        """Seconds that the rest takes at the pace so far; ``None`` before the first step."""
        if not self.steps_done:
            return None
        elapsed_s = time.monotonic() - self.begin_s
        return elapsed_s / self.steps_done * (self.steps - self.steps_done)


class ProgressLines(ProgressListener):
    """Lines for a log: now and then, at once for a case that failed, and at the end."""

    def __init__(self, stream: TextIO, *, every_case: bool) -> None:
        super().__init__()
        self.stream = stream
        self.every_case = every_case
        self._last_s = float("-inf")

    def note(self, text: str) -> None:
        self._write(text)

    def planned(self, cases: Sequence[Case], processes: int) -> None:
        super().planned(cases, processes)
        self._write(f"measuring {count_of(len(cases), 'case')} in {count_of(processes, 'process')}")
        self._last_s = time.monotonic()

    def ended(self, case: Case, process: int, status: str) -> None:
        super().ended(case, process, status)
        now_s = time.monotonic()
        last = self.steps_done == self.steps
        if self.every_case:
            self._write(f"{self._position()} {case.node_name} {status}")
        elif last or now_s - self._last_s >= LINE_INTERVAL_S:
            self._write(f"{self._position()}, now at {case.node_name}{self._left()}")
            self._last_s = now_s

    def recorded(self, record: Record) -> None:
        super().recorded(record)
        if record.status not in ACCEPTED:
            self._write(f"{Case.of(record.case).node_name} {record.status}")

    def _position(self) -> str:
        return f"[{self.steps_done}/{self.steps}]"

    def _left(self) -> str:
        left_s = self.left_s()
        return f", about {left_s:.0f} s left" if left_s else ""

    def _write(self, line: str) -> None:
        print(f"trnbench: {line}", file=self.stream, flush=True)


class ProgressBar(ProgressListener):
    """One bar with the case, its phase and the time left; failed cases stand above it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._progress, self._task = _make_bar(stream)
        self._waiting = True

    def note(self, text: str) -> None:
        self._start()
        self._progress.update(self._task, case=text, phase="")

    def planned(self, cases: Sequence[Case], processes: int) -> None:
        super().planned(cases, processes)
        self._progress.reset(self._task, total=self.steps, start=True)
        self._start()

    def started(self, case: Case, process: int) -> None:  # noqa: ARG002 - protocol
        self._progress.update(self._task, case=case.node_name, phase="")

    def phase(self, case: Case, process: int, phase: str) -> None:  # noqa: ARG002 - protocol
        self._progress.update(self._task, case=case.node_name, phase=phase)

    def ended(self, case: Case, process: int, status: str) -> None:
        super().ended(case, process, status)
        self._progress.update(self._task, completed=self.steps_done)

    def recorded(self, record: Record) -> None:
        super().recorded(record)
        self._progress.update(self._task, completed=self.steps_done)
        if record.status not in ACCEPTED:
            name = Case.of(record.case).node_name
            self._progress.console.print(f"{name} {record.status}", markup=False, style="red")
        if self.steps_done == self.steps:
            self.close()

    def close(self) -> None:
        self._progress.stop()

    def _start(self) -> None:
        if self._waiting:
            self._waiting = False
            self._progress.start()


def _make_bar(stream: TextIO) -> tuple[Progress, Any]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    progress = Progress(
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[case]}", markup=False),
        TextColumn("{task.fields[phase]}", style="dim", markup=False),
        console=Console(file=stream),
        transient=True,
    )
    return progress, progress.add_task("measuring", total=None, case="", phase="")


def count_of(count: int, noun: str) -> str:
    """``1 process``, ``2 processes``."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count} {noun if count == 1 else plural}"
