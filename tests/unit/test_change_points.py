"""Where the level of a series changed: on made-up noise, on its own rules, and on degenerate
series."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trnbench.results.change_points import (
    Noise,
    estimate_noise,
    find_changes,
    hodges_lehmann,
    largest_divergence,
    level_p_value,
    permutation_p_value,
)


def series(seed=0, runs=100, spread=0.01, correlation=0.0, outlying=0.0):
    """Times with Student's t noise (3 degrees of freedom), correlated, some far off."""
    random = np.random.default_rng(seed)
    own = random.standard_t(3, runs) / math.sqrt(3)
    for run in range(1, runs):
        own[run] = correlation * own[run - 1] + math.sqrt(1 - correlation**2) * own[run]
    log = spread * own + (random.random(runs) < outlying) * random.exponential(0.3, runs)
    return 1e-3 * np.exp(log)


def only(times, **rules):
    (changes,) = find_changes([times], **rules)
    return changes


@pytest.mark.parametrize("at", [8, 50, 93])
@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_a_change_is_found_at_its_run_with_its_size(at, factor):
    times = series(spread=0.005, outlying=0.03)
    times[at:] *= factor

    (change,) = only(times)

    assert abs(change.at - at) <= 1
    assert change.low <= factor <= change.high
    assert change.ratio == pytest.approx(factor, rel=0.005)
    assert change.q_value < 0.01


def test_a_level_that_went_and_came_back_is_two_changes():
    times = series(runs=300, spread=0.005)
    times[140:152] *= 1.08

    first, second = only(times)

    assert (first.at, second.at) == (140, 152)
    assert first.ratio == pytest.approx(1.08, rel=0.01)
    assert second.ratio == pytest.approx(1 / 1.08, rel=0.01)


def test_noise_alone_has_few_changes_whatever_its_kind():
    """False ones in 100 series of each kind: none of the independent, at most one elsewhere."""
    for correlation, outlying, most in ((0.0, 0.0, 0), (0.0, 0.05, 0), (0.5, 0.02, 1)):
        noise = [
            series(seed, runs=60, spread=0.02, correlation=correlation, outlying=outlying)
            for seed in range(100)
        ]
        assert sum(map(len, find_changes(noise))) <= most, (correlation, outlying)


def test_a_step_far_beyond_correlated_noise_is_found_in_few_runs():
    """A machine that drifts up and down by four parts in a thousand, and then a tenth."""
    drift = 1 + 0.001 * (np.arange(24) % 5)
    (change,) = only(1e-3 * drift * np.repeat([1.0, 1.1], 12))

    assert change.at == 12


def test_single_runs_far_off_are_no_change():
    times = series(spread=0.002)
    times[[20, 21, 50, 80]] *= 1.5

    assert only(times) == []


def test_a_change_below_the_floor_is_none():
    times = series(spread=0.0005)
    times[50:] *= 1.006

    assert only(times) == []
    (change,) = only(times, floor=0.005)
    assert change.ratio == pytest.approx(1.006, rel=1e-3)


def test_one_p_value_says_less_among_many_series():
    times = series(seed=1, runs=14, spread=0.01)
    times[7:] *= 1.06
    (alone,) = only(times)
    found = find_changes([times, *(series(seed, runs=14) for seed in range(1, 400))])

    assert alone.p_value == alone.q_value
    assert found[0] == []


def test_the_same_series_give_the_same_changes():
    many = [series(seed, correlation=0.3) for seed in range(20)]
    for times in many[:5]:
        times[60:] *= 1.03

    assert find_changes(many) == find_changes(many)
    # A case is judged by its own times: the order of the cases moves nothing but the order.
    assert find_changes(many[::-1]) == find_changes(many)[::-1]


def test_direction_and_unit_of_time_move_nothing():
    times = series(spread=0.005)
    times[40:] *= 1.04
    (forward,) = only(times)
    (scaled,) = only(times * 1e6)
    (backward,) = only(times[::-1])

    assert (scaled.at, scaled.ratio) == (forward.at, pytest.approx(forward.ratio))
    assert backward.at == 100 - forward.at
    assert backward.ratio == pytest.approx(1 / forward.ratio)


