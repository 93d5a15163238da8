"""The top of the page: what a person who reads nothing else takes away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING

from ..economics import economics
from ..origin import SIMULATED_NOTICE
from ..quantity import format_fraction, format_plus_minus, format_ratio, format_seconds
from ..rates import call_time, find_rates
from ..record import ACCEPTED, Record
from ..table import roof_of
from .blocks import Summary, Tile
from .case_words import full_name, known_ceilings
from .cases import describe_rest
from .runs import PageRun, titles
from .speedup import format_interval, invert
from .text import count, lower, name

if TYPE_CHECKING:
    from ..compare import Comparison

#: The verdicts that the tile says first.
_LOUD = ("NEWLY_FAILING", "SLOWER", "FASTER")
#: Items that people buy.
_GOODS = ("tokens", "samples", "images")


def summarise(
    runs: Sequence[PageRun], comparisons: Sequence[tuple[str, str, Comparison]]
) -> Summary:
    """Sentences and tiles; with comparisons, what is different comes first."""
    simulated = any("simulated" in run.origins for run in runs)
    named = list(zip(titles(runs), runs, strict=True))
    sentences = [_compared(*one) for one in comparisons]
    if not comparisons:
        sentences = [_sentence(run) for _, run in named]
    tiles = [tile for a, b, found in comparisons for tile in _difference_tiles(a, b, found)]
    several = len(runs) > 1
    for title, run in named:
        tiles += _run_tiles(title if several else "", run)
    if not several:
        tiles += [tile for run in runs for tile in _closer_tiles(run)]
    return Summary(sentences, tiles, SIMULATED_NOTICE if simulated else "")


def _sentence(run: PageRun) -> str:
    if not run.records:
        return "This run holds no record: nothing was measured, or nothing was kept."
    where = " and ".join(run.devices) or "a device without a name"
    origin = " and ".join(run.origins)
    line = (
        f"{len(run.ok):,} of {count(len(run.records), f'{origin} case')} have a result on {where}"
    )
    rest = describe_rest(run.records)
    line += f" ({rest})." if rest else "."
    reached = _reached(run.ok)
    if reached:
        values, ceiling = reached
        line += (
            f" The median case reaches {format_fraction(median(values))} of the {ceiling} ceiling."
        )
    return line


def _reached(records: list[Record]) -> tuple[list[float], str] | None:
    """The fractions of the ceiling that is known for most cases, and its name."""
    best: tuple[list[float], str] | None = None
    for ceiling in known_ceilings(records):
        roofs = [roof_of(record, ceiling) for record in records]
        values = [roof.fraction for roof in roofs if roof and roof.fraction is not None]
        if best is None or len(values) > len(best[0]):
            best = values, ceiling
    return best


def _run_tiles(title: str, run: PageRun) -> list[Tile]:
    """Which cases have a result, and how far those are from the roof."""
    of = f"{title}: " if title else ""
    rest = describe_rest(run.records)
    failed = any(record.status not in ACCEPTED for record in run.records)
    device = ", ".join(run.devices) or "no device named"
    tiles = [
        Tile(
            f"{of}cases OK",
            f"{len(run.ok):,} of {len(run.records):,}",
            "; ".join(part for part in (device, rest) if part),
            "bad" if failed else "",
        )
    ]
    reached = _reached(run.ok)
    if reached:
        values, ceiling = reached
        tiles.append(
            Tile(
                f"{of}of the {ceiling} ceiling",
                format_fraction(median(values)),
                f"median of {len(values)} of {count(len(run.ok), 'case')} with a result, from "
                f"{format_fraction(min(values))} to {format_fraction(max(values))}",
            )
        )
    elif run.ok:
        tiles.append(
            Tile(f"{of}of the ceiling", "unknown", "no case has a known ceiling to be held against")
        )
    cost = _cost_tile(of, run)
    return [*tiles, cost] if cost else tiles


def _cost_tile(of: str, run: PageRun) -> Tile | None:
    """What an hour of a chip costs, and the least that a million tokens or samples do."""
    priced = [
        (rates.per_usd, rates.unit, rates.price, record)
        for record in run.ok
        if (rates := find_rates(record)) is not None and rates.per_usd and rates.price
    ]
    if not priced:
        return None
    price = priced[0][2]
    best = ""
    # Rows and calls of unlike operators aren't the same goods.
    useful = [one for one in priced if one[1] in _GOODS]
    if useful:
        per_usd, unit, _, record = max(useful, key=lambda one: one[0])
        best = f"; at best {1e6 / per_usd:.3g} USD a million {unit} ({full_name(record)})"
    return Tile(
        f"{of}price of a chip",
        f"{price.usd_per_chip_hour:.3g} USD/h",
        f"{name(price.words)}; {len(priced):,} of {count(len(run.ok), 'case')} with a result have "
        f"a cost{best}",
    )


def _closer_tiles(run: PageRun) -> list[Tile]:
    """How sure the figures are, and what compiling cost."""
    tiles = []
    arms = []
    for record in run.ok:
        time = call_time(record)
        if time is not None and time.low is not None and time.high is not None:
            arms.append(max(time.high / time.value, time.value / time.low))
    if arms:
        middle = median(arms)
        tiles.append(
            Tile(
                "uncertainty of a time",
                f"± {format_plus_minus(1.0, 1 / middle, middle)}",
                f"median half-width of the 95 % intervals of {count(len(arms), 'case')}",
            )
        )
    compiled = [one for one in map(economics, run.records) if one.compiles and one.compile_s]
    if compiled:
        times = [one.compile_s for one in compiled if one.compile_s]
        dearest = max(compiled, key=lambda one: one.compile_s or 0.0).case
        tiles.append(
            Tile(
                "compiling",
                format_seconds(math.fsum(times)),
                f"in all, for {count(len(compiled), 'compiled case')}; at most "
                f"{format_seconds(max(times))} ({name(dearest.workload)} "
                f"{name(dearest.configuration)})",
            )
        )
    return tiles


def _difference_tiles(a: str, b: str, comparison: Comparison) -> list[Tile]:
    """The geometric mean of all cases, the verdicts, and dollars where they are known."""
    total = sum(comparison.counts.values())
    tiles = []
    for _, number, ratio, low, high, expected in comparison.geometric_means[:1]:
        said = [f"geometric mean of {number:,} of {count(total, 'case')}"]
        said += [f"95 %: {format_interval(low, high)}"] if format_interval(low, high) else []
        said += [f"by specification {format_ratio(invert(expected))}"] if expected else []
        speedup = f"{format_ratio(invert(ratio))}×"
        tiles.append(Tile(f"{b}: times as fast as {a}", speedup, "; ".join(said)))
    loud = {verdict: comparison.counts.get(verdict, 0) for verdict in _LOUD}
    rest = _say_counts({v: n for v, n in comparison.counts.items() if v not in _LOUD})
    tiles.append(
        Tile(
            f"{b}: verdicts",
            _say_counts(loud) or _nothing_loud(comparison.counts),
            f"of {count(total, 'case')}" + (f"; {rest}" if rest else ""),
            "bad" if loud["NEWLY_FAILING"] or loud["SLOWER"] else "",
        )
    )
    dollars = _dollars_tile(a, b, comparison)
    return [*tiles, dollars] if dollars else tiles


def _nothing_loud(counts: Mapping[str, int]) -> str:
    """Where no case got faster, slower or broken: that is known, or it isn't."""
    if not set(counts) - {"MISSING", "NEW"}:
        return "no common case"
    return "no difference" if set(counts) <= {"SAME", "MISSING", "NEW"} else "nothing decided"


