"""Speed-ups: how many times as fast a run is as its baseline, beside what a specification expects.

A speed-up is the time in the baseline over the time in the run: above 1, the run is faster. It
is the inverse of the ratio B/A that a ``DiffRow`` holds, and so are its interval's ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..quantity import UNKNOWN, format_ratio
from .blocks import Cell, Chart, Heading, Table
from .dotplot import Dot, dot_plot
from .svg import draw
from .text import count, name, one_line

if TYPE_CHECKING:
    from ..compare import Comparison
    from ..difference import DiffRow

#: Rows of a chart; what matters stands first.
_MOST_ROWS = 40
MEASURED, EXPECTED = "measured", "expected by specification"


def invert(ratio: float | None) -> float | None:
    """A speed-up from a ratio of times, and back."""
    return 1 / ratio if ratio else None


def format_interval(low: float | None, high: float | None) -> str:
    """``1.01 to 1.07`` of a speed-up from the ends of a ratio of times, which change places; ""
    where they aren't known."""
    ends = invert(high), invert(low)
    return "" if None in ends else " to ".join(map(format_ratio, ends))


def name_row(row: DiffRow) -> str:
    """``matmul square-512 bf16 compiled``; an eager case goes without saying."""
    mode = "" if row.mode == "eager" else f" {row.mode}"
    return name(f"{row.workload} {row.configuration} {row.dtype}{mode}")


def speedup_chart(a: str, b: str, id_: str, rows: Sequence[DiffRow]) -> Chart | None:
    """Measured beside expected, the fastest first; None where no row has a ratio."""
    known = [row for row in rows if row.ratio]
    if not known:
        return None
    shown = sorted(known[:_MOST_ROWS], key=lambda row: row.ratio or 0.0)
    dots = [dot for row in shown for dot in _dots(row)]
    series = [one for one in (MEASURED, EXPECTED) if any(dot.series == one for dot in dots)]
    said = count(len(shown), "case")
    said += f", the first of {len(known):,} that matter" if len(known) > len(shown) else ""
    title = f"Speed-up of {b} against {a}"
    plot = dot_plot(dots, series, f"times as fast as {a}", "~g", one=True)
    return Chart(
        id_,
        draw(plot, title, f"{said}; the table below has them"),
        f"{title}: {said}",
        _data(title, f"{id_}-data", shown),
    )


def _dots(row: DiffRow) -> list[Dot]:
    label, dots = name_row(row), []
    speedup, expected = invert(row.ratio), invert(row.expected_ratio)
    if speedup is not None:
        interval = format_interval(row.low, row.high)
        said = f"{label}: {format_ratio(speedup)} times as fast"
        said += f" ({interval})" if interval else ""
        low, high = (invert(row.high), invert(row.low)) if interval else (None, None)
        dots.append(Dot(label, MEASURED, speedup, said, low, high))
    if expected is not None:
        said = f"{label}: {format_ratio(expected)} times as fast by specification"
        dots.append(Dot(label, EXPECTED, expected, said))
    return dots


def _data(title: str, id_: str, rows: Sequence[DiffRow]) -> Table:
    headings = [
        Heading("case"),
        Heading("speed-up", figure=True),
        Heading("95 % interval", figure=True),
        Heading("expected", figure=True),
    ]
    cells = [
        [
            Cell(name_row(row)),
            Cell(format_ratio(invert(row.ratio))),
            Cell(format_interval(row.low, row.high) or UNKNOWN),
            Cell(format_ratio(invert(row.expected_ratio)), more=one_line(row.expected_reason)),
        ]
        for row in rows
    ]
    return Table(id_, title, headings, cells)


def classes_table(a: str, b: str, id_: str, comparison: Comparison) -> Table | None:
    """The geometric means of all cases and of each class of several; None where no case has a
    ratio. A class of one is a row of the table of differences."""
    means = comparison.geometric_means
    shown = [mean for mean in means if mean.cases > 1] or means[:1]
    alone = len(means) - len(shown)
    note = f"Without {count(alone, 'class', 'classes')} of one case." if alone else ""
    rows = [
        [
            Cell(name(label)),
            Cell(f"{number:,}", sort=number),
            Cell(format_ratio(invert(ratio)), sort=invert(ratio)),
            Cell(format_interval(low, high) or UNKNOWN),
            Cell(format_ratio(invert(expected)), sort=invert(expected)),
        ]
        for label, number, ratio, low, high, expected in shown
    ]
    if not rows:
        return None
    headings = [
        Heading("class"),
        Heading("cases", figure=True),
        Heading("speed-up", figure=True, explained="geometric mean of the class"),
        Heading("95 % interval", figure=True),
        Heading("expected", figure=True, explained="by specification"),
    ]
    return Table(id_, f"Geometric means of {b} against {a}", headings, rows, note=note)
