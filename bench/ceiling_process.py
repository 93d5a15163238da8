"""A worker of ``trnbench ceiling`` from the parent's side: started, listened to, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import IO

from ..backends.protocol import Backend, Settings
from .ceiling_sweep import Sweep, SweepJob, Told
from .errors import UsageError

#: A worker that hasn't finished after this long is stuck: a thorough search on a slow machine
#: takes a few minutes.
TIMEOUT_S = 900.0


class CeilingFailedError(UsageError):
    """A worker ended without a result: how, and its last words."""


def run_sweep(
    backend: Backend, settings: Settings, job: SweepJob, progress: Callable[[str], None]
) -> Sweep:
    """All that one fresh process measures. Raises ``CeilingFailedError``."""
    found = None
    for told in _listen(backend, settings, job):
        if told.progress is not None:
            progress(told.progress)
        found = told.sweep or found
    if found is None:
        raise CeilingFailedError(f"backend '{backend.name}': the worker ended without a result")
    return found


def _listen(backend: Backend, settings: Settings, job: SweepJob) -> Iterator[Told]:
    """What one fresh worker says until it is done; raises where it fails or takes too long."""
    variables = dict(os.environ)
    backend.prepare_environment(variables, settings)
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output, os.fdopen(reader, "rb") as lines:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trnbench.bench.ceiling_worker", str(writer)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=variables,
                pass_fds=(writer,),
                start_new_session=True,
            )
        finally:
            os.close(writer)
        watchdog = threading.Timer(TIMEOUT_S, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            _hand_over(process, job)
            for line in lines:
                yield Told.model_validate_json(line)
            process.wait()
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise CeilingFailedError(
                f"backend '{backend.name}': no ceiling: {_describe_end(process.returncode)}"
                f"{_last_words(output)}"
            )


def _hand_over(process: subprocess.Popen[bytes], job: SweepJob) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    try:
        with process.stdin as stream:
            stream.write(job.model_dump_json().encode())
    except BrokenPipeError:
        # It died while it started: its exit status and its last words say why.
        return


def _describe_end(code: int) -> str:
    if code == -signal.SIGKILL:
        return f"the worker was killed, by the system or after {TIMEOUT_S:g} s"
    if code < 0:
        return f"the worker was ended by {signal.Signals(-code).name}"
    return f"the worker left with exit status {code}"


def _last_words(output: IO[bytes], lines: int = 3) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - 4096))
    text = output.read().decode(errors="replace").strip().splitlines()
    return "".join(f": {line.strip()}" for line in text[-lines:])