def _dollars_tile(a: str, b: str, comparison: Comparison) -> Tile | None:
    dollars = [row.units["usd"] for row in comparison.rows() if row.units.get("usd")]
    if not dollars:
        return None
    mean = math.exp(math.fsum(map(math.log, dollars)) / len(dollars))
    return Tile(
        f"{b}: dollars a call",
        f"{format_ratio(mean)}×",
        f"of those of {a}, geometric mean of {count(len(dollars), 'case')} with a price on both "
        "sides",
        "good" if mean < 1 else "",
    )


def _say_counts(counts: Mapping[str, int]) -> str:
    """``3 slower, 2 faster``, without what didn't occur."""
    return ", ".join(f"{number:,} {lower(verdict)}" for verdict, number in counts.items() if number)


def _compared(a: str, b: str, comparison: Comparison) -> str:
    """The two runs in a sentence: how much faster, and what became of how many cases."""
    total = sum(comparison.counts.values())
    line = f"Of {count(total, 'case')}: {_say_counts(comparison.counts)}." if total else "No case."
    for _, number, ratio, low, high, _ in comparison.geometric_means[:1]:
        around = format_interval(low, high)
        return (
            f"{b} is {format_ratio(invert(ratio))} times as fast as {a} in the geometric mean of "
            f"{count(number, 'common case')}{f' (95 %: {around})' if around else ''}. {line}"
        )
    return f"{b} and {a} have no case in common with a result in both. {line}"
