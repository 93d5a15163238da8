"""How the outcomes of several processes become one."""

from __future__ import annotations

import itertools

import pytest

from trnbench.results.fold import fold, process_medians_s, summarise
from trnbench.results.record import SEVERITY, NumericError, QueueFit, Status


def fold_statuses(make, *statuses):
    return fold(make.case(), [make.outcome(i, 1e-3, s) for i, s in enumerate(statuses)])


@pytest.mark.parametrize(("milder", "worse"), list(itertools.pairwise(SEVERITY)))
def test_the_worst_status_wins(make, milder, worse):
    outcomes = [make.outcome(0, None, worse), make.outcome(1, None, milder)]

    folded = fold(make.case(), outcomes)

    # One of two is no majority: NOT_STEADY beside OK is the one exception.
    expected = milder if worse is Status.NOT_STEADY and milder is Status.OK else worse
    assert folded.status is expected
    assert folded.status_counts == {str(worse): 1, str(milder): 1}


def test_counts_and_the_failure_of_the_worst_are_kept(make):
    folded = fold_statuses(make, Status.OK, Status.CRASHED, Status.TIMEOUT, Status.OK)

    assert folded.status is Status.CRASHED
    assert folded.status_counts == {"OK": 2, "CRASHED": 1, "TIMEOUT": 1}
    assert folded.failure.message == "CRASHED in process 1"


@pytest.mark.parametrize(
    ("unsteady", "steady", "status"),
    [
        (1, 0, Status.NOT_STEADY),
        (1, 1, Status.OK),
        (2, 0, Status.NOT_STEADY),
        (1, 2, Status.OK),
        (2, 1, Status.NOT_STEADY),
        (2, 3, Status.OK),
        (3, 2, Status.NOT_STEADY),
    ],
)
def test_not_steady_wants_a_majority(make, unsteady, steady, status):
    statuses = [Status.NOT_STEADY] * unsteady + [Status.OK] * steady

    folded = fold_statuses(make, *statuses)

    assert folded.status is status
    assert ("UNSTEADY_PROCESS" in folded.flags) is (status is Status.OK)
    assert folded.summary.processes == unsteady + steady


def test_not_steady_doesn_t_hide_behind_processes_that_measured_nothing(make):
    outcomes = [make.outcome(0, 1e-3, Status.NOT_STEADY)]
    outcomes += [make.outcome(n, None, Status.SKIPPED) for n in (1, 2)]

    assert fold(make.case(), outcomes).status is Status.NOT_STEADY


def test_no_outcomes_are_an_error_and_no_result(make):
    with pytest.raises(ValueError, match="no outcomes of matmul square-512"):
        fold(make.case(), [])


def test_summary_is_of_the_processes_medians_per_call(make):
    outcomes = [make.outcome(n, per_call) for n, per_call in enumerate((1e-3, 2e-3, 4e-3))]

    summary = summarise(outcomes, None)

    assert process_medians_s(outcomes, "sustained") == pytest.approx([1e-3, 2e-3, 4e-3])
    assert summary.sustained.value == pytest.approx(2e-3)
    assert summary.sustained.low == pytest.approx(2e-3 * 0.178731, rel=1e-4)
    assert summary.isolated.value == pytest.approx(2.4e-3)
    assert summary.min_s == pytest.approx(1.2e-3)
    assert summary.processes == 3


def test_quantiles_are_none_where_there_are_too_few_samples(make):
    few = summarise([make.outcome(0)], None)
    many = summarise([make.outcome(n) for n in range(4)], None)

    assert (few.p95_s, few.p99_s) == (None, None)
    assert few.p20_s == pytest.approx(1.2e-3)
    assert many.p95_s == pytest.approx(1.2e-3)
    assert many.p99_s is None
    assert set(many.rank_intervals_s) == {"p20", "p95"}
    low, high = many.rank_intervals_s["p95"]
    assert low <= many.p95_s <= high


def test_a_process_that_failed_leaves_the_others_figures(make):
    outcomes = [make.outcome(0), make.outcome(1, None, Status.CRASHED)]

    folded = fold(make.case(), outcomes)

    assert folded.status is Status.CRASHED
    assert folded.summary.processes == 1
    assert folded.summary.sustained.low is None


def test_without_samples_there_is_no_summary(make):
    assert fold(make.case(), [make.outcome(0, None, Status.TIMEOUT)]).summary is None


def test_fixed_cost_and_slope_are_means_over_processes_and_may_be_below_zero(make):
    outcomes = [
        make.outcome(n, fit=QueueFit(calls=[1], wall_ns=[1], fixed_cost_ns=f, slope_ns=1000))
        for n, f in enumerate((-100, 100, 300))
    ]

    summary = summarise(outcomes, None)

    assert summary.fixed_cost.value == pytest.approx(100e-9)
    assert summary.fixed_cost.low < 0 < summary.fixed_cost.high
    assert summary.slope.value == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("headline", "dtype", "unit", "work"),
    [
        ("flops", "fp32", "FLOP/s", 2 * 512**3),
        ("flops", "int8", "OP/s", 2 * 512**3),
        ("bytes", "fp32", "B/s", 3 * 512 * 512 * 4),
        ("items", "fp32", "rows/s", 512),
    ],
)
def test_throughput_is_work_over_sustained_time(make, headline, dtype, unit, work):
    summary = summarise([make.outcome(0, 2e-3)], make.cost(headline=headline), dtype)

    assert summary.throughput_unit == unit
    assert summary.throughput == pytest.approx(work / 2e-3)


