"""Sampling on a device whose times are given, so that every rule can be checked exactly."""

from __future__ import annotations

import pytest

from trnbench.backends.protocol import Stamp
from trnbench.bench import findings, sampling
from trnbench.bench.sampling import OverBudgetError, RecompiledError, calls_per_sample, sample_call
from trnbench.results.record import Status


class FakeBackend:
    """Answers with stamps of a known fixed cost and cost per call; runs nothing for long."""

    warmup_seconds = 0.001
    warmup_calls = 1

    def __init__(self, call_ns: int = 10_000, fixed_ns: int = 0, compiles: int = 0) -> None:
        self.call_ns = call_ns
        self.fixed_ns = fixed_ns
        self.compiles = compiles
        self.log: list[tuple[str, int]] = []

    def split(self, call) -> dict[str, int]:
        call()
        return {"dispatch": 10, "device": 20}

    def counters(self) -> dict[str, int]:
        return {"graphs_compiled": min(self.compiles, len(self.log))}

    def time_sustained(self, call, calls: int) -> Stamp:
        return self._stamp("sustained", call, calls, self.fixed_ns + calls * self.call_ns)

    def time_isolated(self, call, calls: int) -> Stamp:
        return self._stamp("isolated", call, calls, calls * (self.fixed_ns + self.call_ns))

    def _stamp(self, regime: str, call, calls: int, wall_ns: int) -> Stamp:
        self.log.append((regime, calls))
        call()
        return Stamp(calls, wall_ns, wall_ns, None, 0)


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    ("call_ns", "clock_ns", "expected"),
    [
        (1_000, 50, 500),  # half a millisecond
        (1_000, 2_000, 2_000),  # a slow clock: a thousand times its cost
        (500_000, 50, 1),
        (2e9, 50, 1),
        (499_999, 50, 2),
    ],
)
def test_a_sample_is_long_against_the_clock_and_short_against_the_scheduler(
    call_ns, clock_ns, expected
):
    assert calls_per_sample(call_ns, clock_ns) == expected


def test_both_regimes_are_sampled_equally_often_with_the_calibrated_count():
    backend = FakeBackend(call_ns=10_000)

    found = sample_call(nothing, backend, budget_s=0.02)

    assert found.calls == 50
    assert found.sustained.calls == found.isolated.calls == 50
    assert len(found.sustained.wall_ns) == len(found.isolated.wall_ns) >= 3
    assert set(found.sustained.wall_ns) == {500_000}
    assert found.warmup_calls == sum(calls for _, calls in backend.log[: len(found.warmup_ns)])


def test_warm_up_is_kept_apart_and_lasts_at_least_ten_samples():
    found = sample_call(nothing, FakeBackend(), budget_s=0.5)

    assert len(found.warmup_ns) >= sampling.WARMUP_SAMPLES


def test_warm_up_meets_both_regimes():
    backend = FakeBackend()

    found = sample_call(nothing, backend, budget_s=0.02)

    warmed = {regime for regime, _ in backend.log[: len(found.warmup_ns)]}
    assert warmed == {"sustained", "isolated"}


def test_warm_up_waits_until_the_compile_counter_stands_still():
    backend = FakeBackend(compiles=12)

    found = sample_call(nothing, backend, budget_s=0.5)

    assert len(found.warmup_ns) >= 12 + sampling.WARMUP_SAMPLES - 1


def test_a_counter_that_moves_while_timing_marks_the_samples_and_keeps_them():
    backend = FakeBackend()
    phases: list[str] = []
    backend.counters = lambda: {"graphs_compiled": int("sampling" in phases)}

    found = sample_call(nothing, backend, budget_s=0.05, announce=phases.append)

    assert found.moved == {"graphs_compiled": 1}
    assert len(found.sustained.wall_ns) >= 3
    assert findings.judge(found.sustained, found.moved, [])[0] is Status.RECOMPILED


