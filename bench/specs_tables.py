"""The tables of ``trnbench specs``, for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from ..results.columns import Column, fitted_table
from ..specs.chip_comparison import Cell, ComparisonRow
from ..specs.roof_table import RidgeLine, RoofLine, RoofTable
from ..specs.sheet import ChipLine, Row, Sheet
from ..specs.unit_table import UnitRow, UnitTable

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
    console.print(_figures(sheet.rows, console.width))
    for row in sheet.rows:
        if row.because:
            text = f"{row.field}: {row.printed} was chosen because {row.because}"
            console.print(text, markup=False)
        elif row.note:
            console.print(f"{row.field}: {row.note}", style="dim", markup=False)
    if whole:
        _print_rest(sheet, console)
    console.print(f"{_LEGEND} ({sheet.unconfirmed} of {len(sheet.rows)})", style="dim")


def _figures(rows: Sequence[Row], width: int) -> Table:
    """A row a figure, those of other sources below it. What becomes of a narrow terminal: the
    shares go, and the source stays."""
    lines = [
        line for row in rows for line in (("", row), *(("or", other) for other in row.alternatives))
    ]
    columns: list[Column[tuple[str, Row]]] = [
        Column("figure", "left", _name, folds=True),
        Column("printed", "left", lambda line: _printed(line[1]), folds=True),
        *(
            Column(f"a {unit}", "right", _share(unit))
            for unit in ("core", "device", "chip")
            if any(getattr(row, f"per_{unit}") is not None for _, row in lines)
        ),
        Column("source", "left", lambda line: line[1].source, folds=True),
        Column("date", "left", lambda line: line[1].date),
        Column("status", "left", lambda line: _status(line[1])),
    ]
    return fitted_table(columns, lines, width, ("date", "a core", "a device", "a chip"))


def _name(line: tuple[str, Row]) -> str:
    kind, row = line
    return kind or row.field.replace(".", " ").replace("_", " ")


def _printed(row: Row) -> str:
    return row.printed + (f", {row.direction}" if row.direction else "")


def _share(unit: str) -> Callable[[tuple[str, Row]], str]:
    return lambda line: format_si(getattr(line[1], f"per_{unit}"), line[1].si_unit)


def _status(row: Row) -> str:
    return row.status + (UNCONFIRMED if row.unconfirmed else "")


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


def print_units(table: UnitTable) -> None:
    """A row a unit of silicon; below, how the sources print the figures, and what is missing."""
    console = Console()
    console.print(f"{table.name} ({table.chip})", style="bold", markup=False)
    if table.announced:
        console.print("announced, not sold: every figure is projected", style="yellow")
    columns: list[Column[UnitRow]] = [
        Column("unit", "left", _unit, folds=True),
        *(Column(name, "right", _counted(name)) for name in ("chips", "cores", "devices")),
        *(Column(_heading(name), "right", _converted(name, table)) for name in table.figures),
    ]
    headings = [_heading(name) for name in table.figures]
    kept = headings[-1:] if "given" in headings else headings[:1]
    others = [heading for heading in reversed(headings) if heading not in kept]
    dropped = ("devices", "cores", *others, "chips")
    console.print(fitted_table(columns, table.rows, console.width, dropped))
    for name, figure in table.figures.items():
        mark = UNCONFIRMED if figure["unconfirmed"] else ""
        console.print(f"{_heading(name)}: {figure['printed']}{mark}", style="dim", markup=False)
    for row in table.rows:
        if row.unit == "dollar-hour":
            console.print(f"dollar-hour: {row.detail}", style="dim", markup=False)
    for unit, why in table.absent.items():
        console.print(f"{unit}: {why}", style="dim", markup=False)
    figures = (bool(figure["unconfirmed"]) for figure in table.figures.values())
    _print_legend(console, any(row.unconfirmed for row in table.rows) or any(figures))


def _print_legend(console: Console, is_needed: bool) -> None:
    if is_needed:
        console.print(_LEGEND, style="dim")


def _heading(name: str) -> str:
    return name.removeprefix("peak_dense.").replace(".", " ").replace("_", " ")


def _unit(row: UnitRow) -> str:
    named = f"{row.unit} {row.name}".rstrip()
    return named + (UNCONFIRMED if row.unconfirmed else "")


def _counted(name: str) -> Callable[[UnitRow], str]:
    def count(row: UnitRow) -> str:
        value = getattr(row, name)
        return _UNKNOWN if value is None else f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"

    return count


def _converted(name: str, table: UnitTable) -> Callable[[UnitRow], str]:
    figure = table.figures[name]
    return lambda row: (
        format_si(row.figures[name], str(figure["si_unit"]))
        + (UNCONFIRMED if figure["unconfirmed"] or row.unconfirmed else "")
    )


def print_roofs(table: RoofTable) -> None:
    """The roofs of a device, how each comes about, and the ridge points."""
    console = Console()
    part = "a whole chip" if table.share == 1 else f"{table.share:g} of a chip"
    title = f"{table.name} ({table.chip}): one torch device ({table.mode}) is {part}"
    console.print(title, style="bold", markup=False)
    if table.announced:
        console.print("announced, not sold: every figure is projected", style="yellow")
    columns: list[Column[RoofLine]] = [
        Column("roof", "left", lambda one: f"{one.name} {one.dtype}".rstrip()),
        Column("ceiling", "left", lambda one: "" if one.kind == "on chip" else one.ceiling),
        Column("rate", "right", lambda one: format_si(one.rate, one.unit)),
        Column("holds", "right", lambda one: format_si(one.capacity_bytes, "B", "")),
        Column("source", "left", lambda one: one.source),
    ]
    shown = [line for line in table.roofs if _has_row(line)]
    console.print(fitted_table(columns, shown, console.width, ("source",)))
    for said, dtypes in _comments(table.roofs).items():
        name, ceiling, why = said
        of = f"{name} {', '.join(dtypes)}".rstrip()
        console.print(f"{of}{ceiling}: {why}", style="dim", markup=False)
    for reason in dict.fromkeys(one.reason for one in table.roofs if one.kind == "on chip"):
        console.print(f"on chip: {reason}", style="dim", markup=False)
    if table.ridges:
        ridges: list[Column[RidgeLine]] = [
            Column("engine", "left", lambda one: f"{one.engine} {one.dtype}"),
            Column("memory", "left", lambda one: one.level),
            Column("ceiling", "left", lambda one: one.ceiling),
            Column("ridge, FLOP/B", "right", lambda one: f"{one.flops_per_byte:,.4g}"),
        ]
        console.print(fitted_table(ridges, table.ridges, console.width, ()))
        console.print(
            "a call of fewer FLOP a byte than its ridge is bound by memory, of more by the engine",
            style="dim",
        )


def _has_row(line: RoofLine) -> bool:
    """All but an engine beside the one for matrices that has no rate in the dtype: of such there
    is a comment alone, since there would be two for each dtype."""
    return line.kind != "arithmetic" or line.name == "tensor" or line.rate is not None


def _comments(roofs: Sequence[RoofLine]) -> dict[tuple[str, str, str], list[str]]:
    """How each roof comes about, or why it isn't known: the dtypes for each (name, ceiling, why)."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for line in roofs:
        ceiling = f", {line.ceiling}" if _has_row(line) and line.kind != "on chip" else ""
        found.setdefault((line.name, ceiling, line.words or line.reason), []).append(line.dtype)
    return found


