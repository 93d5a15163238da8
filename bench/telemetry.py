"""The sensors of a run from the parent's side: start the sampler process, ask it at the end of a
case, and turn its readings into figures.

Nothing is read from the sampler and nothing is said to it while something is timed. When a case
has ended, it is asked for a set of readings, so that the end of a short case doesn't lie in a
period that isn't over.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from ..backends.sensors import Reading, has_neuron, kinds_of
from ..results.record import Sensor
from .privacy import scrub_text
from .windows import figure_of

#: What a set of readings may take where the machine is busy: the sampler gives way to all.
ANSWER_S = 0.1
#: Periods of neuron-monitor that are waited for at most: it has a rhythm of its own.
MONITOR_PERIODS = 1.5
LEAVE_S = 2.0
#: Readings this much older than a case that was asked about are forgotten.
KEEP_S = 600.0


class Telemetry:
    """One sampler process for the length of a run. A sampler that doesn't start, or dies, is the
    reason in every sensor that it gave no reading of; it never ends the run."""

    def __init__(self, backends: Sequence[str], period_s: float = 1.0) -> None:
        """Without a backend nothing is run, and there is no sensor to speak of."""
        self._backends = list(backends)
        self._kinds = kinds_of(backends) if backends else ()
        self._period_s = period_s
        self._readings: dict[str, list[Reading]] = {}
        self._absent: dict[str, str] = {}
        self._broken = ""
        self._sampler: _Sampler | None = None

    def __enter__(self) -> Self:
        if self._kinds:
            try:
                self._sampler = _Sampler(self._backends, self._period_s)
            except OSError as error:
                self._broken = f"the sampler can't be started: {error.strerror}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sampler is not None:
            self._sampler.end()
            self._sampler = None

    def between(self, begin_s: float, end_s: float) -> dict[str, Sensor]:
        """Every sensor of the run's backends, from ``begin_s`` to ``end_s`` of
        ``time.monotonic()``; :mod:`trnbench.bench.windows` has the rules.

        Takes some milliseconds, on Neuron up to a period and a half, for the one that is going
        on to end. To be called while nothing is timed.
        """
        if self._sampler is not None:
            if begin_s < end_s and time.monotonic() - end_s < self._period_s:
                self._sampler.ask()
            self._take(self._sampler)
        found = {}
        for kind in self._kinds:
            readings = self._readings.get(kind.name, ())
            sensor = figure_of(kind, readings, begin_s, end_s)
            reason = self._absent.get(kind.name) or (self._broken if not readings else "")
            if sensor.samples == 0 and reason and begin_s < end_s:
                sensor = sensor.model_copy(update={"reason": reason})
            found[kind.name] = sensor
        self._forget(begin_s - KEEP_S)
        return found

    def _take(self, sampler: _Sampler) -> None:
        try:
            for line in sampler.new_lines():
                told = json.loads(line)
                for entry in told["readings"]:
                    reading = Reading(*entry)
                    self._readings.setdefault(reading.name, []).append(reading)
                    # A sensor that came to itself has no reason any more.
                    self._absent.pop(reading.name, None)
                self._absent |= told.get("absent", {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            self._broken = f"what the sampler wrote can't be read: {type(error).__name__}"
        self._broken = self._broken or sampler.why_ended()

    def _forget(self, before_s: float) -> None:
        for name, readings in self._readings.items():
            self._readings[name] = [r for r in readings if r.end_s >= before_s]


class _Sampler:
    """The process, the file that it writes its readings to, and its answers."""

    def __init__(self, backends: Sequence[str], period_s: float) -> None:
        self._patience_s = ANSWER_S
        if has_neuron(backends):
            self._patience_s += MONITOR_PERIODS * max(1.0, period_s)
        self._asked = 0
        self._offset = 0
        # Files, so that the sampler never waits for a reader, nor the parent for it.
        self._readings: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it
        descriptor = self._readings.fileno()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trnbench.bench.sampler", str(descriptor)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                bufsize=0,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        except BaseException:
            self._readings.close()
            self._words.close()
            raise
        order = {"backends": list(backends), "period_s": period_s, "parent": os.getpid()}
        self._say(json.dumps(order))

    def ask(self) -> None:
        """Have a set of readings made now, and wait for it, but not long. The sampler that has
        died, or is late, leaves the readings that it made before."""
        self._asked += 1
        self._say(str(self._asked))
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        answers = self._process.stdout.fileno()
        deadline = time.monotonic() + self._patience_s
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([answers], [], [], left)
            answer = os.read(answers, 4096) if ready else b""
            # A late answer to an earlier question isn't this one's.
            if not answer or str(self._asked).encode() in answer.split():
                return

    def new_lines(self) -> list[bytes]:
        """Whole lines that were written since the last call. Read at a place, since the place of
        writing is the sampler's too."""
        size = os.fstat(self._readings.fileno()).st_size
        data = os.pread(self._readings.fileno(), size - self._offset, self._offset)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.splitlines()

    def why_ended(self) -> str:
        """Empty as long as it runs."""
        status = self._process.poll()
        if status is None:
            return ""
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        words = f": {scrub_text(lines[-1].strip())}" if lines else ""
        return f"the sampler ended with exit status {status}{words}"

    def end(self) -> None:
        """Its standard input ends, and so does it; or it is ended, with whatever it started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(LEAVE_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._readings.close()
            self._words.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(BrokenPipeError):
            self._process.stdin.write(line.encode() + b"\n")


def merge(parts: Sequence[Mapping[str, Sensor]]) -> dict[str, Sensor]:
    """One set of sensors from those of a case's processes: the mean weighted by readings, the
    least, the most, all readings. Where no process has a figure, the reason that most gave."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: _merge_one([part[name] for part in parts if name in part]) for name in names}


def _merge_one(sensors: Sequence[Sensor]) -> Sensor:
    said = [(s.samples, s.mean, s) for s in sensors if s.samples and s.mean is not None]
    if not said:
        (reason, _), *_ = Counter(sensor.reason for sensor in sensors).most_common(1)
        return Sensor(unit=sensors[0].unit, reason=reason)
    samples = sum(count for count, _, _ in said)
    return Sensor(
        unit=said[0][2].unit,
        mean=sum(count * mean for count, mean, _ in said) / samples,
        least=min(s.least for _, _, s in said if s.least is not None),
        most=max(s.most for _, _, s in said if s.most is not None),
        samples=samples,
    )
