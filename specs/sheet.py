"""Everything that the catalog knows of one chip, row by row: what ``trnbench specs show`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .catalog import Catalog
from .chip import Chip, Source
from .figure import CatalogError, Figure, Statement
from .levels import convert, first_amount
from .prices import Price, load_prices
from .systems import System, systems_of

#: SI base units by dimension.
BASE_UNITS = {
    "rate": "FLOP/s",
    "bandwidth": "B/s",
    "size": "B",
    "clock": "Hz",
    "time": "s",
    "power": "W",
    "count": "",
    "fraction": "",
}
#: What adds up over the cores of a chip; a clock, a count or a time doesn't.
ADDS_UP = ("rate", "bandwidth", "size", "power")
_OF_A_CORE = ("tensor_engine_per_core", "tensor_engine_sparse_per_core", "engines")


@dataclass(frozen=True, slots=True)
class Row:
    """One fact. ``si`` is of ``level``, the unit of silicon that the source speaks of; ``per_core``,
    ``per_device`` (in the chip's default mode) and ``per_chip`` are shares of it in SI, None
    where the catalog lacks a count or the quantity doesn't add up."""

    field: str
    level: Literal["core", "chip", "rack"]
    printed: str
    si: float | None
    si_unit: str
    per_core: float | None
    per_device: float | None
    per_chip: float | None
    source: str
    where: str
    date: str
    status: str
    basis: str
    unconfirmed: bool
    derivation: str
    direction: str
    note: str
    because: str = ""
    alternatives: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemLine:
    """An instance, UltraServer or cluster that holds the chip."""

    id: str
    level: str
    chips: int
    network: str
    source: str
    date: str
    status: str
    unconfirmed: bool
    note: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A chip's rows, what it is sold in and for how much, and what is missing or disputed."""

    id: str
    name: str
    vendor: str
    core: str
    announced: bool
    devices: list[dict[str, str | int | bool]]
    rows: list[Row]
    systems: list[SystemLine]
    prices: list[Price]
    missing: list[str]
    conflicts: list[str]

    @property
    def unconfirmed(self) -> int:
        """How many rows no page of the vendor's own stands behind."""
        return sum(row.unconfirmed for row in self.rows)


def sheet_of(chip: Chip, catalog: Catalog, fields: Sequence[str] = ()) -> Sheet:
    """The sheet of ``chip``, which is of ``catalog``; with ``fields`` only the rows of these
    sections or fields. ``CatalogError`` where one names none."""
    rows = list(_rows(chip, catalog.sources))
    for name in fields:
        if not any(_names(name, row) for row in rows):
            known = ", ".join(dict.fromkeys(row.field.partition(".")[0] for row in rows))
            raise CatalogError(f"chip '{chip.id}' has no '{name}'; its sections: {known}")
    return Sheet(
        id=chip.id,
        name=chip.name,
        vendor=chip.vendor,
        core=chip.core,
        announced=chip.announced,
        devices=[
            {"mode": one.mode, "default": one.default, "per_chip": one.per_chip}
            for one in chip.devices
        ],
        rows=[row for row in rows if not fields or any(_names(name, row) for name in fields)],
        systems=[_line(system) for system in systems_of(chip.id)],
        prices=[price for price in load_prices() if price.chip == chip.id],
        missing=list(chip.missing),
        conflicts=list(chip.conflicts),
    )


@dataclass(frozen=True, slots=True)
class ChipLine:
    """A chip of the catalog, counted."""

    id: str
    name: str
    vendor: str
    announced: bool
    figures: int
    unconfirmed: int
    disagreements: int
    missing: int


def chip_lines(catalog: Catalog) -> list[ChipLine]:
    """Every chip of ``catalog`` with how many figures it has, how many of them no page of the
    vendor's stands behind, how many sources give differently, and how many none gave."""
    lines = []
    for chip in catalog.chips.values():
        rows = list(_rows(chip, catalog.sources))
        lines.append(
            ChipLine(
                id=chip.id,
                name=chip.name,
                vendor=chip.vendor,
                announced=chip.announced,
                figures=len(rows),
                unconfirmed=sum(row.unconfirmed for row in rows),
                disagreements=len(chip.disagreements),
                missing=len(chip.missing),
            )
        )
    return lines


def _names(name: str, row: Row) -> bool:
    return row.field == name or row.field.startswith(f"{name}.")


def _line(system: System) -> SystemLine:
    origin = system.origin
    return SystemLine(
        id=system.id,
        level=system.level,
        chips=system.chips,
        network=system.network,
        source=origin.source,
        date=origin.date,
        status=origin.status,
        unconfirmed=origin.unconfirmed,
        note=origin.note,
    )


def level_of(section: str, name: str) -> Literal["core", "chip", "rack"]:
    """Of which unit of silicon a figure of the catalog speaks."""
    if section == "rack":
        return "rack"
    return "core" if section in _OF_A_CORE or name.endswith("per_core") else "chip"


def _rows(chip: Chip, sources: Mapping[str, Source]) -> Iterator[Row]:
    disputed = {one.field: one for one in chip.disagreements}
    for section, name, fact in chip.facts:
        at = f"{section}.{name}"
        level = level_of(section, name)
        row = _row(chip, at, level, fact, sources)
        if at in disputed:
            others = (_row(chip, at, level, one, sources) for one in disputed[at].alternatives)
            row = replace(row, because=disputed[at].because, alternatives=tuple(others))
        yield row


def _row(
    chip: Chip,
    at: str,
    level: Literal["core", "chip", "rack"],
    fact: Figure | Statement,
    sources: Mapping[str, Source],
) -> Row:
    origin = fact.origin
    figure = fact if isinstance(fact, Figure) else None
    core, device, whole = (None, None, None) if figure is None else _shares(chip, level, figure)
    return Row(
        field=at,
        level=level,
        printed=fact.words if isinstance(fact, Figure) else fact.text,
        si=None if figure is None else figure.si,
        si_unit="" if figure is None else BASE_UNITS[figure.dimension],
        per_core=core,
        per_device=device,
        per_chip=whole,
        source=origin.source,
        where=sources[origin.source].where,
        date=origin.date,
        status=origin.status,
        basis=origin.basis,
        unconfirmed=origin.unconfirmed,
        derivation=origin.derivation,
        direction="" if figure is None else figure.direction,
        note=origin.note,
    )


def _shares(
    chip: Chip, level: str, figure: Figure
) -> tuple[float | None, float | None, float | None]:
    """The figure per core, per torch device and per chip, in SI."""
    if level == "rack" or figure.dimension not in ADDS_UP:
        return None, None, None
    core, device = first_amount(chip, "core"), first_amount(chip, "device")
    if level == "core":
        if core is None:
            return figure.si, None, None
        whole = convert(figure.si, core.chips, 1)
    else:
        whole = figure.si
    return (
        None if core is None else convert(whole, 1, core.chips),
        None if device is None else convert(whole, 1, device.chips),
        whole,
    )
