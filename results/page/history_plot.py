"""The drawing of histories: a strip a case, its times run after run, its levels and their ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from ..case_history import CaseHistory, Turn
from ..quantity import format_seconds
from .palette import ACCENT, INK, MUTED, SERIES

_WIDTH_PX, _STRIP_PX = 640, 84
#: Air above and below, and the least that a strip shows: noise of a part in a thousand is flat.
_AIR, _LEAST = 1.02, 1.05


@dataclass(frozen=True, slots=True)
class Strip:
    """One case: ``title``, its history, the regime shown, and for each turn what a pointer that
    rests on it is told."""

    title: str
    history: CaseHistory
    regime: str
    turns: Sequence[tuple[Turn, str]]


def plot_histories(strips: Sequence[Strip]) -> Any:
    """Strips below one another, all over the same stretch of time."""
    import altair as alt

    moments = [time for strip in strips for time in strip.history.times]
    first, last = min(moments), max(moments)
    return alt.vconcat(*(_draw(strip, first, last) for strip in strips), spacing=14)


def _draw(strip: Strip, first: str, last: str) -> Any:
    import altair as alt

    known = [
        (time, time_s)
        for time, time_s in zip(
            strip.history.times, strip.history.times_s(strip.regime), strict=True
        )
        if time_s is not None
    ]
    low, high = min(time_s for _, time_s in known), max(time_s for _, time_s in known)
    middle = math.sqrt(low * high)
    ticks = _ticks(low, middle, high)
    low, high = min(low, middle / _LEAST) / _AIR, max(high, middle * _LEAST) * _AIR
    # The scale says "utc" so that a page says the same wherever it is drawn.
    x_scale = alt.Scale(type="utc", domain=[first, last], nice=False)
    x_axis = alt.Axis(format="%Y-%m-%d", tickCount=5, grid=False, labelOverlap="greedy")
    labels = " : ".join(f"datum.value == {tick!r} ? '{format_seconds(tick)}'" for tick in ticks)
    y_axis = alt.Axis(values=ticks, labelExpr=f"{labels} : ''", minExtent=70)
    y_scale = alt.Scale(type="log", domain=[low, high], nice=False)
    x = alt.X("time:T", scale=x_scale, axis=x_axis, title=None)
    y = alt.Y("time_s:Q", scale=y_scale, axis=y_axis, title=None)

    def layer(rows: list[dict[str, Any]]) -> Any:
        return alt.Chart(alt.InlineData(values=rows))

    runs = layer([{"time": time, "time_s": time_s} for time, time_s in known])
    layers = [runs.mark_line(color=MUTED, strokeWidth=1, aria=False).encode(x=x, y=y)]
    for rows in _levels(strip, known):
        level = layer(rows).mark_line(color=SERIES[0], strokeWidth=3, aria=False)
        layers.append(level.encode(x=x, y=y))
    ends = [{"time": turn.time, "time_s": middle, "said": said} for turn, said in strip.turns]
    if ends:
        rule = layer(ends).mark_rule(color=ACCENT, strokeWidth=1.5, strokeDash=[4, 3])
        layers.append(rule.encode(x=x, description="said:N"))
    title = alt.TitleParams(
        strip.title, anchor="start", color=INK, fontSize=12, fontWeight="normal"
    )
    return alt.layer(*layers).properties(width=_WIDTH_PX, height=_STRIP_PX, title=title)


def _levels(strip: Strip, known: Sequence[tuple[str, float]]) -> list[list[dict[str, Any]]]:
    """For each level its two ends, at the median of its times."""
    ends = sorted({turn.time for turn, _ in strip.turns if turn.regime == strip.regime})
    found = []
    for start, end in pairwise(["", *ends, "~"]):
        own = [(time, time_s) for time, time_s in known if start <= time < end]
        if own:
            level = median(time_s for _, time_s in own)
            found.append([{"time": time, "time_s": level} for time in (own[0][0], own[-1][0])])
    return found


def _ticks(*times_s: float) -> list[float]:
    """The ends of what was measured and their middle, as far as they read differently."""
    said = {format_seconds(time_s): time_s for time_s in times_s}
    return sorted(said.values()) if len(said) == len(times_s) else [times_s[1]]