def test_a_fallback_is_no_result_of_the_device():
    found = sample_call(nothing, FakeBackend(), budget_s=0.05)

    status, failure = findings.judge(found.sustained, found.moved, ["aten::linalg_eig"])

    assert found.moved == {}
    assert status is Status.FALLBACK_TO_CPU
    assert "aten::linalg_eig" in failure.message
    assert findings.judge(found.sustained, found.moved, [])[0] is Status.OK


@pytest.mark.parametrize("compiles", [1, 2, 5])
def test_minutes_of_compiling_are_not_held_against_the_warm_up(compiles, monkeypatch):
    class Compiling(FakeBackend):
        def _stamp(self, regime: str, call, calls: int, wall_ns: int) -> Stamp:
            # Compiled in the first calls: each regime's own program, a step's second graph.
            late = 200_000_000_000 * (len(self.log) < compiles)
            clock["ns"] += late + wall_ns
            return super()._stamp(regime, call, calls, wall_ns + late)

    clock = {"ns": 0}
    monkeypatch.setattr(sampling.time, "perf_counter_ns", lambda: clock["ns"])
    monkeypatch.setattr(sampling, "clock_cost_ns", lambda: 50)

    found = sample_call(nothing, Compiling(compiles=compiles), budget_s=0.25)

    assert found.calls == 50
    assert found.moved == {}


def test_a_long_call_is_sampled_only_when_its_counters_stand_still():
    backend = FakeBackend(call_ns=150_000_000, compiles=5)

    found = sample_call(nothing, backend, budget_s=2.0)

    assert len(found.warmup_ns) >= 6
    assert found.moved == {}


def test_a_call_about_as_long_as_a_long_one_is_no_recompilation():
    class Wavering(FakeBackend):
        def _stamp(self, regime: str, call, calls: int, wall_ns: int) -> Stamp:
            short = len(self.log) == 0
            return super()._stamp(
                regime, call, calls, calls * (95_000_000 if short else 110_000_000)
            )

    found = sample_call(nothing, Wavering(), budget_s=0.3)

    assert found.calls == 1
    assert found.moved == {}


def test_single_calls_are_taken_apart():
    found = sample_call(nothing, FakeBackend(), budget_s=0.05)

    assert found.split_ns == {"dispatch": [10] * sampling.SPLITS, "device": [20] * sampling.SPLITS}


def test_a_counter_that_never_rests_ends_the_warm_up():
    backend = FakeBackend()
    backend.counters = lambda: {"graphs_compiled": len(backend.log)}

    with pytest.raises(RecompiledError, match="stand still"):
        sample_call(nothing, backend, budget_s=0.001)


def test_a_call_too_long_for_its_budget_is_refused_with_the_figure():
    backend = FakeBackend(call_ns=2_000_000_000)

    with pytest.raises(OverBudgetError, match="2 s") as caught:
        sample_call(nothing, backend, budget_s=0.25)

    assert caught.value.needed_s == pytest.approx(3.0)
    assert len(backend.log) == 1


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_one_slow_call_while_warming_up_does_not_skip_a_case(slow):
    class Hiccup(FakeBackend):
        def _stamp(self, regime: str, call, calls: int, wall_ns: int) -> Stamp:
            late = 600_000_000 * (len(self.log) == slow)
            return super()._stamp(regime, call, calls, wall_ns + late)

    found = sample_call(nothing, Hiccup(), budget_s=0.25)

    assert found.calls == 50


def test_a_call_a_little_over_its_budget_is_refused_after_it_is_confirmed():
    backend = FakeBackend(call_ns=300_000_000)

    with pytest.raises(OverBudgetError):
        sample_call(nothing, backend, budget_s=0.1)

    assert len(backend.log) == sampling.LONG_CALL_WARMUP


def test_the_budget_that_the_refusal_asks_for_is_enough():
    backend = FakeBackend(call_ns=2_000_000_000)
    with pytest.raises(OverBudgetError) as caught:
        sample_call(nothing, backend, budget_s=0.25)

    # The fake's calls take no time, so the budget itself bounds the loop: give it none to spend.
    calls, warmup = sampling._warm_up(nothing, backend, caught.value.needed_s)

    assert calls == 1
    assert 1 <= len(warmup) <= sampling.LONG_CALL_WARMUP


