"""The drawing of a roofline: slanted roofs of memories, level ones of arithmetic, and marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..quantity import format_rate
from .ceilings import Ceiling
from .palette import MUTED, PAPER, SERIES, SHAPES
from .text import name

_WIDTH_PX, _HEIGHT_PX = 760, 420
#: Between two labels of level roofs, and between two slanted roofs that both have one.
_LABEL_PX, _SLANTED_PX = 14, 15
_OTHER = "other"
_KINDS = ("arithmetic", "memory")


@dataclass(frozen=True, slots=True)
class Mark:
    """A case: FLOP per byte, FLOP per second, the series that it belongs to, and what a pointer
    that rests on it is told."""

    intensity: float
    flops_per_s: float
    series: str
    said: str


@dataclass(frozen=True, slots=True)
class _Roof:
    """The part of a roof inside the frame, by the logarithms of its ends, left one first."""

    x: float
    y: float
    x_end: float
    y_end: float
    ceiling: Ceiling

    @property
    def level(self) -> bool:
        return self.ceiling.kind == "arithmetic"

    @property
    def label(self) -> str:
        unit = "FLOP/s" if self.level else "B/s"
        rate = format_rate(self.ceiling.rate, unit)
        return f"{name(self.ceiling.name)} {rate}, {self.ceiling.ceiling}"


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of the plane that is drawn, in powers of ten."""

    left: float
    right: float
    low: float
    high: float

    @property
    def decade_px(self) -> float:
        """Height of a power of ten."""
        return _HEIGHT_PX / (self.high - self.low)

    @property
    def slope_degrees(self) -> float:
        """How steep a memory's roof looks: one decade up for each to the right."""
        return math.degrees(math.atan2(self.decade_px, _WIDTH_PX / (self.right - self.left)))

    def x(self, field: str) -> Any:
        """The channel of FLOP/B; every layer names the same, so that they share it."""
        import altair as alt

        scale = alt.Scale(type="log", domain=[10**self.left, 10**self.right], nice=False)
        axis = alt.Axis(values=_decades(self.left, self.right), format="~g")
        return alt.X(f"{field}:Q", scale=scale, axis=axis, title="arithmetic intensity, FLOP/B")

    def y(self, field: str) -> Any:
        """The channel of FLOP/s."""
        import altair as alt

        scale = alt.Scale(type="log", domain=[10**self.low, 10**self.high], nice=False)
        axis = alt.Axis(values=_decades(self.low, self.high), format="~s")
        return alt.Y(f"{field}:Q", scale=scale, axis=axis, title="FLOP/s")


def plot_roofline(marks: Sequence[Mark], ceilings: Sequence[Ceiling]) -> Any:
    """The chart of at least one mark under its roofs; an attained roof is dashed."""
    import altair as alt

    frame = _fit(marks, ceilings)
    roofs = _cut(ceilings, frame)
    layers = [*_lines(roofs, frame), *_labels(roofs, frame), _marks(marks, frame)]
    return alt.layer(*layers).properties(width=_WIDTH_PX, height=_HEIGHT_PX)


def _decades(low: float, high: float) -> list[float]:
    return [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]


def _fit(marks: Sequence[Mark], ceilings: Sequence[Ceiling]) -> _Frame:
    """A frame with all marks and roofs, and air around them."""
    arithmetic = [c.rate for c in ceilings if c.kind == "arithmetic"]
    memory = [c.rate for c in ceilings if c.kind == "memory"]
    xs = [mark.intensity for mark in marks]
    ys = [mark.flops_per_s for mark in marks]
    # The corners, where the roofs meet, belong into the picture.
    xs += [max(arithmetic) / min(memory) * 2] if arithmetic and memory else []
    ys += arithmetic
    left, right = math.log10(min(xs)) - 0.25, math.log10(max(xs)) + 0.25
    low, high = math.log10(min(ys)) - 0.25, math.log10(max(ys)) + 0.3
    return _Frame(left, max(right, left + 1), low, max(high, low + 1))


def _cut(ceilings: Sequence[Ceiling], frame: _Frame) -> list[_Roof]:
    """The roofs that show in the frame. A memory's ends at the highest arithmetic, and an
    arithmetic starts at the fastest memory: beyond, neither is a limit of anything."""
    rates = {kind: [math.log10(c.rate) for c in ceilings if c.kind == kind] for kind in _KINDS}
    fastest = max(rates["memory"], default=math.inf)
    top = max(rates["arithmetic"], default=frame.high)
    roofs = []
    for one in ceilings:
        rate = math.log10(one.rate)
        if one.kind == "arithmetic":
            roofs.append(_Roof(max(frame.left, rate - fastest), rate, frame.right, rate, one))
        else:
            start, stop = max(frame.left, frame.low - rate), min(frame.right, top - rate)
            roofs.append(_Roof(start, start + rate, stop, stop + rate, one))
    return [roof for roof in roofs if roof.x_end > roof.x]


def _lines(roofs: Sequence[_Roof], frame: _Frame) -> list[Any]:
    import altair as alt

    layers = []
    for attained in (False, True):
        values = [
            {
                "x": 10**roof.x,
                "y": 10**roof.y,
                "x2": 10**roof.x_end,
                "y2": 10**roof.y_end,
            }
            for roof in roofs
            if (roof.ceiling.ceiling == "attained") is attained
        ]
        if values:
            dash = [5, 3] if attained else [1, 0]
            rule = alt.Chart(alt.InlineData(values=values)).mark_rule(
                color=MUTED, strokeWidth=1.5, strokeDash=dash, aria=False
            )
            layers.append(rule.encode(x=frame.x("x"), y=frame.y("y"), x2="x2:Q", y2="y2:Q"))
    return layers


def _labels(roofs: Sequence[_Roof], frame: _Frame) -> list[Any]:
    import altair as alt

    level: dict[str, Any] = {"align": "right", "baseline": "bottom", "dx": -2}
    slanted = level | {"align": "left", "dx": 10, "dy": -2}
    slanted["angle"] = 360 - frame.slope_degrees
    layers = []
    for places, style in (
        (_level_labels(roofs, frame), level),
        (_slanted_labels(roofs, frame), slanted),
    ):
        if places:
            text = alt.Chart(alt.InlineData(values=places)).mark_text(
                color=MUTED, stroke=PAPER, strokeWidth=3, fontSize=11, aria=False, **style
            )
            layers.append(text.encode(x=frame.x("x"), y=frame.y("y"), text="label:N"))
    return layers


def _level_labels(roofs: Sequence[_Roof], frame: _Frame) -> list[dict[str, Any]]:
    """At the right end, above the line; below it where the next roof is too near for that. One
    that would lie on another label moves up."""
    step = _LABEL_PX / frame.decade_px
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


def _slanted_labels(roofs: Sequence[_Roof], frame: _Frame) -> list[dict[str, Any]]:
    """At the left end, along the line; of two that lie close, the faster memory's."""
    places: list[dict[str, Any]] = []
    taken: list[float] = []
    for roof in sorted((roof for roof in roofs if not roof.level), key=lambda r: r.x - r.y):
        offset = (roof.y - roof.x) * frame.decade_px
        if all(abs(offset - other) >= _SLANTED_PX for other in taken):
            taken.append(offset)
            places.append({"x": 10**roof.x, "y": 10**roof.y, "label": roof.label})
    return places


def _marks(marks: Sequence[Mark], frame: _Frame) -> Any:
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
        x=frame.x("x"),
        y=frame.y("y"),
        color=alt.Color("series:N", scale=colours, legend=legend),
        shape=alt.Shape("series:N", scale=shapes, legend=legend),
        description="said:N",
    )
