"""Compile economics: what a case costs before its first timed call, beside what a call costs."""

from __future__ import annotations

from collections.abc import Sequence

from ..economics import Economics, economics
from ..quantity import UNKNOWN, format_count, format_seconds
from .blocks import Block, Cell, Chart, Heading, Section, Table
from .dotplot import Dot, dot_plot
from .runs import PageRun, titles
from .svg import draw
from .text import count, name

#: Rows of a chart, the dearest first.
_MOST_ROWS = 30
_COLD, _WARM, _OTHER, _CALL = "compile, cold", "compile, warm", "compile, cache unknown", "one call"
SERIES = (_COLD, _WARM, _OTHER, _CALL)


def compiling_section(runs: Sequence[PageRun]) -> Section | None:
    """A chart and table for each run that compiled something; None where none did."""
    blocks: list[Block] = []
    for number, (title, run) in enumerate(zip(titles(runs), runs, strict=True), start=1):
        found = [economics(record) for record in run.records]
        found = [one for one in found if one.compiles and one.compile_s is not None]
        found.sort(key=lambda one: -(one.compile_s or 0.0))
        if found:
            blocks.append(_chart(title, f"compiling-{number}", found))
    if not blocks:
        return None
    return Section(
        "compiling",
        "What compiling costs",
        "Cold: the longest compilation of the processes that found an empty cache. Warm: the "
        "median of those that found their code on disk. Pays after: the calls that take as long "
        "as compiling did.",
        blocks,
    )


def _prices(one: Economics) -> dict[str, float]:
    """What is known of a case, by series; a logarithmic axis has no place for nothing."""
    unknown = one.upfront_s if one.upfront == "unknown cache" else None
    given = {_COLD: one.cold_s, _WARM: one.warm_s, _OTHER: unknown, _CALL: one.call_s}
    return {series: value for series, value in given.items() if value is not None and value > 0}


def _row_name(one: Economics) -> str:
    case = one.case
    return name(f"{case.workload} {case.configuration} {case.dtype} {case.mode}")


def _chart(title: str, id_: str, found: list[Economics]) -> Chart:
    shown = found[:_MOST_ROWS]
    dots = [
        Dot(_row_name(one), series, value, f"{_row_name(one)}, {series}: {format_seconds(value)}")
        for one in shown
        for series, value in _prices(one).items()
    ]
    more = len(found) - len(shown)
    said = f"{count(len(shown), 'compiled case')}" + (f", the dearest of {len(found)}" * (more > 0))
    series = [one for one in SERIES if any(dot.series == one for dot in dots)]
    plot = dot_plot(dots, series, "seconds", "~s", one=False)
    return Chart(
        id_,
        draw(plot, f"Compile economics of {title}", f"{said}; the table below has them"),
        f"{title}: {said}",
        _data(title, f"{id_}-data", shown),
        narrowest_px=640,
    )


def _data(title: str, id_: str, found: list[Economics]) -> Table:
    headings = [
        Heading("case"),
        *(Heading(label, figure=True) for label in ("cold", "warm", "first call", "one call")),
        Heading("pays after", figure=True, explained="calls that take as long as compiling did"),
        Heading("graphs", figure=True),
        Heading("cache hit"),
    ]
    rows = []
    for one in found:
        cold = one.cold_s if one.cold_s is not None else one.upfront_s
        calls = cold / one.call_s if cold and one.call_s else None
        rows.append(
            [
                Cell(_row_name(one)),
                Cell(
                    format_seconds(cold),
                    more="" if one.cold_s is not None else f"{one.upfront or ''}",
                ),
                Cell(format_seconds(one.warm_s)),
                Cell(format_seconds(one.first_call_s)),
                Cell(format_seconds(one.call_s)),
                Cell(UNKNOWN if calls is None else f"{format_count(calls)} calls"),
                Cell(UNKNOWN if one.graphs is None else str(one.graphs)),
                Cell(one.hit or UNKNOWN, more=name(one.proof)),
            ]
        )
    return Table(id_, f"What compiling cost in {title}", headings, rows)
