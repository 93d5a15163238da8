"""From a chart to SVG that may stand in a page: no script, no style, no link, no address.

The renderer's output is read back as XML and rebuilt from a list of what is allowed, so that a
text of a record can only ever become text. Colours become classes, descriptions become tooltips
(``<title>``), and figures lose the digits that nobody sees.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # builds and reads our renderer's output, no stranger's file
from pathlib import Path
from typing import Any

from markupsafe import Markup

from .palette import CLASSES, FONT, theme
from .text import one_line

_NAMESPACE = "{http://www.w3.org/2000/svg}"
_TAGS = frozenset({"svg", "g", "path", "line", "rect", "text", "tspan"})
_PLACE = ("transform", "d", "x", "y", "x1", "x2", "y1", "y2", "dx", "dy", "width", "height")
_LOOK = ("opacity", "fill-opacity", "stroke-opacity", "stroke-width", "stroke-dasharray")
_TEXT = ("stroke-linecap", "text-anchor", "font-size", "font-weight", "font-style")
_ATTRIBUTES = frozenset((*_PLACE, *_LOOK, *_TEXT))
_COLOURS = {"fill": "f", "stroke": "s"}
_NO_COLOUR = frozenset({"none", "transparent"})
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}(?:e[+-]?\d+)?")
#: What a page's own style says of its charts.
_ALONE = "svg { background: var(--paper); } text.s-paper { paint-order: stroke; }"
#: The class of a mark that stands for a datum; tests and the reader's pointer find it by that.
MARK = "mark"


class DrawingError(RuntimeError):
    """The renderer gave something that this page doesn't know: the two don't fit together."""


def draw(chart: Any, title: str, description: str) -> Markup:
    """The SVG element of an altair chart, named by ``title`` and described for those who can't
    see it."""
    import altair as alt
    import vl_convert

    spec = chart.configure(**theme()).to_dict()
    # The version of Vega-Lite that altair writes for, of those that the renderer holds.
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    # No address is allowed, though no chart here names one: nothing is fetched.
    drawn = vl_convert.vegalite_to_svg(spec, vl_version=version, allowed_base_urls=[])
    return embed(drawn, title, description)


def standalone(element: Markup) -> str:
    """An element of a page as a file of its own, in the colours of the page, light and dark."""
    style = Path(__file__).with_name("palette.css").read_text(encoding="utf-8")
    head, rest = str(element).split(">", 1)
    head = head.replace("<svg ", f'<svg xmlns="{_NAMESPACE[1:-1]}" font-family="{FONT}" ', 1)
    return f"{head}><style>{style}{_ALONE}</style>{rest}\n"


def embed(drawn: str, title: str, description: str) -> Markup:
    """A renderer's SVG as an element of the page: see the head of this module."""
    source = ET.fromstring(drawn)  # noqa: S314 - the text is our renderer's, which escapes data
    width, height = source.get("width", "0"), source.get("height", "0")
    root = ET.Element(
        "svg",
        {"viewBox": f"0 0 {width} {height}", "width": width, "height": height, "role": "img"},
    )
    root.set("aria-label", f"{one_line(title)}. {one_line(description)}")
    ET.SubElement(root, "desc").text = one_line(description)
    for child in source:
        _copy(child, root)
    # Escaped by the writer: angle brackets and ampersands in texts, and quotes in attributes.
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704


def _copy(source: ET.Element, parent: ET.Element) -> None:
    tag = source.tag.removeprefix(_NAMESPACE)
    if tag not in _TAGS:
        raise DrawingError(f"<{tag}> in a chart; known: {', '.join(sorted(_TAGS))}")
    if _is_invisible(tag, source):
        return
    element = ET.SubElement(parent, tag, _attributes(source))
    label = source.get("aria-label")
    if label is not None and tag in ("path", "rect", "line") and source.get("role"):
        element.set("class", f"{element.get('class', '')} {MARK}".strip())
        ET.SubElement(element, "title").text = one_line(label)
    if tag in ("text", "tspan"):
        element.text = one_line(source.text or "")
    for child in source:
        _copy(child, element)
    if tag == "g" and not len(element):
        parent.remove(element)


def _is_invisible(tag: str, source: ET.Element) -> bool:
    """Frames without a colour, empty labels, and what the renderer says not to show."""
    if source.get("display") == "none" or source.get("opacity") == "0":
        return True
    if tag in ("text", "tspan"):
        return not (source.text or "").strip() and not len(source)
    return tag == "path" and not (source.get("fill") or source.get("stroke"))


def _attributes(source: ET.Element) -> dict[str, str]:
    kept = {
        name: _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.1f}", value)
        for name, value in source.attrib.items()
        if name in _ATTRIBUTES and not (name.endswith("opacity") and value == "1")
    }
    if kept.get("transform") == "translate(0,0)":
        del kept["transform"]
    classes = []
    for name, prefix in _COLOURS.items():
        colour = source.get(name)
        if colour is None:
            continue
        if colour in _NO_COLOUR:
            kept[name] = "none"
        elif colour in CLASSES:
            classes.append(f"{prefix}-{CLASSES[colour]}")
        else:
            raise DrawingError(f"{name}='{colour}' in a chart is no colour of the page's palette")
    if classes:
        kept["class"] = " ".join(classes)
    return kept
