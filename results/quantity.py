"""Figures for a person to read: the one place where SI values are scaled and given units.

Three significant digits, decimal prefixes (1 GB is 10^9 bytes), a space before the unit.
Unknown is a dash and never a zero.
"""

from __future__ import annotations

import math

UNKNOWN = "-"

_PREFIXES = {
    -5: "f",
    -4: "p",
    -3: "n",
    -2: "µ",
    -1: "m",
    0: "",
    1: "k",
    2: "M",
    3: "G",
    4: "T",
    5: "P",
    6: "E",
}
#: Units that take a prefix at once ("TFLOP/s"); before others it stands apart ("12.3 k tokens/s").
_SYMBOLS = frozenset({"FLOP/s", "OP/s", "B/s", "B", "s", "Hz", "FLOP"})


def format_scaled(value: float, unit: str) -> str:
    """``1.23 TFLOP/s`` for 1.23e12 FLOP/s; ``12.3 k tokens/s`` where the unit is a word."""
    number, exponent = _scale(value)
    prefix = _PREFIXES[exponent]
    if unit in _SYMBOLS:
        return f"{number} {prefix}{unit}"
    return f"{number} {prefix} {unit}" if prefix else f"{number} {unit}"


def format_seconds(value: float | None) -> str:
    """``12.3 µs``; whole numbers of seconds beyond 1000 s, without a prefix."""
    if value is None:
        return UNKNOWN
    return format_scaled(value, "s") if abs(value) < 999.5 else f"{value:.0f} s"


def format_plus_minus(value: float, low: float | None, high: float | None) -> str:
    """``0.4 %``: the longer arm of the interval relative to the value.

    An interval made on the log scale isn't even: the longer arm is the honest single figure.
    """
    if low is None or high is None:
        return UNKNOWN
    arm = max(high / value - 1, 1 - low / value)
    if arm > 9.99:
        return "> 999 %"
    if arm < 0.0005:
        return "< 0.1 %"
    return f"{100 * arm:.1f} %" if arm < 0.0995 else f"{100 * arm:.0f} %"


def format_rate(value: float | None, unit: str | None) -> str:
    """Throughput in its own unit: ``1.23 TFLOP/s``, ``41.2 GB/s``, ``12.3 k tokens/s``."""
    return UNKNOWN if value is None or unit is None else format_scaled(value, unit)


def format_fraction(value: float | None) -> str:
    """``91 %``, ``3.2 %``, ``0.41 %``: two significant digits, and whole percents from 10."""
    if value is None:
        return UNKNOWN
    percent = 100 * value
    if percent >= 9.95:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.995 else f"{percent:.2f} %"


def format_ratio(value: float | None) -> str:
    """A ratio: ``0.523``, ``12.4``, ``1.02e+03``, with three significant digits."""
    return UNKNOWN if value is None else f"{value:#.3g}".rstrip(".")


def format_bytes(value: float | None) -> str:
    """``16.8 GB``."""
    return UNKNOWN if value is None else format_scaled(value, "B")


def format_count(value: float | None) -> str:
    """A count without a unit: ``268 M``, ``1.1 G``."""
    return UNKNOWN if value is None else format_scaled(value, "").rstrip()


def format_frequency(value: float | None) -> str:
    """``3.31 GHz``."""
    return UNKNOWN if value is None else format_scaled(value, "Hz")


def _scale(value: float) -> tuple[str, int]:
    """The number with three significant digits, and the power of 1000 taken out of it."""
    if not math.isfinite(value):
        raise ValueError(f"{value} given; wanted a finite figure: an unknown one is None")
    if value == 0:
        return "0", 0
    # Rounded first, so that 999.96 becomes 1.00 of the next prefix and not "1000".
    rounded = float(f"{value:.2e}")
    exponent = math.floor(math.log10(abs(rounded)) / 3 + 1e-12)
    exponent = min(max(exponent, min(_PREFIXES)), max(_PREFIXES))
    mantissa = rounded / 1000.0**exponent
    decimals = max(0, 2 - math.floor(math.log10(abs(mantissa)) + 1e-12))
    return f"{mantissa:.{decimals}f}", exponent
