"""The tables of ``trnbench specs``, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ..specs.chip_comparison import Cell, ComparisonRow
from ..specs.sheet import Row, Sheet

_UNKNOWN = "-"
UNCONFIRMED = "?"
_LEGEND = f"{UNCONFIRMED} unconfirmed: no page of the vendor's own stands behind it"
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def print_sheet(sheet: Sheet) -> None:
    """Every figure, the figures of other sources below it, and what is missing."""
    console = Console()
    devices = ", ".join(
        f"{one['per_chip']} torch devices at {one['mode']}{' (default)' if one['default'] else ''}"
        for one in sheet.devices
    )
    console.print(f"{sheet.name} ({sheet.id}), {sheet.vendor} {sheet.core}".rstrip(), style="bold")
    if sheet.announced:
        console.print("announced, not sold: every figure is projected", style="yellow")
    console.print(devices or "the catalog doesn't say how many torch devices it shows")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", overflow="fold")
    table.add_column("of", no_wrap=True)
    table.add_column("printed", overflow="fold")
    for name in ("a core", "a device", "a chip"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("source", "date", "status"):
        table.add_column(name, overflow="fold")
    for row in sheet.rows:
        table.add_row(row.field, *_cells(row))
        for other in row.alternatives:
            table.add_row("  or", *_cells(other), style="dim")
    console.print(table)
    for row in sheet.rows:
        if row.because:
            console.print(f"{row.field}: {row.printed} was chosen because {row.because}")
    for title, texts in (("missing", sheet.missing), ("disputed", sheet.conflicts)):
        for text in texts:
            console.print(f"{title}: {text}", markup=False)
    console.print(f"{_LEGEND} ({sheet.unconfirmed} of {len(sheet.rows)})", style="dim")


def print_comparison(rows: Sequence[ComparisonRow]) -> None:
    """One table a unit of silicon: value and ratio of each chip; below, why a cell is empty."""
    console = Console()
    units = dict.fromkeys(row.unit for row in rows)
    for unit in units:
        own = [row for row in rows if row.unit == unit]
        names = [cell.chip for cell in own[0].cells]
        table = Table(
            box=box.SIMPLE_HEAD, pad_edge=False, title=f"per {unit}", title_justify="left"
        )
        table.add_column("quantity", no_wrap=True)
        for number, name in enumerate(names):
            table.add_column(name, justify="right", no_wrap=True)
            if number:
                table.add_column(f"/ {names[0]}", justify="right", no_wrap=True)
        for row in own:
            cells = []
            for number, cell in enumerate(row.cells):
                cells.append(_value(cell, row.si_unit))
                if number:
                    cells.append(_UNKNOWN if cell.ratio is None else f"{cell.ratio:.3g}")
            table.add_row(row.quantity, *cells)
        console.print(table)
        for text in dict.fromkeys(
            f"{cell.chip}: {cell.of or cell.why}"
            for row in own
            for cell in row.cells
            if cell.of or (cell.value is None and cell.why)
        ):
            console.print(text, style="dim", markup=False)
    console.print(_LEGEND, style="dim")


def format_si(value: float | None, unit: str) -> str:
    """``1.3 PFLOP/s``, ``96.6 GB``; a dash for None."""
    if value is None:
        return _UNKNOWN
    if unit in ("W", "USD/h", ""):
        return f"{value:.4g} {unit}".rstrip()
    for factor, prefix in _PREFIXES:
        if value >= factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"


def _cells(row: Row) -> tuple[str, ...]:
    shares = (row.per_core, row.per_device, row.per_chip)
    mark = f" {UNCONFIRMED}" if row.unconfirmed else ""
    return (
        row.level,
        row.printed + (f", {row.direction}" if row.direction else ""),
        *(format_si(share, row.si_unit) for share in shares),
        row.source,
        row.date,
        row.status + mark,
    )


def _value(cell: Cell, unit: str) -> str:
    return format_si(cell.value, unit) + (UNCONFIRMED if cell.unconfirmed and cell.value else "")