def test_work_of_zero_has_no_throughput(make):
    summary = summarise([make.outcome(0)], make.cost(flops=0))

    assert (summary.throughput, summary.throughput_unit) == (None, None)


def test_the_worst_numeric_error_stands_and_nan_is_worse_than_any(make):
    def numeric(error):
        return NumericError(error=error, bound=1e-3, reference="float64")

    finite = [make.outcome(n, numeric=numeric(e)) for n, e in enumerate((1e-5, 2e-4, 1e-6))]

    assert fold(make.case(), finite).numeric.error == 2e-4
    assert (
        fold(make.case(), [*finite, make.outcome(3, numeric=numeric(None))]).numeric.error is None
    )


def test_compile_time_is_the_longest(make):
    outcomes = [make.outcome(n, compile_ns=ns) for n, ns in enumerate((9_000_000_000, None, 10**9))]

    assert fold(make.case(), outcomes).compile_s == 9.0
    assert fold(make.case(), [make.outcome(0)]).compile_s is None


def flags(make, outcomes, backend="cpu", cores_used=1):
    return fold(make.case(backend=backend), outcomes, None, cores_used).flags


def test_three_quiet_processes_have_no_flag(make):
    assert flags(make, [make.outcome(n) for n in range(3)]) == []


def test_single_process(make):
    assert flags(make, [make.outcome(0)]) == ["SINGLE_PROCESS"]


@pytest.mark.parametrize(("cpu_fraction", "contended"), [(1.0, False), (0.96, False), (0.94, True)])
def test_contended_is_wall_over_cpu_time(make, cpu_fraction, contended):
    outcomes = [make.outcome(n) for n in range(2)]
    outcomes.append(make.outcome(2, sustained=make.samples(cpu_fraction=cpu_fraction)))

    assert ("CONTENDED" in flags(make, outcomes)) is contended
    # On a device the host waits: its CPU time says nothing.
    assert "CONTENDED" not in flags(make, outcomes, backend="cuda")


def test_contention_of_an_operator_on_several_cores_is_held_against_its_own_parallelism(make):
    def process(number, *parallelisms):
        samples = make.samples(count=len(parallelisms))
        cpu_ns = [round(w * p) for w, p in zip(samples.wall_ns, parallelisms, strict=True)]
        return make.outcome(number, sustained=samples.model_copy(update={"cpu_ns": cpu_ns}))

    parallel = [process(n, *[3.8] * 20) for n in range(3)]
    half_parallel = [process(n, *[1.5] * 20) for n in range(3)]
    squeezed = [*parallel[:2], process(2, *[2.9] * 20)]

    assert "CONTENDED" not in flags(make, parallel, cores_used=4)
    assert "CONTENDED" not in flags(make, half_parallel, cores_used=4)
    assert "CONTENDED" in flags(make, squeezed, cores_used=4)


@pytest.mark.parametrize(("switched", "preempted"), [(4, False), (5, True)])
def test_preempted_is_under_80_percent_of_clean_samples(make, switched, preempted):
    samples = make.samples(count=20, switched=switched)
    outcomes = [make.outcome(n, sustained=samples, isolated=samples) for n in range(3)]

    assert ("PREEMPTED" in flags(make, outcomes)) is preempted


@pytest.mark.parametrize(("slowest", "spread"), [(1.09e-3, False), (1.11e-3, True)])
def test_process_spread(make, slowest, spread):
    outcomes = [make.outcome(0), make.outcome(1), make.outcome(2, slowest)]

    assert ("PROCESS_SPREAD" in flags(make, outcomes)) is spread


@pytest.mark.parametrize(("late", "drift"), [(1.04e-3, False), (1.06e-3, True), (0.94e-3, True)])
def test_drift(make, late, drift):
    samples = make.samples([1e-3] * 10 + [late] * 10)
    outcomes = [make.outcome(n, sustained=samples) for n in range(3)]

    assert ("DRIFT" in flags(make, outcomes)) is drift


def test_a_few_samples_cannot_drift(make):
    outcomes = [make.outcome(n, sustained=make.samples([1e-3] * 5 + [2e-3] * 5)) for n in range(3)]

    assert "DRIFT" not in flags(make, outcomes)


def test_flags_of_processes_and_throttling_are_carried_over(make):
    outcomes = [make.outcome(0, flags=["MAY_FUSE"]), make.outcome(1, health={"throttled": True})]

    assert flags(make, outcomes) == ["MAY_FUSE", "THROTTLED"]
