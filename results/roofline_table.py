"""Rooflines for a terminal: the chart, each case with what binds it, the roofs and the ridges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from ..specs.units import unit_of_work
from .columns import Column, fitted_table, say
from .printable import printable
from .quantity import UNKNOWN, format_fraction, format_rate, format_seconds
from .rates import call_time
from .roofline_chart import draw_chart, signs_of
from .roofline_frame import label_of
from .rooflines import (
    Ceiling,
    Point,
    Ridge,
    Roofline,
    above_limits,
    binding_roof,
    level_without_rate,
)
from .table import CEILINGS, name_case, roof_of

MOST_ROWS = 60
#: Between two parts of a record's reason, which may have such signs of their own.
_REASONS = re.compile(r"; (?=[^;:]{1,40} unknown: |[^;: ]{1,40}: the working set )")


def print_rooflines(rooflines: Sequence[Roofline], console: Console, most: int = MOST_ROWS) -> None:
    """One device after another."""
    for number, found in enumerate(rooflines):
        if number:
            console.print()
        _print_one(found, console, most)


def _print_one(found: Roofline, console: Console, most: int) -> None:
    console.print(printable(found.device), style="bold", markup=False)
    if found.absent:
        many = "s" if found.absent > 1 else ""
        say(
            console,
            f"{found.absent} case{many} with a result and no place here: a copy does no "
            "arithmetic, and a workload may state no cost",
            "dim",
        )
    if not found.points:
        return
    unicode = console.encoding.lower().startswith("utf")
    for line in draw_chart(found.points, found.ceilings, console.width, unicode=unicode):
        console.print(line, markup=False, highlight=False, no_wrap=True)
    signs = signs_of(found.points)
    columns: list[Column[Point]] = [
        Column("", "left", lambda point: signs[point.record.case.dtype]),
        Column("case", "left", _name, folds=True),
        Column("FLOP/B", "right", lambda point: f"{point.intensity:.3g}"),
        Column("rate", "right", _rate),
        Column("time", "right", lambda point: format_seconds(_time(point))),
        Column("bound by", "left", _bound),
        *(
            Column(f"of {ceiling}", "right", partial(_part, ceiling=ceiling))
            for ceiling in CEILINGS
            if any(_is_known(point, ceiling) for point in found.points)
        ),
    ]
    of_ceilings = [column.name for column in columns if column.name.startswith("of ")]
    dropped = ("time", *of_ceilings, "FLOP/B", "rate")
    shown = sorted(found.points, key=lambda point: point.intensity)[:most]
    console.print(fitted_table(columns, shown, console.width, dropped))
    if len(found.points) > most:
        say(console, f"{len(found.points) - most} cases more: --rows", "dim")
    _print_roofs(found, console)
    for point in above_limits(found.points):
        say(console, f"above its roof: {name_case(point.record)}; something is wrong", "bold red")


def _print_roofs(found: Roofline, console: Console) -> None:
    roofs: list[Column[Ceiling]] = [
        Column("roof", "left", label_of),
        Column("ceiling", "left", lambda one: one.ceiling),
    ]
    ridges: list[Column[Ridge]] = [
        Column("ridge", "left", lambda one: f"{one.dtype} and {one.level}"),
        Column("ceiling", "left", lambda one: one.ceiling),
        Column("FLOP/B", "right", lambda one: f"{one.flops_per_byte:,.3g}"),
    ]
    if found.ceilings:
        console.print(fitted_table(roofs, found.ceilings, console.width, ()))
        for one in found.ceilings:
            say(console, f"{one.name}, {one.ceiling}: {one.words}", "dim")
    else:
        say(console, "no roof is drawn: its records name no rate of one", "dim")
    if found.ridges:
        console.print(fitted_table(ridges, found.ridges, console.width, ()))
    reasons: dict[str, dict[str, None]] = {}
    for point in found.points:
        for roof in point.record.roofs:
            for part in filter(None, _REASONS.split(roof.reason)):
                reasons.setdefault(part, {})[roof.ceiling] = None
    for reason, ceilings in reasons.items():
        say(console, f"{', '.join(ceilings)}: {reason}", "dim")


def _name(point: Point) -> str:
    case = point.record.case
    return f"{case.workload} {case.configuration} {case.dtype} {case.mode}"


def _rate(point: Point) -> str:
    return format_rate(point.flops_per_s, unit_of_work(point.record.case.dtype))


def _time(point: Point) -> float | None:
    time = call_time(point.record)
    return None if time is None else time.value


def _is_known(point: Point, ceiling: str) -> bool:
    roof = roof_of(point.record, ceiling)
    return roof is not None and roof.fraction is not None


def _part(point: Point, ceiling: str) -> str:
    roof = roof_of(point.record, ceiling)
    return UNKNOWN if roof is None else format_fraction(roof.fraction)


def _bound(point: Point) -> str:
    """What binds, by the ceiling whose floor is the highest of those known."""
    roof = binding_roof(point.record)
    if roof is not None:
        return f"{roof.bound or UNKNOWN}, {roof.ceiling}"
    level = level_without_rate(point.record)
    return UNKNOWN if level is None else f"{level}, of unknown rate"
