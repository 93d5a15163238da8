"""The drawing of a roofline: slanted roofs of memories, level ones of arithmetic, and marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..roofline_frame import INTENSITY, Frame, Segment, cut, decades, fit
from ..rooflines import Ceiling
from .palette import INK, MUTED, PAPER, SERIES, SHAPES

_WIDTH_PX, _HEIGHT_PX = 760, 420
#: Between two labels of level roofs, and between two slanted roofs that both have one.
_LABEL_PX, _SLANTED_PX = 14, 15
#: The part of the width that names of level roofs take.
_LABELS = 0.24
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Mark:
    """A case: FLOP per byte, FLOP per second, the series that it belongs to, and what a pointer
    that rests on it is told."""

    intensity: float
    flops_per_s: float
    series: str
    said: str


def _x(frame: Frame, field: str) -> Any:
    """The channel of FLOP/B; every layer names the same, so that they share it."""
    import altair as alt

    scale = alt.Scale(type="log", domain=[10**frame.left, 10**frame.right], nice=False)
    axis = alt.Axis(values=decades(frame.left, frame.right), format="~g")
    return alt.X(f"{field}:Q", scale=scale, axis=axis, title=INTENSITY)


def _y(frame: Frame, field: str) -> Any:
    """The channel of FLOP/s."""
    import altair as alt

    scale = alt.Scale(type="log", domain=[10**frame.low, 10**frame.high], nice=False)
    axis = alt.Axis(values=decades(frame.low, frame.high), format="~s")
    return alt.Y(f"{field}:Q", scale=scale, axis=axis, title="FLOP/s")


def _decade_px(frame: Frame) -> float:
    """Height of a power of ten."""
    return _HEIGHT_PX / (frame.high - frame.low)


def _slope_degrees(frame: Frame) -> float:
    """How steep a memory's roof looks: one decade up for each to the right."""
    return math.degrees(math.atan2(_decade_px(frame), _WIDTH_PX / (frame.right - frame.left)))


def plot_roofline(marks: Sequence[Mark], ceilings: Sequence[Ceiling], title: str = "") -> Any:
    """The chart of at least one mark under its roofs; one that was measured is dashed. A page
    has a ``title`` of its own above it."""
    import altair as alt

    frame = fit([(mark.intensity, mark.flops_per_s) for mark in marks], ceilings, _LABELS)
    roofs = cut(ceilings, frame)
    layers = [*_lines(roofs, frame), *_labels(roofs, frame), _marks(marks, frame)]
    chart = alt.layer(*layers).properties(width=_WIDTH_PX, height=_HEIGHT_PX)
    if not title:
        return chart
    style: dict[str, Any] = {"anchor": "start", "color": INK, "fontSize": 14, "offset": 12}
    return chart.properties(title=alt.TitleParams(title, **style))


def _lines(roofs: Sequence[Segment], frame: Frame) -> list[Any]:
    import altair as alt

    layers = []
    for dashed in (False, True):
        values = [
            {
                "x": 10**roof.x,
                "y": 10**roof.y,
                "x2": 10**roof.x_end,
                "y2": 10**roof.y_end,
            }
            for roof in roofs
            if roof.dashed is dashed
        ]
        if values:
            dash = [5, 3] if dashed else [1, 0]
            rule = alt.Chart(alt.InlineData(values=values)).mark_rule(
                color=MUTED, strokeWidth=1.5, strokeDash=dash, aria=False
            )
            layers.append(rule.encode(x=_x(frame, "x"), y=_y(frame, "y"), x2="x2:Q", y2="y2:Q"))
    return layers


def _labels(roofs: Sequence[Segment], frame: Frame) -> list[Any]:
    import altair as alt

    level: dict[str, Any] = {"align": "right", "baseline": "bottom", "dx": -2}
    slanted = level | {"align": "left", "dx": 10, "dy": -2}
    slanted["angle"] = 360 - _slope_degrees(frame)
    layers = []
    for places, style in (
        (_level_labels(roofs, frame), level),
        (_slanted_labels(roofs, frame), slanted),
    ):
        if places:
            text = alt.Chart(alt.InlineData(values=places)).mark_text(
                color=MUTED, stroke=PAPER, strokeWidth=3, fontSize=11, aria=False, **style
            )
            layers.append(text.encode(x=_x(frame, "x"), y=_y(frame, "y"), text="label:N"))
    return layers


def _level_labels(roofs: Sequence[Segment], frame: Frame) -> list[dict[str, Any]]:
    """At the right end, above the line; below it where the next roof is too near for that. One
    that would lie on another label moves up."""
    step = _LABEL_PX / _decade_px(frame)
    level = sorted((roof for roof in roofs if roof.level), key=lambda roof: roof.y)
    places, last = [], -math.inf
    for place, roof in enumerate(level, start=1):
        above = level[place].y if place < len(level) else math.inf
        y = roof.y + 0.3 * step
        beneath = roof.y - 1.15 * step
        if above - roof.y < 1.5 * step and beneath - last >= step:
            y = beneath
        last = max(y, last + step)
        places.append({"x": 10**frame.right, "y": 10**last, "label": roof.label})
    return places


def _slanted_labels(roofs: Sequence[Segment], frame: Frame) -> list[dict[str, Any]]:
    """At the left end, along the line; of two that lie close, the faster memory's."""
    places: list[dict[str, Any]] = []
    taken: list[float] = []
    for roof in sorted((roof for roof in roofs if not roof.level), key=lambda r: r.x - r.y):
        offset = (roof.y - roof.x) * _decade_px(frame)
        if all(abs(offset - other) >= _SLANTED_PX for other in taken):
            taken.append(offset)
            places.append({"x": 10**roof.x, "y": 10**roof.y, "label": roof.label})
    return places


def _marks(marks: Sequence[Mark], frame: Frame) -> Any:
    import altair as alt

    series = list(dict.fromkeys(mark.series for mark in marks))
    if len(series) > len(SHAPES):
        series = [*series[: len(SHAPES) - 1], _OTHER]
    values = [
        {
            "x": mark.intensity,
            "y": mark.flops_per_s,
            "series": mark.series if mark.series in series else _OTHER,
            "said": mark.said,
        }
        for mark in marks
    ]
    legend = alt.Legend(title="dtype") if len(series) > 1 else None
    colours = alt.Scale(domain=series, range=list(SERIES))
    shapes = alt.Scale(domain=series, range=list(SHAPES))
    points = alt.Chart(alt.InlineData(values=values)).mark_point(
        size=56, strokeWidth=2, opacity=1, clip=False
    )
    return points.encode(
        x=_x(frame, "x"),
        y=_y(frame, "y"),
        color=alt.Color("series:N", scale=colours, legend=legend),
        shape=alt.Shape("series:N", scale=shapes, legend=legend),
        description="said:N",
    )
