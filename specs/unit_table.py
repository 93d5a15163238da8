"""A chip's figures for every unit of silicon that it comes in: what ``trnbench specs units``
prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .chip import Chip
from .figure import CatalogError, Figure, Provenance
from .levels import LEVELS, Amount, Market, amounts, convert, first_amount, why_none
from .sheet import ADDS_UP, BASE_UNITS, level_of
from .units import SPOKEN, UNITS, dimension, to_si

#: Shown where no figure is asked for: what most claims are about.
_USUAL = ("peak_dense.bf16", "memory.capacity", "memory.bandwidth", "power.tdp")
#: A memory stack holds memory alone.
SHOWN = tuple(level for level in LEVELS if level != "stack")
_GIVEN = "given"
#: A comma stands between thousands, and is no decimal point.
_AMOUNT = re.compile(
    r"\s*(?P<value>[-+]?(?:\d{1,3}(?:,\d{3})+|\d*)(?:\.\d*)?(?:e[-+]?\d{1,3})?)\s*"
    r"(?P<unit>[A-Za-z][A-Za-z/]*)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One unit of silicon: ``chips``, ``cores`` and ``devices`` (in the default mode) in it, and
    each figure for it, in SI. ``source``, ``date`` and ``status`` are of the count; empty where it
    is 1 by definition."""

    unit: str
    name: str
    detail: str
    chips: float
    cores: float | None
    devices: float | None
    figures: dict[str, float]
    source: str
    date: str
    status: str
    unconfirmed: bool


@dataclass(frozen=True, slots=True)
class UnitTable:
    """A chip's rows, the smallest unit first; ``figures`` maps the name of each column to its
    unit in SI and to how its source prints it; ``absent`` a unit to why there is none."""

    chip: str
    name: str
    announced: bool
    figures: dict[str, dict[str, str | bool]]
    rows: list[UnitRow]
    absent: dict[str, str]


@dataclass(frozen=True, slots=True)
class Given:
    """A figure that somebody has for one unit: ``83.2 PFLOP/s`` of ``ultraserver``."""

    amount: str
    of: str


def unit_table(
    chip: Chip,
    fields: Sequence[str] = (),
    given: Given | None = None,
    market: Market | None = None,
) -> UnitTable:
    """``fields`` (section.name, as ``trnbench specs show`` has them) of ``chip`` for each unit of
    silicon, the usual ones where none is named, and what is ``given`` for one of them.

    ``CatalogError`` for a field that the chip doesn't have or that doesn't add up over chips, and
    for a unit that isn't known.
    """
    units = [amount for level in SHOWN for amount in amounts(chip, level, market=market)]
    per_chip: dict[str, tuple[float, str, str, bool]] = {}
    for field in fields or [one for one in _USUAL if _find(chip, one) is not None]:
        figure, whole = _of_chip(chip, field)
        unit = BASE_UNITS[figure.dimension]
        per_chip[field] = whole, unit, figure.words, figure.origin.unconfirmed
    if given is not None:
        si, unit = _read(given.amount)
        of = _choose(chip, units, given.of)
        words = f"{given.amount.strip()} of {of.detail or of.level}"
        per_chip[_GIVEN] = convert(si, of.chips, 1), unit, words, of.unconfirmed
    return UnitTable(
        chip=chip.id,
        name=chip.name,
        announced=chip.announced,
        figures={
            name: {"si_unit": unit, "printed": words, "unconfirmed": unconfirmed}
            for name, (_, unit, words, unconfirmed) in per_chip.items()
        },
        rows=[
            _row(chip, amount, {name: one[0] for name, one in per_chip.items()}) for amount in units
        ],
        absent={
            level: why_none(level)
            for level in SHOWN
            if level not in {amount.level for amount in units}
        },
    )


def _row(chip: Chip, amount: Amount, per_chip: dict[str, float]) -> UnitRow:
    core, device = first_amount(chip, "core"), first_amount(chip, "device")
    origin = next(iter(amount.origins), Provenance("", "", "official"))
    return UnitRow(
        unit=amount.level,
        name=amount.name,
        detail=amount.detail,
        chips=amount.chips,
        cores=None if core is None else convert(1, core.chips, amount.chips),
        devices=None if device is None else convert(1, device.chips, amount.chips),
        figures={name: convert(value, 1, amount.chips) for name, value in per_chip.items()},
        source=origin.source,
        date=origin.date,
        status=origin.status if amount.origins else "",
        unconfirmed=amount.unconfirmed,
    )


def _find(chip: Chip, field: str) -> Figure | None:
    section, _, name = field.partition(".")
    return chip.figures.get(section, {}).get(name)


def _of_chip(chip: Chip, field: str) -> tuple[Figure, float]:
    """The figure and what it is of the whole chip, in SI."""
    known = list(_adding_up(chip))
    figure = _find(chip, field)
    if figure is None or field not in known:
        why = f"no '{field}'" if figure is None else f"'{field}' doesn't add up over chips"
        raise CatalogError(f"chip '{chip.id}': {why}; wanted one of {', '.join(known)}")
    section, _, name = field.partition(".")
    if level_of(section, name) == "chip":
        return figure, figure.si
    core = first_amount(chip, "core")
    if core is None:
        raise CatalogError(f"chip '{chip.id}', '{field}' is of a core: {why_none('core')}")
    return figure, convert(figure.si, core.chips, 1)


def _adding_up(chip: Chip) -> Iterator[str]:
    for section, name, fact in chip.facts:
        adds_up = isinstance(fact, Figure) and fact.dimension in ADDS_UP
        if adds_up and level_of(section, name) != "rack":
            yield f"{section}.{name}"


def _read(text: str) -> tuple[float, str]:
    """``83.2 PFLOP/s`` in SI, with the SI base unit."""
    known = ", ".join(unit for unit, (_, kind) in UNITS.items() if kind in ADDS_UP)
    wanted = f"wanted a number and one of {known}"
    found = _AMOUNT.fullmatch(text)
    unit = SPOKEN.get(found["unit"], found["unit"]) if found else ""
    if found is None or unit not in UNITS or UNITS[unit][1] not in ADDS_UP:
        raise CatalogError(f"'{text}' given; {wanted}")
    try:
        value = float(found["value"].replace(",", ""))
    except ValueError as error:
        raise CatalogError(f"'{text}' given; {wanted}") from error
    if not 0 < value < 1e30:
        raise CatalogError(f"'{text}' given; wanted more than 0 and less than 1e30")
    return to_si(value, unit), BASE_UNITS[dimension(unit)]


def _choose(chip: Chip, units: Sequence[Amount], name: str) -> Amount:
    """A unit by its level (the first of it) or by its own name: LNC=1, trn2.48xlarge."""
    for amount in units:
        if name and name in (amount.level, amount.name):
            return amount
    known = dict.fromkeys(one for amount in units for one in (amount.level, amount.name) if one)
    raise CatalogError(f"chip '{chip.id}' comes in no '{name}'; known: {', '.join(known)}")
