"""Chips held against the first of them: each quantity per unit of silicon, and per dollar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .chip import Chip
from .figure import Figure
from .prices import find_price
from .silicon import device_share
from .systems import systems_of

Unit = Literal["core", "device", "chip", "instance", "ultraserver", "dollar-hour"]
UNITS_OF_SILICON: tuple[Unit, ...] = get_args(Unit)
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
    unit: Unit
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
    counts = [_counts(chip, dict(prices or {}), region, kind) for chip in chips]
    rows = []
    for quantity in _quantities(chips):
        figures = [_figure(chip, quantity) for chip in chips]
        for unit in UNITS_OF_SILICON:
            cells: list[Cell] = []
            for chip, figure, count in zip(chips, figures, counts, strict=True):
                times = count[unit]
                value = None if figure is None or times.chips is None else figure.si * times.chips
                base = cells[0].value if cells else value
                cells.append(
                    Cell(
                        chip.id,
                        value,
                        None if value is None or base is None else value / base,
                        times.of,
                        f"no source gives {quantity}" if figure is None else times.why,
                        times.unconfirmed or (figure is not None and figure.origin.unconfirmed),
                    )
                )
            if any(cell.value is not None for cell in cells):
                si_unit = next(_base_unit(figure) for figure in figures if figure is not None)
                rows.append(ComparisonRow(quantity, unit, si_unit, cells))
    return [*rows, *_price_row(chips, counts)]


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


@dataclass(frozen=True, slots=True)
class _Count:
    """How many chips a unit is, of what, and why that isn't known."""

    chips: float | None
    of: str = ""
    why: str = ""
    unconfirmed: bool = False


Counts = Mapping[Unit, _Count]


def _counts(
    chip: Chip, prices: Mapping[str, float], region: str | None, kind: str | None
) -> Counts:
    counts: dict[Unit, _Count] = {"chip": _Count(1.0)}
    cores = chip.figure("cores", "physical")
    counts["core"] = (
        _Count(None, why="the catalog has no count of cores")
        if cores is None
        else _Count(1 / cores.si)
    )
    if chip.devices:
        share = device_share(chip)
        counts["device"] = _Count(share.share, share.mode)
    else:
        why = "the catalog doesn't say how many torch devices it shows"
        counts["device"] = _Count(None, why=why)
    levels: tuple[Literal["instance", "ultraserver"], ...] = ("instance", "ultraserver")
    for level in levels:
        largest = next(iter(systems_of(chip.id, level)), None)
        counts[level] = (
            _Count(None, why=f"the catalog knows no {level} of it")
            if largest is None
            else _Count(largest.chips, f"{largest.id}, {largest.chips} chips")
        )
    price = find_price(chip.id, None, region, kind)
    if chip.id in prices:
        counts["dollar-hour"] = _Count(1 / prices[chip.id], f"{prices[chip.id]:g} USD, as given")
    elif price is not None:
        unconfirmed = price.status == "press"
        counts["dollar-hour"] = _Count(
            1 / price.usd_per_chip_hour, price.words, unconfirmed=unconfirmed
        )
    else:
        counts["dollar-hour"] = _Count(None, why="the catalog has no such price; give --price")
    return counts


def _price_row(chips: Sequence[Chip], counts: Sequence[Counts]) -> Iterator[ComparisonRow]:
    cells: list[Cell] = []
    for chip, count in zip(chips, counts, strict=True):
        dollar = count["dollar-hour"]
        usd = None if dollar.chips is None else 1 / dollar.chips
        base = cells[0].value if cells else usd
        ratio = None if usd is None or base is None else usd / base
        cells.append(Cell(chip.id, usd, ratio, dollar.of, dollar.why, dollar.unconfirmed))
    if any(cell.value is not None for cell in cells):
        yield ComparisonRow("price", "chip", "USD/h", cells)
