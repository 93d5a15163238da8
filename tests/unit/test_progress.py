"""A run's progress: what is counted, what a log gets, what a terminal gets."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trnbench.bench import progress
from trnbench.bench.case import Case
from trnbench.bench.progress import make_listener
from trnbench.results.record import Record


class Terminal(io.StringIO):
    def isatty(self):
        return True


def make_case(number):
    return Case("matmul", f"c{number}", {"n": number}, "forward", "fp32", "eager", "cpu")


def make_record(case, status):
    return Record(
        run="r", origin="simulated", time="2026-11-22", status=status, case=case.key()
    )  # fmt: skip


def carry_out(listener, cases, *, processes=2, failing=None):
    """A run in which the failing case is tried once, as a case that crashes is."""
    listener.planned(cases, processes)
    for process in range(processes):
        for case in cases:
            if case is failing and process > 0:
                continue
            status = "CRASHED" if case is failing else "OK"
            listener.started(case, process)
            listener.phase(case, process, "sampling")
            listener.ended(case, process, status)
            if case is failing or process == processes - 1:
                listener.recorded(make_record(case, status))


CASES = [make_case(number) for number in range(3)]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["log", "terminal"])
def test_all_steps_are_counted_when_a_case_fails(stream):
    with make_listener(stream) as listener:
        carry_out(listener, CASES, failing=CASES[1])
        assert listener.steps_done == listener.steps == 6
        assert listener.left_s() == 0


def test_a_log_gets_few_lines_and_every_failure_at_once():
    stream = io.StringIO()
    with make_listener(stream) as listener:
        carry_out(listener, CASES, failing=CASES[1])
    assert stream.getvalue().splitlines() == [
        "trnbench: measuring 3 cases in 2 processes",
        "trnbench: matmul[c1-fp32-eager-cpu] CRASHED",
        "trnbench: [6/6], now at matmul[c2-fp32-eager-cpu]",
    ]


def test_a_log_says_now_and_then_how_long_it_takes(monkeypatch):
    seconds = iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    stream = io.StringIO()
    carry_out(make_listener(stream), CASES, processes=1)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert all("about" in line and line.endswith("s left") for line in lines[1:3])
    assert "left" not in lines[3]


def test_loud_has_a_line_for_each_step_and_quiet_has_none():
    loud, quiet = io.StringIO(), io.StringIO()
    carry_out(make_listener(loud, verbosity=1), CASES)
    carry_out(make_listener(quiet, verbosity=-1), CASES)
    assert loud.getvalue().count(" OK\n") == 6
    assert quiet.getvalue() == ""


def test_a_terminal_gets_a_bar_with_case_and_phase():
    stream = Terminal()
    listener = make_listener(stream)
    console = Console(file=stream, force_terminal=True, width=120)
    with listener:
        listener.planned(CASES, 2)
        listener.started(CASES[0], 0)
        listener.phase(CASES[0], 0, "warm-up")
        with console.capture() as drawn:
            console.print(listener._progress.get_renderable())
        assert "matmul[c0-fp32-eager-cpu]" in drawn.get()
        assert "warm-up" in drawn.get()
        assert "0/6" in drawn.get()
        assert not listener._progress.finished
    assert not listener._progress.live.is_started


def test_an_interrupt_takes_the_bar_away():
    listener = make_listener(Terminal())

    def interrupted():
        with listener:
            listener.planned(CASES, 2)
            assert listener._progress.live.is_started
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not listener._progress.live.is_started
