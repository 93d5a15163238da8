"""The loops and their stamps."""

from __future__ import annotations

import pytest

from trnbench.backends import timing
from trnbench.backends.timing import (
    run_back_to_back,
    run_queued,
    run_synchronized,
    time_each,
    time_loop,
)


@pytest.fixture
def clocks(monkeypatch):
    """Clocks that only move when told: wall and CPU nanoseconds, and context switches."""
    now = {"wall": 1000, "cpu": 500, "switches": 7}
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: now["wall"])
    monkeypatch.setattr(timing.time, "process_time_ns", lambda: now["cpu"])
    monkeypatch.setattr(timing, "involuntary_switches", lambda: now["switches"])
    return now


def advance(clocks, wall=0, cpu=0, switches=0):
    clocks["wall"] += wall
    clocks["cpu"] += cpu
    clocks["switches"] += switches


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda _: run_back_to_back, "ccc"),
        (run_queued, "cccs"),
        (run_synchronized, "cscscs"),
    ],
)
def test_where_a_loop_waits(make, expected):
    log = []
    make(lambda: log.append("s"))(lambda: log.append("c"), 3)

    assert "".join(log) == expected


def test_a_stamp_holds_totals_over_the_calls(clocks):
    stamp = time_loop(lambda: advance(clocks, 10, 4, 1), 5, run_back_to_back)

    assert (stamp.calls, stamp.wall_ns, stamp.cpu_ns, stamp.involuntary_switches) == (5, 50, 20, 5)
    assert stamp.device_ns is None


def test_waiting_is_inside_the_timed_part_and_asking_the_device_outside(clocks):
    def ask_device():
        advance(clocks, 1000)
        return 33.0

    stamp = time_loop(
        lambda: advance(clocks, 10), 2, run_queued(lambda: advance(clocks, 7)), ask_device
    )

    assert stamp.wall_ns == 27
    assert stamp.device_ns == 33.0


def test_what_comes_before_each_call_is_left_out(clocks):
    log = []

    def flush():
        log.append("flush")
        advance(clocks, 1000, 1000, 1000)

    def call():
        log.append("call")
        advance(clocks, 10, 3, 1)

    stamp = time_each(call, 3, run_queued(lambda: advance(clocks, 1)), flush, lambda: 2.0)

    assert log == ["flush", "call"] * 3
    assert (stamp.wall_ns, stamp.cpu_ns, stamp.involuntary_switches) == (33, 9, 3)
    assert stamp.device_ns == 6.0
    assert stamp.calls == 3


def test_a_device_time_that_is_missing_once_is_missing_altogether(clocks):
    answers = iter([2.0, None, 2.0])

    stamp = time_each(lambda: None, 3, run_back_to_back, lambda: None, lambda: next(answers))

    assert stamp.device_ns is None


def test_the_real_clocks_count_up():
    total = [0]

    def call():
        total[0] += sum(range(1000))

    short, long = (
        min(
            (time_loop(call, calls, run_back_to_back) for _ in range(20)),
            key=lambda stamp: stamp.wall_ns,
        )
        for calls in (10, 100)
    )

    assert 3 < long.wall_ns / short.wall_ns < 30
    assert long.cpu_ns > 0
    assert timing.involuntary_switches() >= 0
