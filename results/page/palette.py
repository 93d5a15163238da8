"""Colours by meaning: a chart is drawn in stand-ins, which the page's style gives their values.

One drawing serves the light and the dark theme, and the printer: see ``svg`` and ``palette.css``.
"""

from __future__ import annotations

from typing import Any

INK = "#010001"
MUTED = "#010002"
LINE = "#010003"
PAPER = "#010004"
ACCENT = "#010005"

#: For series, in the order in which they are given out; each has a shape of its own too.
SERIES = tuple(f"#0100{number:x}" for number in range(0x11, 0x17))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

#: Stand-in -> the class of ``palette.css`` that colours it.
CLASSES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    ACCENT: "accent",
    **{colour: f"c{number}" for number, colour in enumerate(SERIES, start=1)},
}

FONT = "system-ui, sans-serif"


def theme() -> dict[str, Any]:
    """Vega-Lite's configuration: quiet axes, no frame, text in the page's own ink."""
    axis = {
        "labelColor": MUTED,
        "titleColor": INK,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "labelLimit": 320,
    }
    legend = {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "orient": "top",
        "symbolStrokeWidth": 2,
        "labelLimit": 320,
    }
    return {
        "font": FONT,
        "background": "transparent",
        "view": {"stroke": None},
        "axis": axis,
        "legend": legend,
        "aria": True,
    }
