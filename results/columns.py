"""Tables that fit the terminal they are printed in, and the legend below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Literal, TypeVar

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .printable import printable

Row = TypeVar("Row")

#: A longer word is broken where a table must become narrow.
_LONGEST_WORD = 26
#: No column of names becomes narrower than this.
_NARROWEST = 10


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column and the text of its cell for a row. Only one that ``folds`` may be broken into
    lines, between words: a figure that is cut is none. A blank in ``name`` is a new line."""

    name: str
    justify: Literal["left", "right"]
    cell: Callable[[Row], str]
    folds: bool = False


@dataclass(frozen=True, slots=True)
class _Layout(Generic[Row]):
    columns: list[Column[Row]]
    widths: dict[str, int]
    gap: int


class Legend:
    """Turns notes into numbers, and explains those used; or leaves them as they are.

    ``explained`` says what a note means, where it doesn't speak for itself.
    """

    def __init__(self, *, numbered: bool, explained: Mapping[str, str] | None = None) -> None:
        self._numbered = numbered
        self._explained = explained or {}
        self._numbers: dict[str, int] = {}

    def mark(self, notes: Iterable[str]) -> str:
        """The cell for these notes."""
        numbers = [self._numbers.setdefault(note, len(self._numbers) + 1) for note in notes]
        return " ".join(map(str, numbers)) if self._numbered else ", ".join(notes)

    def lines(self) -> list[str]:
        """One line for each note used; without numbers, for those that need explaining."""
        said = {
            note: f"{note}: {self._explained[note]}" if note in self._explained else note
            for note in self._numbers
        }
        if self._numbered:
            return [f"{number} {said[note]}" for note, number in self._numbers.items()]
        return [said[note] for note in self._numbers if note in self._explained]


def say(console: Console, line: str, style: str = "") -> None:
    """Print a line as it is: the brackets of a case's name are no markup to rich, and nothing in
    it is obeyed by the terminal."""
    console.print(Text(printable(line), style=style))


def empty_table(padding: int = 1) -> Table:
    """A table with a rule under its head and nothing else drawn."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, padding, 0, 0), show_edge=False)


def fitted_table(
    columns: Sequence[Column[Row]],
    rows: Sequence[Row],
    width: int,
    dropped_first: Sequence[str],
    said_in_name: Sequence[str] = (),
) -> Table:
    """A table at most ``width`` cells wide, as far as that can be had.

    First the gaps close and what folds is folded; then the columns named in ``dropped_first`` go
    one after another; what room is left then is given back to what is folded. Those that are
    ``said_in_name`` too go into the first column's text, so that two rows don't read alike; the
    others are named below the table.
    """
    shown = [replace(column, cell=partial(_show, column.cell)) for column in columns]
    layout = _fit(shown, rows, width, dropped_first, said_in_name)
    table = empty_table(layout.gap - 1)
    for column in layout.columns:
        table.add_column(
            Text(column.name.replace(" ", "\n")),
            justify=column.justify,
            no_wrap=not column.folds,
            overflow="fold",
            vertical="top",
            min_width=layout.widths[column.name],
            # Left to itself, rich narrows its widest column only, and then cuts the table.
            max_width=layout.widths[column.name] if column.folds else None,
        )
    for row in rows:
        table.add_row(*(Text(column.cell(row)) for column in layout.columns))
    kept = {column.name for column in layout.columns} | set(said_in_name)
    if missing := [column.name for column in columns if column.name not in kept]:
        table.caption = Text(f"no room for: {', '.join(missing)}", style="dim")
        table.caption_justify = "left"
    return table


def _show(cell: Callable[[Row], str], row: Row) -> str:
    return printable(cell(row))


def _fit(
    columns: list[Column[Row]],
    rows: Sequence[Row],
    width: int,
    dropped_first: Sequence[str],
    said_in_name: Sequence[str],
) -> _Layout[Row]:
    widths = {column.name: _width(column, rows) for column in columns}
    kept = columns

    def total(gap: int) -> int:
        return sum(widths[column.name] for column in kept) + gap * (len(kept) - 1)

    if total(gap=2) <= width:
        return _Layout(kept, widths, 2)
    for column in columns:
        if column.folds:
            widths[column.name] = _folded_width(column, rows)
    for name in dropped_first:
        if total(gap=1) <= width:
            break
        dropped = [column for column in kept if column.name == name]
        kept = [column for column in kept if column.name != name]
        if dropped and name in said_in_name:
            first = kept[0]
            kept[0] = replace(first, cell=partial(_say_more, first.cell, dropped[0].cell))
            widths[first.name] = _folded_width(kept[0], rows)
    while total(gap=1) > width:
        # Long names are broken further before a figure would be cut.
        widest = max((c for c in kept if c.folds), key=lambda c: widths[c.name], default=None)
        if widest is None or widths[widest.name] <= _NARROWEST:
            break
        widths[widest.name] -= 1
    gap = 2 if total(gap=2) <= width else 1
    _give_back(widths, kept, rows, width - total(gap))
    return _Layout(kept, widths, gap)


def _give_back(
    widths: dict[str, int], columns: Sequence[Column[Row]], rows: Sequence[Row], room: int
) -> None:
    """What is left of the terminal goes to the names, the one that is folded the most first."""
    whole = {column.name: _width(column, rows) for column in columns if column.folds}
    for _ in range(room):
        folded = [name for name in whole if widths[name] < whole[name]]
        if not folded:
            break
        widths[min(folded, key=lambda name: widths[name] / whole[name])] += 1


def _width(column: Column[Row], rows: Sequence[Row]) -> int:
    return max(map(cell_len, [*column.name.split(" "), *(column.cell(row) for row in rows)]))


def _folded_width(column: Column[Row], rows: Sequence[Row]) -> int:
    words = [word for row in rows for word in column.cell(row).split()]
    return min(max(map(cell_len, [*column.name.split(" "), *words])), _LONGEST_WORD)


def _say_more(name: Callable[[Row], str], more: Callable[[Row], str], row: Row) -> str:
    """A name with what tells it from its neighbour; that it is eager goes without saying."""
    said = more(row)
    return name(row) if said == "eager" else f"{name(row)} {said}"
