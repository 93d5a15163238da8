"""The tables of ``trnbench specs``, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ..specs.chip_comparison import Cell, ComparisonRow
from ..specs.sheet import ChipLine, Row, Sheet

_UNKNOWN = "-"
UNCONFIRMED = "?"
_LEGEND = f"{UNCONFIRMED} unconfirmed: no page of the vendor's own stands behind it"
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def print_chips(lines: Sequence[ChipLine]) -> None:
    """One line a chip."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("chip", "name"):
        table.add_column(name, overflow="fold")
    for name in ("figures", "unconfirmed", "disputed", "missing"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        counts = (line.figures, line.unconfirmed, line.disagreements, line.missing)
        table.add_row(line.id, line.name, *map(str, counts))
    Console().print(table)


def print_sheet(sheet: Sheet, *, whole: bool) -> None:
    """Every figure and those of other sources below it; of the ``whole`` chip also what it is
    sold in, and what is missing or disputed."""
    console = Console()
    devices = ", ".join(
        f"{one['per_chip']} torch devices at {one['mode']}{' (default)' if one['default'] else ''}"
        for one in sheet.devices
    )
    console.print(f"{sheet.name} ({sheet.id}), {sheet.vendor} {sheet.core}".rstrip(), style="bold")
    if sheet.announced:
        console.print("announced, not sold: every figure is projected", style="yellow")
    console.print(devices or "the catalog doesn't say how many torch devices it shows")
    console.print(_figures(sheet.rows))
    for row in sheet.rows:
        if row.because:
            text = f"{row.field}: {row.printed} was chosen because {row.because}"
            console.print(text, markup=False)
        elif row.note:
            console.print(f"{row.field}: {row.note}", style="dim", markup=False)
    if whole:
        _print_rest(sheet, console)
    console.print(f"{_LEGEND} ({sheet.unconfirmed} of {len(sheet.rows)})", style="dim")


def _figures(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", overflow="fold")
    table.add_column("printed", overflow="fold", min_width=14)
    for name in ("a core", "a device", "a chip"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("source", overflow="fold")
    for name in ("date", "status"):
        table.add_column(name, no_wrap=True)
    section = ""
    for row in rows:
        head, _, name = row.field.partition(".")
        if head != section:
            section = head
            table.add_row(f"[bold]{section}[/bold]")
        table.add_row(f" {name}", *_cells(row))
        for other in row.alternatives:
            table.add_row("   or", *_cells(other), style="dim")
    return table


def _print_rest(sheet: Sheet, console: Console) -> None:
    for one in sheet.systems:
        mark = UNCONFIRMED if one.unconfirmed else ""
        facts = (
            "1 chip" if one.chips == 1 else f"{one.chips} chips",
            one.network,
            one.source,
            one.date,
            one.status + mark,
        )
        text = f"{one.level} {one.id}: {', '.join(fact for fact in facts if fact)}"
        console.print(text + (f" ({one.note})" if one.note else ""), markup=False)
    for price in sheet.prices:
        mark = UNCONFIRMED if price.status == "press" else ""
        console.print(f"price: {price.words}, {price.source}{mark}", markup=False)
    for title, texts in (("missing", sheet.missing), ("disputed", sheet.conflicts)):
        for text in texts:
            console.print(f"{title}: {text}", markup=False)


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
    if unit in ("USD/h", ""):
        return f"{value:.4g} {unit}".rstrip()
    for factor, prefix in _PREFIXES:
        if value >= factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}".rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    shares = (row.per_core, row.per_device, row.per_chip)
    mark = f" {UNCONFIRMED}" if row.unconfirmed else ""
    return (
        row.printed + (f", {row.direction}" if row.direction else ""),
        *(format_si(share, row.si_unit) for share in shares),
        row.source,
        row.date,
        row.status + mark,
    )


def _value(cell: Cell, unit: str) -> str:
    return format_si(cell.value, unit) + (UNCONFIRMED if cell.unconfirmed and cell.value else "")