def test_the_queue_fit_tells_the_fixed_cost_from_the_cost_of_a_call():
    backend = FakeBackend(call_ns=10_000, fixed_ns=7_000)

    found = sample_call(nothing, backend, budget_s=0.5)

    assert found.fit is not None
    assert found.fit.fixed_cost_ns == pytest.approx(7_000, rel=1e-6)
    assert found.fit.slope_ns == pytest.approx(10_000, rel=1e-6)
    assert len(set(found.fit.calls)) == sampling.FIT_DEPTHS


def test_a_long_call_has_no_queue_fit_rather_than_a_bad_one():
    found = sample_call(nothing, FakeBackend(call_ns=90_000_000), budget_s=0.14)

    assert found.fit is None


class Slowing(FakeBackend):
    """Takes twice as long from one sample on, in the middle of the first round or later."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _stamp(self, regime: str, call, calls: int, wall_ns: int) -> Stamp:
        return super()._stamp(regime, call, calls, wall_ns * (1 + (len(self.log) >= self.at)))


def _rounds(monkeypatch, backend: FakeBackend, samples: int = 20):
    """Sample with rounds of a known number of samples, so that nothing depends on the clock."""

    def fixed(call, backend, calls, budget_s, order):
        sustained = [backend.time_sustained(call, calls) for _ in range(samples)]
        return sustained, [backend.time_isolated(call, calls) for _ in range(samples)]

    monkeypatch.setattr(sampling, "_warm_up", lambda *_: (50, []))
    monkeypatch.setattr(sampling, "_sample_regimes", fixed)
    return sample_call(nothing, backend, budget_s=0.01)


def test_a_round_that_is_not_steady_becomes_warm_up_and_is_taken_anew(monkeypatch):
    found = _rounds(monkeypatch, Slowing(at=10))

    assert set(found.sustained.wall_ns) == {1_000_000}
    assert len(found.warmup_ns) == 40
    assert found.flags == ["MORE_WARMUP"]


def test_a_steady_round_is_taken_once(monkeypatch):
    found = _rounds(monkeypatch, FakeBackend())

    assert found.warmup_ns == []
    assert found.flags == []


def test_rounds_are_not_taken_for_ever(monkeypatch):
    class Restless(FakeBackend):
        def _stamp(self, regime: str, call, calls: int, wall_ns: int) -> Stamp:
            return super()._stamp(regime, call, calls, wall_ns * (1 + len(self.log)))

    backend = Restless()
    found = _rounds(monkeypatch, backend)

    assert len(found.warmup_ns) == sampling.MORE_ROUNDS * 40
    assert max(found.sustained.wall_ns) > 1.1 * min(found.sustained.wall_ns)


def test_what_the_call_raises_goes_through():
    def broken() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        sample_call(broken, FakeBackend(), budget_s=0.01)


class WithoutSplits(FakeBackend):
    """A stack of which a call can't be taken apart, so that only its parts can be timed."""

    def split(self, call) -> dict[str, int]:
        call()
        return {}


def test_the_parts_of_a_call_are_timed_one_by_one_and_added_by_name():
    ran: list[str] = []
    parts = [(name, lambda name=name: ran.append(name)) for name in ("a", "b", "a")]
    sampled = sample_call(nothing, WithoutSplits(fixed_ns=50), 0.01, parts=parts)

    # A part costs a call and its synchronisation.
    assert sampled.split_ns == {"a": [20_100] * 5, "b": [10_050] * 5}
    assert ran == ["a", "b", "a"] * 5


def test_a_stack_that_takes_calls_apart_is_not_asked_for_parts():
    ran: list[str] = []
    sampled = sample_call(nothing, FakeBackend(), 0.01, parts=[("a", lambda: ran.append("a"))])

    assert sampled.split_ns == {"dispatch": [10] * 5, "device": [20] * 5}
    assert ran == []
