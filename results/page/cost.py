"""What work costs where a price is known: items per second of a device, of a chip, for a dollar."""

from __future__ import annotations

from collections.abc import Sequence

from ..quantity import UNKNOWN, format_count, format_rate
from ..rates import Rates, find_rates
from .blocks import Cell, Heading, Notes, Section, Table
from .case_words import full_name
from .runs import PageRun, titles
from .text import count, name

_MOST_ROWS = 60


def cost_section(runs: Sequence[PageRun]) -> Section | None:
    """A table for each run of which a chip has a price; None where none has."""
    blocks: list[Table | Notes] = []
    words: dict[str, None] = {}
    for number, (title, run) in enumerate(zip(titles(runs), runs, strict=True), start=1):
        priced = [
            (full_name(record), rates)
            for record in run.ok
            if (rates := find_rates(record)) is not None and rates.per_usd
        ]
        words.update((rates.price.words, None) for _, rates in priced if rates.price)
        if priced:
            blocks.append(_table(title, f"cost-{number}", priced))
    if not blocks:
        return None
    blocks.append(Notes([f"Price: {name(one)}." for one in words]))
    return Section(
        "cost",
        "What it costs",
        "By listed prices of whole instances. Per chip is per device over the device's share of "
        "the chip: arithmetic, no measurement of several devices at work.",
        blocks,
    )


def _table(title: str, id_: str, priced: list[tuple[str, Rates]]) -> Table:
    rows = [
        [
            Cell(case),
            Cell(name(rates.unit)),
            Cell(format_rate(rates.per_device, f"{name(rates.unit)}/s"), sort=rates.per_device),
            Cell(
                UNKNOWN if rates.per_chip is None else f"{format_count(rates.per_chip)}/s",
                sort=rates.per_chip,
            ),
            Cell(format_count(rates.per_usd), sort=rates.per_usd),
            Cell(_dollars(rates), sort=1 / rates.per_usd if rates.per_usd else None),
        ]
        for case, rates in priced[:_MOST_ROWS]
    ]
    headings = [
        Heading("case"),
        Heading("item"),
        Heading("per device", figure=True),
        Heading("per chip", figure=True),
        Heading("for 1 USD", figure=True),
        Heading("USD a million", figure=True),
    ]
    more = len(priced) - len(rows)
    note = f"The first {len(rows)} of {count(len(priced), 'case')}." if more > 0 else ""
    return Table(id_, f"Rates and cost in {title}", headings, rows, note=note, active=True)


def _dollars(rates: Rates) -> str:
    return f"{1e6 / rates.per_usd:.3g}" if rates.per_usd else UNKNOWN
