"""Figures as they are printed."""

from __future__ import annotations

import math

import pytest

from trnbench.results import quantity


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (1.234e12, "FLOP/s", "1.23 TFLOP/s"),
        (820 * 2**30, "B/s", "880 GB/s"),
        (41.25e9, "B/s", "41.2 GB/s"),
        (12345, "tokens/s", "12.3 k tokens/s"),
        (345, "tokens/s", "345 tokens/s"),
        (3.31e9, "Hz", "3.31 GHz"),
        (0, "B/s", "0 B/s"),
        (5e19, "FLOP/s", "50.0 EFLOP/s"),
    ],
)
def test_rates(value, unit, said):
    assert quantity.format_rate(value, unit) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.2345e-5, "12.3 µs"),
        (999.4e-6, "999 µs"),
        (999.96e-6, "1.00 ms"),
        (1e-9, "1.00 ns"),
        (0.25, "250 ms"),
        (60, "60.0 s"),
        (4321.4, "4321 s"),
        (None, "-"),
    ],
)
def test_seconds(value, said):
    assert quantity.format_seconds(value) == said


@pytest.mark.parametrize("digit", range(1, 10))
@pytest.mark.parametrize("power", range(-12, 3))
def test_a_printed_time_is_the_time(digit, power):
    value = digit * 1.001 * 10.0**power
    number, unit = quantity.format_seconds(value).split()
    factor = {"ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[unit]

    assert float(number) * factor == pytest.approx(value, rel=0.006)
    assert 0.999 <= float(number) < 1000


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.996, 1.004), "0.4 %"),
        ((0.9, 1.3), "30 %"),
        ((0.9999, 1.0001), "< 0.1 %"),
        ((0.05, 20.0), "> 999 %"),
        ((None, None), "-"),
    ],
)
def test_the_longer_arm_of_an_interval(interval, said):
    assert quantity.format_plus_minus(1.0, *interval) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.914, "91 %"),
        (1.034, "103 %"),
        (0.0312, "3.1 %"),
        (0.0996, "10 %"),
        (0.0041, "0.41 %"),
        (None, "-"),
    ],
)
def test_fractions(value, said):
    assert quantity.format_fraction(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5231, "0.523"), (12.36, "12.4"), (123.4, "123"), (1, "1.00"), (0.00254, "0.00254")],
)
def test_ratios(value, said):
    assert quantity.format_ratio(value) == said


def test_counts_and_bytes():
    assert quantity.format_count(268_435_456) == "268 M"
    assert quantity.format_count(512) == "512"
    assert quantity.format_bytes(16.8e9) == "16.8 GB"
    assert quantity.format_bytes(None) == "-"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_isn_t_finite_is_no_figure(value):
    with pytest.raises(ValueError, match="finite"):
        quantity.format_rate(value, "B/s")
