"""Chips held against the first of them: each quantity per unit of silicon, and per dollar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .chip import Chip
from .figure import Figure
from .levels import Amount, Level, Market, convert, first_amount, why_none

#: A memory stack is no unit to buy, and a cluster as large as somebody made it.
COMPARED: tuple[Level, ...] = ("core", "device", "chip", "instance", "ultraserver", "dollar-hour")
#: What a chip's link is called, in the order of preference: a headline of both directions first.
_LINKS = ("per_chip_bidirectional", "ici_bidirectional", "per_chip")


@dataclass(frozen=True, slots=True)
class Cell:
    """One chip's value in SI, or None and why not. ``of`` says of what it is where the unit
    leaves a choice; ``unconfirmed`` that no page of the vendor's stands behind it."""

    chip: str
    value: float | None
    ratio: float | None
    of: str
    why: str
    unconfirmed: bool


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One quantity per one unit; ``ratio`` of each cell is to the first one's value."""

    quantity: str
    unit: Level
    si_unit: str
    cells: list[Cell]


def compare_chips(
    chips: Sequence[Chip],
    prices: Mapping[str, float] | None = None,
    region: str | None = None,
    kind: str | None = None,
) -> list[ComparisonRow]:
    """Every quantity that at least one of ``chips`` has, per every unit of silicon.

    ``prices`` are US dollars an hour of a chip, by id, in place of the catalog's;
    ``region`` and ``kind`` choose among those. A quantity of TDP per instance is that of its
    chips alone.
    """
    markets = [Market(dict(prices or {}).get(chip.id), region, kind) for chip in chips]
    units = {
        unit: [
            first_amount(chip, unit, market) for chip, market in zip(chips, markets, strict=True)
        ]
        for unit in COMPARED
    }
    rows = []
    for quantity in _quantities(chips):
        figures = [_figure(chip, quantity) for chip in chips]
        for unit, counts in units.items():
            cells: list[Cell] = []
            for chip, figure, amount in zip(chips, figures, counts, strict=True):
                value = (
                    None
                    if figure is None or amount is None
                    else convert(figure.si, 1, amount.chips)
                )
                why = f"no source gives {quantity}" if figure is None else why_none(unit)
                unconfirmed = figure is not None and figure.origin.unconfirmed
                cells.append(_cell(chip, value, cells, amount, why, unconfirmed=unconfirmed))
            if any(cell.value is not None for cell in cells):
                si_unit = next(_base_unit(figure) for figure in figures if figure is not None)
                rows.append(ComparisonRow(quantity, unit, si_unit, cells))
    return [*rows, *_price_row(chips, units["dollar-hour"])]


def _cell(
    chip: Chip,
    value: float | None,
    before: Sequence[Cell],
    amount: Amount | None,
    why: str,
    *,
    unconfirmed: bool,
) -> Cell:
    base = before[0].value if before else value
    return Cell(
        chip=chip.id,
        value=value,
        ratio=None if value is None or base is None else value / base,
        of="" if amount is None else amount.detail,
        why="" if value is not None else why,
        unconfirmed=unconfirmed or (amount is not None and amount.unconfirmed),
    )


def _quantities(chips: Sequence[Chip]) -> Iterator[str]:
    dtypes = dict.fromkeys(dtype for chip in chips for dtype in chip.peak_dense)
    yield from (f"dense {dtype}" for dtype in dtypes)
    yield from ("memory", "memory bandwidth", "link", "TDP")


def _figure(chip: Chip, quantity: str) -> Figure | None:
    if quantity.startswith("dense "):
        return chip.peak_dense.get(quantity.removeprefix("dense "))
    if quantity == "link":
        found = (chip.figure("interconnect", name) for name in _LINKS)
        return next((figure for figure in found if figure is not None), None)
    if quantity == "TDP":
        return chip.figure("power", "tdp") or chip.figure("power", "tbp")
    return chip.figure("memory", "capacity" if quantity == "memory" else "bandwidth")


def _base_unit(figure: Figure) -> str:
    return {"rate": "FLOP/s", "bandwidth": "B/s", "size": "B", "power": "W"}[figure.dimension]


def _price_row(
    chips: Sequence[Chip], dollar_hours: Sequence[Amount | None]
) -> Iterator[ComparisonRow]:
    cells: list[Cell] = []
    for chip, amount in zip(chips, dollar_hours, strict=True):
        usd = None if amount is None else convert(1, amount.chips, 1)
        cells.append(_cell(chip, usd, cells, amount, why_none("dollar-hour"), unconfirmed=False))
    if any(cell.value is not None for cell in cells):
        yield ComparisonRow("price", "chip", "USD/h", cells)
