"""Statistics by hand and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from trnbench.results import statistics as st


def test_process_estimate_is_the_geometric_mean_with_a_t_interval_on_the_log_scale():
    # Logs 0, ln 2, 2 ln 2: mean ln 2, standard deviation ln 2; t(0.975, 2) = 4.302653.
    half_width = 4.302653 * math.log(2) / math.sqrt(3)

    value, low, high = st.process_estimate([1.0, 2.0, 4.0])

    assert value == pytest.approx(2.0)
    assert low == pytest.approx(2.0 * math.exp(-half_width), rel=1e-5)
    assert high == pytest.approx(2.0 * math.exp(half_width), rel=1e-5)


def test_one_process_gives_a_value_without_an_interval():
    assert st.process_estimate([3.5]) == (pytest.approx(3.5), None, None)
    assert st.linear_estimate([-1.0]) == (-1.0, None, None)


def test_linear_estimate_bears_values_below_zero():
    # Mean 1, standard deviation 2; t(0.975, 2) = 4.302653.
    value, low, high = st.linear_estimate([-1.0, 1.0, 3.0])

    assert value == pytest.approx(1.0)
    assert high - value == pytest.approx(4.302653 * 2 / math.sqrt(3), rel=1e-5)
    assert value - low == pytest.approx(high - value)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ([], "no figures"),
        ([1.0, 0.0], "0 given"),
        ([1.0, -2.0], "-2"),
        ([math.nan], "nan"),
        ([math.inf], "inf"),
    ],
)
def test_figures_that_are_no_times_are_refused_by_value(figures, said):
    with pytest.raises(ValueError, match=said):
        st.process_estimate(figures)


@pytest.mark.parametrize("processes", [3, 5, 8])
def test_the_interval_over_processes_covers_the_truth(processes):
    rng = np.random.default_rng(20261122 + processes)
    runs = 4000
    spread = rng.choice([0.003, 0.03, 0.3], size=(runs, 1))
    medians = np.exp(spread * rng.standard_normal((runs, processes)))

    covered = sum(low <= 1.0 <= high for _, low, high in map(st.process_estimate, medians))

    assert 0.92 < covered / runs < 0.99


@pytest.mark.parametrize(("a_count", "b_count"), [(3, 3), (3, 8), (5, 5), (8, 8)])
def test_the_interval_of_a_ratio_of_two_runs_covers_the_truth(a_count, b_count):
    rng = np.random.default_rng(a_count * 100 + b_count)
    runs = 3000
    covered = 0
    for _ in range(runs):
        a = np.exp(0.02 * rng.standard_normal(a_count))
        b = 1.5 * np.exp(0.06 * rng.standard_normal(b_count))
        _, low, high = st.ratio(a, b)
        covered += low <= 1.5 <= high

    assert 0.92 < covered / runs < 0.99


def test_the_paired_interval_covers_the_truth_where_a_drift_is_shared():
    rng = np.random.default_rng(5)
    runs, pairs = 1000, 21
    covered = 0
    for _ in range(runs):
        processes = []
        for effect in 1.02 * np.exp(0.01 * rng.standard_normal(5)):
            drift = np.exp(np.cumsum(0.05 * rng.standard_normal(pairs)))
            noise = np.exp(0.01 * rng.standard_normal((2, pairs)))
            processes.append((drift * noise[0], drift * noise[1] * effect))
        _, low, high = st.paired_ratio(processes)
        covered += low <= 1.02 <= high

    assert 0.92 < covered / runs < 0.99


def test_paired_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians():
    a = [1.0, 2.0, 10.0]
    b = [4.0, 2.2, 11.0]

    value, low, high = st.paired_ratio([(a, b)])

    assert value == pytest.approx(1.1)
    assert np.median(b) / np.median(a) == pytest.approx(2.0)
    assert (low, high) == (None, None)


def test_paired_ratio_has_an_interval_over_processes():
    # d_p = ln 1, ln 2, ln 4.
    processes = [([1, 1], [1, 1]), ([1, 1], [2, 2]), ([2, 2], [8, 8])]

    assert st.paired_ratio(processes) == pytest.approx(st.process_estimate([1, 2, 4]))


def test_paired_ratio_refuses_what_is_no_pair():
    with pytest.raises(ValueError, match="process 1: 2 times of A and 1 of B"):
        st.paired_ratio([([1], [1]), ([1, 2], [1])])
    with pytest.raises(ValueError, match="no processes"):
        st.paired_ratio([])


def test_ratio_agrees_with_welch_of_scipy():
    a, b = [1.0, 1.1, 0.95], [2.0, 2.4, 2.1, 1.9]
    welch = stats.ttest_ind(np.log(b), np.log(a), equal_var=False).confidence_interval(0.95)

    value, low, high = st.ratio(a, b)

    assert value == pytest.approx(stats.gmean(b) / stats.gmean(a))
    assert low == pytest.approx(math.exp(welch.low))
    assert high == pytest.approx(math.exp(welch.high))


def test_ratio_has_no_interval_where_a_run_has_one_process():
    assert st.ratio([1.0], [2.0, 2.0]) == (pytest.approx(2.0), None, None)
    assert st.ratio([1.0, 1.0], [2.0]) == (pytest.approx(2.0), None, None)


def test_ratio_of_runs_without_spread_is_certain():
    assert st.ratio([1.0, 1.0], [2.0, 2.0]) == pytest.approx((2.0, 2.0, 2.0))


@pytest.mark.parametrize(
    ("quantile", "needed"), [(0.5, 6), (0.2, 14), (0.95, 59), (0.99, 299), (0.05, 59)]
)
def test_samples_needed_for_a_quantile(quantile, needed):
    assert st.samples_needed(quantile) == needed


def test_samples_needed_refuses_what_is_no_quantile():
    with pytest.raises(ValueError, match="95"):
        st.samples_needed(95)


def test_rank_quantile_is_a_sample_and_needs_enough_of_them():
    samples = list(range(100, 0, -1))

    assert st.rank_quantile(samples, 0.95) == 95
    assert st.rank_quantile(samples, 0.20) == 20
    assert st.rank_quantile(samples, 0.99) is None
    assert st.rank_quantile(range(1, 59), 0.95) is None
    assert st.rank_quantile(range(1, 60), 0.95) == 57  # ceil(0.95 * 59)
    assert st.rank_quantile(range(1, 101), 0.07) == 7  # though 0.07 * 100 > 7 in binary


def test_rank_interval_of_the_median_of_100_is_the_tabulated_one():
    # Tables of the sign test give ranks 40 and 61 for n = 100 at 95 %.
    assert st.rank_interval(range(1, 101), 0.5) == (40, 61)
    assert st.rank_interval(range(1, 6), 0.5) is None


@pytest.mark.parametrize("quantile", [0.05, 0.2, 0.5, 0.95, 0.99])
def test_rank_interval_covers_by_exact_count_and_is_no_wider_than_that_takes(quantile):
    """Of n samples, those below the quantile are binomial: ranks l and h hold it where l to h - 1
    are below. One sample less on each side would be too few."""
    needed = st.samples_needed(quantile)
    assert st.rank_interval(range(1, needed), quantile) is None

    for count in range(needed, needed + 400):
        low, high = map(int, st.rank_interval(range(1, count + 1), quantile))
        held = stats.binom.pmf(np.arange(low, high), count, quantile)
        assert held.sum() >= 0.95, count
        assert held[1:-1].sum() < 0.95, count


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.95])
def test_rank_interval_covers_the_quantile(quantile):
    rng = np.random.default_rng(7)
    samples = rng.random((2000, 80))

    covered = sum(
        low <= quantile <= high for low, high in (st.rank_interval(s, quantile) for s in samples)
    )

    assert 0.93 < covered / 2000 < 1.0


def test_queue_fit_gives_intercept_and_slope():
    fixed, slope = st.queue_fit([1, 2, 4, 8], [107, 207, 407, 807])

    assert fixed == pytest.approx(7)
    assert slope == pytest.approx(100)


def test_queue_fit_isn_t_moved_by_a_sample_that_was_pre_empted():
    calls = np.repeat([10, 20, 30, 40, 50], 3)
    wall_ns = 5000 + 100 * calls
    wall_ns[[4, 13]] += 4_000_000

    fixed, slope = st.queue_fit(calls, wall_ns)

    assert fixed == pytest.approx(5000, rel=0.01)
    assert slope == pytest.approx(100, rel=0.01)
    # Least squares, which this is not, is off by far.
    assert abs(np.polyfit(calls, wall_ns, 1)[0] / 100 - 1) > 1


def test_queue_fit_agrees_with_scipy_s_slope():
    rng = np.random.default_rng(3)
    calls = np.arange(1, 12)
    wall_ns = 50 + 7 * calls + rng.normal(0, 5, 11)

    assert st.queue_fit(calls, wall_ns)[1] == pytest.approx(stats.theilslopes(wall_ns, calls)[0])


@pytest.mark.parametrize(
    ("calls", "wall_ns", "said"),
    [
        ([1, 2], [1, 2], "2 points"),
        ([5, 5, 5], [1, 2, 3], "1 different"),
        ([1, 2, 3], [1, 2], "as many"),
    ],
)
def test_queue_fit_refuses_what_gives_no_line(calls, wall_ns, said):
    with pytest.raises(ValueError, match=said):
        st.queue_fit(calls, wall_ns)


@pytest.mark.parametrize(
    ("second", "steady"), [(1.0, True), (1.09, True), (1.11, False), (0.92, True), (0.90, False)]
)
def test_steady_is_a_difference_of_the_halves_of_at_most_a_tenth(second, steady):
    assert st.is_steady([1.0] * 10 + [second] * 10) is steady
    assert st.halves_ratio([1.0] * 10 + [second] * 10) == pytest.approx(second)


def test_the_middle_sample_belongs_to_neither_half():
    assert st.halves_ratio([1, 1, 99, 2, 2]) == 2
    with pytest.raises(ValueError, match="at least 2"):
        st.halves_ratio([1])