def print_comparison(rows: Sequence[ComparisonRow]) -> None:
    """One table a unit of silicon: value and ratio of each chip; below, why a cell is empty."""
    console = Console()
    units = dict.fromkeys(row.unit for row in rows)
    for unit in units:
        own = [row for row in rows if row.unit == unit]
        console.print(f"per {unit}", style="bold")
        console.print(_compared(own, console.width))
        for text in dict.fromkeys(
            f"{cell.chip}: {cell.of or cell.why}"
            for row in own
            for cell in row.cells
            if cell.of or (cell.value is None and cell.why)
        ):
            console.print(text, style="dim", markup=False)
    marked = (cell.unconfirmed and cell.value is not None for row in rows for cell in row.cells)
    _print_legend(console, any(marked))


def _compared(rows: Sequence[ComparisonRow], width: int) -> Table:
    """Value of each chip, and its ratio to the first."""
    names = [cell.chip for cell in rows[0].cells]
    columns: list[Column[ComparisonRow]] = [
        Column("quantity", "left", lambda row: row.quantity, folds=True)
    ]
    for place, name in enumerate(names):
        columns.append(Column(name, "right", _compared_value(place), folds=True))
        if place:
            heading = "ratio" if len(names) == 2 else f"{place + 1}:1"
            columns.append(Column(heading, "right", _compared_ratio(place)))
    return fitted_table(columns, rows, width, ())


def _compared_value(place: int) -> Callable[[ComparisonRow], str]:
    return lambda row: _value(row.cells[place], row.si_unit)


def _compared_ratio(place: int) -> Callable[[ComparisonRow], str]:
    def ratio(row: ComparisonRow) -> str:
        found = row.cells[place].ratio
        return _UNKNOWN if found is None else f"{found:.3g}"

    return ratio


def format_si(value: float | None, unit: str, unknown: str = _UNKNOWN) -> str:
    """``1.3 PFLOP/s``, ``96.6 GB``; a dash for None, or what is said of ``unknown``."""
    if value is None:
        return unknown
    if unit in ("USD/h", ""):
        return f"{value:.4g} {unit}".rstrip()
    for factor, prefix in _PREFIXES:
        if value >= factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}".rstrip()


def _value(cell: Cell, unit: str) -> str:
    return format_si(cell.value, unit) + (UNCONFIRMED if cell.unconfirmed and cell.value else "")