@pytest.mark.parametrize("runs", [0, 1, 9])
def test_fewer_runs_than_two_levels_have_no_change(runs):
    assert only(np.linspace(1, 5, runs)) == []


def test_constant_times_have_none_and_a_clean_step_has_one():
    assert only(np.full(40, 1e-3)) == []
    (change,) = only(np.repeat([1e-3, 1.1e-3], 20))
    assert (change.at, change.ratio) == (20, pytest.approx(1.1))
    # No more certain than that 40 runs in random order are as perfectly apart.
    assert change.p_value >= 2 / math.comb(40, 20)


def test_no_level_is_shorter_than_it_may_be():
    times = series(runs=40, spread=0.001)
    times[-6:] *= 1.2

    assert [change.at for change in only(times)] == [34]
    assert only(times, least_runs=8) == [] or only(times, least_runs=8)[0].at <= 32


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_times_are_over_zero(wrong):
    with pytest.raises(ValueError, match="wanted times over 0"):
        find_changes([[1.0] * 20, [1.0] * 10 + [wrong]])


def test_the_divergence_is_the_energy_distance_of_its_definition():
    """Against the definition, pair by pair, at the cut that was found."""
    x = np.log(series(runs=20, spread=0.05))
    x[12:] += 0.3
    at, statistic = largest_divergence(x)
    a, b = x[:at], x[at:]
    n, m = a.size, b.size
    between = np.mean([abs(one - other) for one in a for other in b])
    within_a = np.sum([abs(one - other) for one in a for other in a]) / (n * (n - 1))
    within_b = np.sum([abs(one - other) for one in b for other in b]) / (m * (m - 1))

    assert at == 12
    assert statistic == pytest.approx(n * m / (n + m) * (2 * between - within_a - within_b))


def test_permuting_tells_a_step_from_noise():
    noise = np.log(series(runs=30, spread=0.01))
    step = noise + np.repeat([0.0, 0.05], 15)

    assert permutation_p_value(step, largest_divergence(step)[1]) == 1 / 200
    assert permutation_p_value(noise, largest_divergence(noise)[1]) > 0.05


def test_the_p_value_is_a_pooled_t_test_s_where_nothing_is_far_off():
    from scipy import stats

    random = np.random.default_rng(3)
    a, b = random.uniform(0, 1, 40), random.uniform(0.2, 1.2, 40)
    pooled = stats.ttest_ind(a, b).pvalue

    # The larger of the pooled variance and each level's own: never less, and little more.
    assert pooled <= level_p_value(a, b) < 3 * pooled
    assert level_p_value(a, b, Noise(variance=1.0)) > 10 * pooled
    assert level_p_value(a, b, Noise(correlation=0.5)) > 10 * pooled


def test_five_runs_that_were_disturbed_are_no_level():
    """A short level is as uncertain as it is wide, however quiet the long one before it was."""
    random = np.random.default_rng(5)
    quiet = random.standard_normal(95) * 0.002
    disturbed = np.array([0.02, 0.35, 0.1, 0.5, 0.15])

    assert level_p_value(quiet, disturbed) > 1e-4
    assert level_p_value(quiet, disturbed.mean() + disturbed * 0.005) < 1e-7


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_noise_is_estimated_within_levels(correlation):
    x = np.log(series(7, runs=400, spread=0.01, correlation=correlation))
    x[200:] += 0.1
    noise = estimate_noise([x[:200], x[200:]])

    assert noise.correlation == pytest.approx(correlation, abs=0.2)
    assert noise.variance == pytest.approx(1e-4, rel=0.7)


def test_the_shift_and_its_interval_bear_outliers():
    random = np.random.default_rng(4)
    a, b = random.standard_normal(50), random.standard_normal(60) + 1
    b[:3] += 1000
    shift, low, high = hodges_lehmann(a, b)

    assert low < 1 < high
    assert shift == pytest.approx(1, abs=0.4)
    assert high - low < 1.2
