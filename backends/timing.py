"""The timed loops, and the stamps around them.

The stamps (wall, CPU time of the process, involuntary context switches) are taken outside the
timed part, with the wall clock innermost. Garbage collection is off inside a sample, and as it
was before afterwards.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat

from .protocol import Call, Stamp

Loop = Callable[[Call, int], None]
Synchronize = Callable[[], None]


def run_back_to_back(call: Call, calls: int) -> None:
    """``calls`` calls and nothing else: the whole timed part of a synchronous device."""
    for _ in repeat(None, calls):
        call()


def run_queued(synchronize: Synchronize) -> Loop:
    """A loop that queues every call and then waits once."""

    def loop(call: Call, calls: int) -> None:
        for _ in repeat(None, calls):
            call()
        synchronize()

    return loop


def run_synchronized(synchronize: Synchronize) -> Loop:
    """A loop that waits after every call."""

    def loop(call: Call, calls: int) -> None:
        for _ in repeat(None, calls):
            call()
            synchronize()

    return loop


def time_loop(
    call: Call, calls: int, loop: Loop, device_ns: Callable[[], float | None] | None = None
) -> Stamp:
    """One sample: ``loop(call, calls)`` between the stamps.

    ``device_ns`` is asked after the sample for the device's own time over it. The device must
    be idle when this is called, or the sample pays for earlier work.
    """
    with paused_collection():
        switches = involuntary_switches()
        cpu_ns = time.process_time_ns()
        wall_ns = time.perf_counter_ns()
        loop(call, calls)
        wall_ns = time.perf_counter_ns() - wall_ns
        cpu_ns = time.process_time_ns() - cpu_ns
        switches = involuntary_switches() - switches
    return Stamp(calls, wall_ns, cpu_ns, device_ns() if device_ns else None, switches)


def time_each(
    call: Call,
    calls: int,
    loop: Loop,
    before: Callable[[], None],
    device_ns: Callable[[], float | None] | None = None,
) -> Stamp:
    """One sample of calls that each need something done first, such as a cache flush.

    ``before`` runs ahead of every call, outside every stamp, and must leave the device idle.
    The figures are sums over calls stamped one by one with ``loop(call, 1)``; each carries
    the cost of reading the wall clock once, some 50 ns.
    """
    wall_ns = cpu_ns = switches = 0
    device_total: float | None = 0.0 if device_ns else None
    for _ in repeat(None, calls):
        before()
        one = time_loop(call, 1, loop, device_ns)
        wall_ns += one.wall_ns
        cpu_ns += one.cpu_ns
        switches += one.involuntary_switches
        if device_total is not None:
            device_total = None if one.device_ns is None else device_total + one.device_ns
    return Stamp(calls, wall_ns, cpu_ns, device_total, switches)


@contextmanager
def paused_collection() -> Iterator[None]:
    """Garbage collection off inside, and as it was before afterwards."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def involuntary_switches() -> int:
    """How often the scheduler took a processor away from this process (all threads) so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
