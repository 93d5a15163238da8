"""The roofline of each device on a page: what its cases reach, under the roofs of their records."""

from __future__ import annotations

from collections.abc import Sequence

from ...specs.units import unit_of_work
from ..quantity import UNKNOWN, format_fraction, format_rate, format_seconds
from ..rates import call_time
from ..rooflines import Ceiling, Point, Roofline, find_rooflines
from ..table import roof_of
from .blocks import Cell, Chart, Heading, Notes, Section, Table
from .case_words import full_name, known_ceilings
from .roofline_plot import Mark, plot_roofline
from .runs import PageRun, titles
from .svg import draw, standalone
from .text import count, name

#: More would hide one another, and make the page heavy.
MOST_POINTS = 800
_MOST_CHARTS = 6


def roofline_section(runs: Sequence[PageRun]) -> Section | None:
    """A chart for each device of each run; None where no case can be placed."""
    blocks: list[Chart | Notes] = []
    absent, left_out = 0, 0
    for title, run in zip(titles(runs), runs, strict=True):
        for found in find_rooflines(run.records):
            absent += found.absent
            if not found.points:
                continue
            if len(blocks) >= _MOST_CHARTS:
                left_out += 1
                continue
            device = name(found.device)
            heading = device if len(runs) == 1 else f"{title}: {device}"
            blocks.append(_chart(heading, f"roofline-{len(blocks) + 1}", found))
    if not blocks:
        return None
    notes = []
    if absent:
        notes.append(
            f"{count(absent, 'case')} with a result but no place here: a copy does no arithmetic, "
            "and a workload may state no cost"
        )
    if left_out:
        notes.append(f"{count(left_out, 'device')} more not drawn")
    blocks += [Notes(notes)] if notes else []
    return Section(
        "roofline",
        "How far from the roof",
        "Each mark is a case of one device: to the right more arithmetic for each byte, upwards "
        "faster. A slanted roof is a memory, a level one arithmetic in a dtype. The nearer to its "
        "roof, the less is left to gain.",
        blocks,
    )


def marks_of(points: Sequence[Point]) -> list[Mark]:
    """The marks of a chart, in series by dtype."""
    return [
        Mark(point.intensity, point.flops_per_s, name(point.record.case.dtype), _said(point))
        for point in points
    ]


def chart_file(found: Roofline) -> str:
    """The chart of a device with at least one point, as a picture that stands alone."""
    shown = found.points[:MOST_POINTS]
    title = f"Roofline of {name(found.device)}"
    drawn = draw(
        plot_roofline(marks_of(shown), found.ceilings, title),
        title,
        f"{count(len(shown), 'case')} under {count(len(found.ceilings), 'roof')}",
    )
    return standalone(drawn)


def _chart(title: str, id_: str, found: Roofline) -> Chart:
    points, ceilings = found.points, found.ceilings
    shown = points[:MOST_POINTS]
    said = f"{count(len(shown), 'case')} under {count(len(ceilings), 'roof')}"
    more = f"; {count(len(points) - len(shown), 'case')} more not drawn" * (
        len(points) > len(shown)
    )
    return Chart(
        id_,
        draw(
            plot_roofline(marks_of(shown), ceilings),
            f"Roofline of {title}",
            f"{said}; the table below has them",
        ),
        f"{title}: {said}{more}",
        _data(
            title, f"{id_}-data", shown, ceilings, known_ceilings([point.record for point in shown])
        ),
        narrowest_px=620,
    )


def _data(
    title: str, id_: str, points: list[Point], ceilings: list[Ceiling], known: list[str]
) -> Table:
    rows = [
        [
            Cell(f"roof: {name(one.name)}"),
            Cell(UNKNOWN),
            Cell(
                format_rate(one.rate, unit_of_work(one.name) if one.kind == "arithmetic" else "B/s")
            ),
            Cell(UNKNOWN),
            Cell(one.ceiling, more=name(one.words)),
        ]
        for one in ceilings
    ]
    for point in points:
        time = call_time(point.record)
        fractions = [
            f"{format_fraction(roof.fraction)} of {ceiling}"
            for ceiling in known
            if (roof := roof_of(point.record, ceiling)) and roof.fraction is not None
        ]
        rows.append(
            [
                Cell(full_name(point.record)),
                Cell(f"{point.intensity:.3g}"),
                Cell(format_rate(point.flops_per_s, unit_of_work(point.record.case.dtype))),
                Cell(format_seconds(time.value if time else None)),
                Cell(", ".join(fractions) or UNKNOWN),
            ]
        )
    headings = [
        Heading("case or roof"),
        Heading("FLOP/B", figure=True),
        Heading("rate", figure=True),
        Heading("time of a call", figure=True),
        Heading("of the ceiling"),
    ]
    return Table(id_, f"What the roofline of {title} shows", headings, rows)


def _said(point: Point) -> str:
    time = call_time(point.record)
    parts = [
        full_name(point.record),
        format_rate(point.flops_per_s, unit_of_work(point.record.case.dtype)),
        f"{point.intensity:.3g} FLOP/B",
        format_seconds(time.value if time else None),
    ]
    fractions = [r for r in point.record.roofs if r.fraction is not None]
    parts += [
        f"{format_fraction(r.fraction)} of {r.ceiling}" + (f" ({name(r.bound)})" if r.bound else "")
        for r in fractions
    ]
    return ", ".join(parts)
