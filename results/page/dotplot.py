"""Rows of marks on one logarithmic axis: times or ratios of many cases, told apart by shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .palette import MUTED, SERIES, SHAPES
from .text import shorten

_ROW_PX = 22
_WIDTH_PX = 560
#: What a letter of a row's name may take, whatever the reader's font: the renderer measures with
#: a font of its own.
_LETTER_PX = 7.4
_NAME_LETTERS = 44
#: Steps within a decade, the coarsest first.
_STEPS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    tuple(1 + 0.2 * i for i in range(45)),
    tuple(1 + 0.1 * i for i in range(90)),
    tuple(1 + 0.02 * i for i in range(450)),
)
_FEWEST_TICKS = 4


@dataclass(frozen=True, slots=True)
class Dot:
    """One mark: in which row and series, where, with which interval, and what a pointer that
    rests on it is told."""

    row: str
    series: str
    value: float
    said: str
    low: float | None = None
    high: float | None = None


def dot_plot(
    dots: Sequence[Dot], series: Sequence[str], axis_title: str, axis_format: str, *, one: bool
) -> Any:
    """The chart; ``one`` draws a line at 1, where nothing differs. Rows stand as they come."""
    import altair as alt

    dots = [replace(dot, row=shorten(dot.row, _NAME_LETTERS)) for dot in dots]
    rows = list(dict.fromkeys(dot.row for dot in dots))
    ends = [end for dot in dots for end in (dot.value, dot.low, dot.high) if end]
    low, high = min(ends), max(ends)
    if one:
        low, high = min(low, 1 / 1.1), max(high, 1.1)
    # Air at both ends, so that no mark lies on the frame.
    x_scale = alt.Scale(type="log", domain=[low / 1.15, high * 1.15], nice=False)
    ticks = log_ticks(low / 1.15, high * 1.15)
    x_axis = alt.Axis(format=axis_format, values=ticks, grid=True, labelOverlap="greedy")
    x = alt.X("value:Q", scale=x_scale, title=axis_title, axis=x_axis)
    extent = _LETTER_PX * max(map(len, rows))
    y_axis = alt.Axis(ticks=False, domain=False, grid=True, minExtent=extent, labelLimit=0)
    y = alt.Y("row:N", sort=rows, title=None, axis=y_axis)
    colour = alt.Scale(domain=list(series), range=list(SERIES[: len(series)]))
    shapes = alt.Scale(domain=list(series), range=list(SHAPES[: len(series)]))
    data = alt.InlineData(
        values=[
            {"row": dot.row, "series": dot.series, "value": dot.value, "said": dot.said}
            for dot in dots
        ]
    )
    base = alt.Chart(data)
    legend = alt.Legend(title=None, columnPadding=24) if len(series) > 1 else None
    layers: list[Any] = []
    if one:
        rule = alt.Chart(alt.InlineData(values=[{"value": 1.0}]))
        layers.append(rule.mark_rule(color=MUTED, strokeDash=[4, 3], aria=False).encode(x=x))
    for own, stroke in zip(series, SERIES, strict=False):
        # A colour each, not a channel: a channel without a legend would take the marks' away.
        whiskers = [
            {"row": dot.row, "low": dot.low, "high": dot.high}
            for dot in dots
            if dot.series == own and dot.low is not None and dot.high is not None
        ]
        if whiskers:
            rule = alt.Chart(alt.InlineData(values=whiskers))
            reach = alt.X("low:Q", scale=x_scale, title=axis_title, axis=x_axis)
            rule = rule.mark_rule(color=stroke, strokeWidth=1.5, aria=False)
            layers.append(rule.encode(x=reach, x2="high:Q", y=y))
    layers.append(
        base.mark_point(size=64, strokeWidth=2, opacity=1).encode(
            x=x,
            y=y,
            color=alt.Color("series:N", scale=colour, legend=legend),
            shape=alt.Shape("series:N", scale=shapes, legend=legend),
            description="said:N",
        )
    )
    return alt.layer(*layers).properties(width=_WIDTH_PX, height=_ROW_PX * max(len(rows), 2))


def log_ticks(low: float, high: float) -> list[float]:
    """Round figures between two ends of a logarithmic axis: decades where there are enough, else
    steps within them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in _STEPS:
        ticks = [float(f"{step * 10.0**n:.3g}") for n in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return ticks
