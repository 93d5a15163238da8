"""The sampler process: reads the sensors of a run beside it, and must not disturb its timing.

Started as ``python -P -m trnbench.bench.sampler FD`` with its order on the first line of
standard input, as JSON: "backends", "period_s", "parent". It writes one JSON line a set of
readings to the file FD; nobody reads along while something is timed. A number on a later line
of standard input asks for a set right now; the number comes back on standard output when the
set is written. It ends with its standard input.

It gives way to everything else: lowest priority, scheduled only where a processor is idle, on
the last usable processor. No torch is imported here. A set costs about a millisecond.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import astuple
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from ..backends.gpu_sensors import GpuSensors
from ..backends.host_sensors import HostSensors
from ..backends.monitor_stream import NAMES, MonitorFeed, find_monitor, monitor_config
from ..backends.neuron_counters import NeuronCounters
from ..backends.neuron_facts import ROOT_VARIABLE
from ..backends.nvml import open_nvml
from ..backends.sensors import Reading, has_gpu, has_neuron
from ..backends.threads import default_threads, usable_cpus
from .parent import die_with_parent

LEAVE_S = 1.0


class Source(Protocol):
    @property
    def absent(self) -> Mapping[str, str]: ...

    def read(self, now_s: float) -> list[Reading]: ...


def main() -> None:
    output = int(sys.argv[1])
    orders = os.fdopen(0, "rb", buffering=0)
    order = json.loads(orders.readline())
    die_with_parent(order["parent"])
    give_way()
    with ExitStack() as stack:
        sampler = Sampler(order["backends"], order["period_s"], output, stack)
        sampler.run(orders.fileno())


def give_way() -> None:
    """Run only when nothing else wants the processor, and then on the last usable one where the
    measured threads leave it free. What the system doesn't let us do is left out: it then has
    what the other measures give."""
    with suppress(OSError):
        os.nice(19)
    # Priorities only count within a session's own group where the kernel groups by session.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text("19", encoding="ascii")
    for policy in ("SCHED_IDLE", "SCHED_BATCH"):
        with suppress(OSError, AttributeError):
            os.sched_setscheduler(0, getattr(os, policy), os.sched_param(0))
            break
    usable = usable_cpus() or 1
    if hasattr(os, "sched_setaffinity") and default_threads() < usable:
        with suppress(OSError):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


class Sampler:
    """Reads every source once a period and whenever it is asked to."""

    def __init__(
        self, backends: Sequence[str], period_s: float, output: int, stack: ExitStack
    ) -> None:
        self.period_s = period_s
        self.output = output
        self.absent: dict[str, str] = {}
        now_s = time.monotonic()
        self.sources: list[Source] = [HostSensors(Path("/"), now_s)]
        self.monitor: Monitor | None = None
        if has_gpu(backends):
            self.sources.append(GpuSensors(*open_nvml(), os.environ, now_s))
        if has_neuron(backends):
            root = Path(os.environ.get(ROOT_VARIABLE) or "/")
            self.sources.append(NeuronCounters(root, now_s, time.time()))
            program, reason = find_monitor(root, os.environ)
            if program is None:
                self.write([], dict.fromkeys(NAMES, reason))
            else:
                self.monitor = stack.enter_context(Monitor(program, period_s))

    def run(self, orders: int) -> None:
        """Until ``orders`` is at its end."""
        next_s = time.monotonic()
        asked: tuple[bytes, float] | None = None
        while True:
            inputs = [orders] if self.monitor is None else [orders, self.monitor.pipe]
            wait_s = max(0.0, next_s - time.monotonic())
            ready, _, _ = select.select(inputs, [], [], wait_s)
            if self.monitor is not None and self.monitor.pipe in ready:
                self.take_from_monitor(self.monitor)
            if orders in ready:
                numbers = os.read(orders, 4096)
                if not numbers:
                    return
                asked = numbers.splitlines()[-1], time.monotonic()
                next_s = time.monotonic()
            if time.monotonic() >= next_s:
                self.read_sources()
                next_s = time.monotonic() + self.period_s
            if asked is not None and self.covers(asked[1]):
                os.write(1, asked[0] + b"\n")
                asked = None

    def read_sources(self) -> None:
        now_s = time.monotonic()
        readings = [reading for source in self.sources for reading in source.read(now_s)]
        absent = {name: why for source in self.sources for name, why in source.absent.items()}
        self.write(readings, absent)

    def take_from_monitor(self, monitor: Monitor) -> None:
        data = os.read(monitor.pipe, 1 << 20)
        if not data:
            monitor.feed.end(monitor.process.wait())
            self.write([], monitor.feed.absent)
            self.monitor = None
            return
        readings = monitor.feed.take(data, time.monotonic())
        self.write(readings, monitor.feed.absent)

    def covers(self, moment_s: float) -> bool:
        """The monitor's periods are its own: one that ends after ``moment_s`` has to be waited
        for, where it has begun to print. The other sources are read when they are asked."""
        last_s = self.monitor.feed.last_s if self.monitor is not None else None
        return last_s is None or last_s >= moment_s

    def write(self, readings: Sequence[Reading], absent: Mapping[str, str]) -> None:
        """One line; reasons only where they are news."""
        news = {name: why for name, why in absent.items() if self.absent.get(name) != why}
        self.absent |= news
        line: dict[str, Any] = {"readings": [astuple(reading) for reading in readings]}
        if news:
            line["absent"] = news
        os.write(self.output, json.dumps(line, allow_nan=False).encode() + b"\n")


class Monitor:
    """neuron-monitor as a child, with the lowest priority that it inherits."""

    def __init__(self, program: str, period_s: float) -> None:
        self.feed = MonitorFeed(period_s)
        self.folder = tempfile.TemporaryDirectory(prefix="trnbench-monitor-")
        config = Path(self.folder.name) / "config.json"
        tag = os.environ.get("NEURON_PROCESS_TAG")
        config.write_text(json.dumps(monitor_config(period_s, tag)), encoding="utf-8")
        self.process = subprocess.Popen(
            [program, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509 - one thread here
        )
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        self.stdout = self.process.stdout
        self.pipe = self.stdout.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.stdout.close()
        self.folder.cleanup()


if __name__ == "__main__":
    main()
