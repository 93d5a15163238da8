"""Chips, or what they are sold and built in, held against the first of them: each quantity per
unit of silicon, and per dollar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .catalog import Catalog
from .chip import Chip
from .figure import CatalogError, Figure
from .levels import Amount, Level, Market, amounts, convert, first_amount, why_none
from .systems import System, load_systems

#: A memory stack is no unit to buy, and a cluster as large as somebody made it.
COMPARED: tuple[Level, ...] = ("core", "device", "chip", "instance", "ultraserver", "dollar-hour")
#: What a chip's link is called, in the order of preference: a headline of both directions first.
_LINKS = ("per_chip_bidirectional", "ici_bidirectional", "per_chip")


@dataclass(frozen=True, slots=True)
class Subject:
    """A chip, or a ``system`` of such chips, which then stands for its level."""

    name: str
    chip: Chip
    system: System | None = None

    def amount(self, level: Level, market: Market) -> Amount | None:
        """The unit of ``level`` to compare, None where the catalog knows none."""
        if self.system is not None and self.system.level == level:
            return next(iter(amounts(self.chip, level, [self.system])), None)
        return first_amount(self.chip, level, market)


def find_subjects(names: Sequence[str], catalog: Catalog) -> list[Subject]:
    """Chips of ``catalog`` and systems by id. ``CatalogError`` for a name that is neither."""
    systems = {system.id: system for system in load_systems()}
    for name in names:
        if name not in catalog.chip_ids and name not in systems:
            import difflib  # few mistype a name

            known = (*catalog.chip_ids, *systems)
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f". Did you mean '{close[0]}'?" if close else ""
            raise CatalogError(f"unknown chip or system '{name}'; known: {', '.join(known)}{hint}")
    return [
        Subject(name, catalog.chip(name))
        if name in catalog.chip_ids
        else Subject(name, catalog.chip(systems[name].chip), systems[name])
        for name in names
    ]


@dataclass(frozen=True, slots=True)
class Cell:
    """One subject's value in SI, or None and why not; ``chip`` is its name. ``of`` says of what it is where the unit
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
    subjects: Sequence[Subject],
    prices: Mapping[str, float] | None = None,
    region: str | None = None,
    kind: str | None = None,
) -> list[ComparisonRow]:
    """Every quantity that at least one of ``subjects`` has, per every unit of silicon.

    ``prices`` are US dollars an hour of a chip, by id, in place of the catalog's;
    ``region`` and ``kind`` choose among those. A quantity of TDP per instance is that of its
    chips alone.
    """
    chips = [subject.chip for subject in subjects]
    markets = [_market(subject, prices or {}, region, kind) for subject in subjects]
    units = {
        unit: [one.amount(unit, market) for one, market in zip(subjects, markets, strict=True)]
        for unit in COMPARED
    }
    rows = []
    for quantity in _quantities(chips):
        figures = [_figure(chip, quantity) for chip in chips]
        for unit, counts in units.items():
            cells: list[Cell] = []
            for subject, figure, amount in zip(subjects, figures, counts, strict=True):
                value = (
                    None
                    if figure is None or amount is None
                    else convert(figure.si, 1, amount.chips)
                )
                why = f"no source gives {quantity}" if figure is None else why_none(unit)
                unconfirmed = figure is not None and figure.origin.unconfirmed
                cell = _cell(subject.name, value, cells, amount, why, unconfirmed=unconfirmed)
                cells.append(replace(cell, of=_with_direction(cell.of, quantity, figure)))
            if any(cell.value is not None for cell in cells):
                si_unit = next(_base_unit(figure) for figure in figures if figure is not None)
                rows.append(ComparisonRow(quantity, unit, si_unit, cells))
    return [*rows, *_price_row(subjects, units["dollar-hour"])]


def _market(
    subject: Subject, prices: Mapping[str, float], region: str | None, kind: str | None
) -> Market:
    system, instance = subject.system, None
    if system is not None:
        # An UltraServer is so many of its instances, and not of another that is cheaper.
        instance = system.id if system.level == "instance" else system.instance or None
    return Market(prices.get(subject.chip.id), region, kind, instance)


def _cell(
    name: str,
    value: float | None,
    before: Sequence[Cell],
    amount: Amount | None,
    why: str,
    *,
    unconfirmed: bool,
) -> Cell:
    base = before[0].value if before else value
    return Cell(
        chip=name,
        value=value,
        ratio=None if value is None or base is None else value / base,
        of="" if amount is None else amount.detail,
        why="" if value is not None else why,
        unconfirmed=unconfirmed or (amount is not None and amount.unconfirmed),
    )


def _with_direction(of: str, quantity: str, figure: Figure | None) -> str:
    """A link's figure is of one direction or of both, or its page doesn't say."""
    if quantity != "link" or figure is None:
        return of
    said = f"link's direction: {figure.direction.partition(';')[0]}"
    return f"{of}; {said}" if of else said


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
    subjects: Sequence[Subject], dollar_hours: Sequence[Amount | None]
) -> Iterator[ComparisonRow]:
    cells: list[Cell] = []
    for subject, amount in zip(subjects, dollar_hours, strict=True):
        usd = None if amount is None else convert(1, amount.chips, 1)
        cells.append(
            _cell(subject.name, usd, cells, amount, why_none("dollar-hour"), unconfirmed=False)
        )
    if any(cell.value is not None for cell in cells):
        yield ComparisonRow("price", "chip", "USD/h", cells)
