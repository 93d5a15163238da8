"""The measured clock."""

from __future__ import annotations

import platform

import pytest

from trnbench.backends import clock
from trnbench.backends.clock import CHAIN_LENGTH, measure_clock_hz


@pytest.fixture
def fake_core(monkeypatch):
    """Chains that take a stated number of cycles on a stated clock, in a clock of their own."""

    def install(clock_hz, latencies, disturbance=lambda run: 1.0):
        now = {"ns": 0.0, "runs": 0}

        class Chain:
            def __init__(self, code):
                self.latency = latencies[code]

            def __enter__(self):
                return self.run

            def __exit__(self, *_):
                pass

            def run(self, turns):
                now["runs"] += 1
                cycles = turns * CHAIN_LENGTH * self.latency
                now["ns"] += cycles / clock_hz * 1e9 * disturbance(now["runs"])

        plain = clock._Instructions(b"l", b"m", (3, 4, 5), lambda instruction: instruction)
        monkeypatch.setattr(clock, "_Executable", Chain)
        monkeypatch.setattr(clock.platform, "machine", lambda: "toy")
        monkeypatch.setattr(clock, "_ARCHITECTURES", {"toy": plain})
        monkeypatch.setattr(clock.time, "perf_counter_ns", lambda: int(now["ns"]))

    return install


@pytest.mark.parametrize("multiply", [3, 5])
@pytest.mark.parametrize("clock_hz", [0.8e9, 2.6e9, 5.7e9])
def test_the_clock_of_an_undisturbed_core(fake_core, clock_hz, multiply):
    fake_core(clock_hz, {b"l": 1, b"m": multiply})

    measured_hz, how = measure_clock_hz()

    assert measured_hz == pytest.approx(clock_hz, rel=1e-3)
    assert f"({multiply} cycles)" in how


def test_the_best_of_the_runs_counts(fake_core):
    fake_core(3e9, {b"l": 1, b"m": 3}, disturbance=lambda run: 1.0 + 0.5 * (run % 3 > 0))

    assert measure_clock_hz()[0] == pytest.approx(3e9, rel=1e-3)


@pytest.mark.parametrize("multiply", [2, 2.5, 3.5, 6])
def test_chains_that_disagree_give_no_clock(fake_core, multiply):
    """What a core would show that computes exclusive-ors two at a time, or at rename."""
    fake_core(3e9, {b"l": 1, b"m": multiply})

    measured_hz, why = measure_clock_hz(repeats=3)

    assert measured_hz is None
    assert f"ratio {multiply:.2f}" in why


def test_an_architecture_without_a_chain_is_named(monkeypatch):
    monkeypatch.setattr(clock.platform, "machine", lambda: "riscv64")

    measured_hz, why = measure_clock_hz()

    assert measured_hz is None
    assert "riscv64" in why
    assert "x86_64" in why


def test_a_kernel_that_forbids_executable_memory_is_named(monkeypatch):
    def refuse(code):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(clock.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(clock, "_Executable", refuse)

    measured_hz, why = measure_clock_hz()

    assert measured_hz is None
    assert "Permission denied" in why


def test_the_machine_code_loops_over_the_whole_chain():
    """Both architectures: two loads, the chain, a count-down, a jump back to the chain's first
    instruction, a return. (Run on an emulator when it was written.)"""
    instruction = bytes.fromhex("4831c8")
    x86 = clock._wrap_x86_64(instruction)
    jump = int.from_bytes(x86[-5:-1], "little", signed=True)
    assert x86[10:].startswith(instruction)
    assert len(x86) - 1 + jump == 10

    arm = clock._wrap_aarch64(bytes.fromhex("420001ca"))
    branch = int.from_bytes(arm[-8:-4], "little")
    offset = (branch >> 5 & 0x7FFFF) - 0x80000
    assert len(arm) == 4 * (2 + CHAIN_LENGTH + 3)
    assert len(arm) - 8 + 4 * offset == 8


@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "aarch64"} or platform.system() != "Linux",
    reason="no timed chain, or no executable memory, on this kind of machine",
)
def test_this_machine_has_a_clock_between_half_and_eight_gigahertz():
    """One of several tries, since another program may hold a core for all of one."""
    tries = [measure_clock_hz() for _ in range(5)]
    clocks_hz = [clock_hz for clock_hz, _ in tries if clock_hz is not None]

    assert clocks_hz, tries
    assert 0.5e9 < max(clocks_hz) < 8e9
