"""A roofline in a terminal: roofs in dots, cases as signs by dtype.

Dots are braille where the terminal can show it: eight to a letter, so that a slope is one; and a
full stop where it can't.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from .printable import printable
from .quantity import format_scaled
from .roofline_frame import INTENSITY, Frame, Segment, cut, decades, fit, label_of, name_of
from .rooflines import Ceiling, Point

#: Of a chart, in lines.
HEIGHT = 20
NARROWEST = 40
#: By dtype, in the order in which they come; one more is for all further ones.
SIGNS = "ox+#%"
_FURTHER = "@"
_MARGIN = 9
#: The bit of a dot by its column and row in a braille letter, see the Unicode standard, 2800.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_WIDE, _TALL = 2, 4
#: Letters between a name and what stands beside it.
_GAP = 2
#: A dashed line has so many dots, and then as many gaps.
_DASH = 3


def signs_of(points: Sequence[Point]) -> dict[str, str]:
    """A sign for each dtype."""
    dtypes = dict.fromkeys(point.record.case.dtype for point in points)
    return {
        dtype: SIGNS[place] if place < len(SIGNS) else _FURTHER
        for place, dtype in enumerate(dtypes)
    }


def draw_chart(
    points: Sequence[Point], ceilings: Sequence[Ceiling], width: int, *, unicode: bool = True
) -> list[str]:
    """The lines of a chart of at least one point, no longer than ``width`` and at least
    :data:`NARROWEST` letters. A sign stands for all cases at its place."""
    frame = fit([(point.intensity, point.flops_per_s) for point in points], ceilings)
    canvas = _Canvas(frame, max(width, NARROWEST) - _MARGIN - 1, HEIGHT)
    segments = cut(ceilings, frame)
    for segment in segments:
        canvas.line(segment)
    rows = canvas.letters(unicode=unicode)
    signs = signs_of(points)
    for point in points:
        column, row = canvas.cell(point.intensity, point.flops_per_s)
        rows[row][column] = signs[point.record.case.dtype]
    # Last, since a name goes where nothing else stands.
    for segment in segments:
        if segment.level:
            canvas.name_level(rows, segment)
        else:
            canvas.name_slanted(rows, segment)
    ticks = {canvas.cell(1.0, rate)[1]: rate for rate in decades(frame.low, frame.high)}
    lines = [
        f"{_rate(ticks.get(number)):>{_MARGIN}}|{''.join(row)}".rstrip()
        for number, row in enumerate(rows)
    ]
    axis, under = canvas.axis()
    legend = ", ".join(f"{sign} {printable(dtype)}" for dtype, sign in signs.items())
    return [
        f"{'FLOP/s':>{_MARGIN}}  {legend}",
        *lines,
        " " * _MARGIN + axis,
        (" " * _MARGIN + under).rstrip(),
        " " * (_MARGIN + 1) + INTENSITY,
    ]


def _rate(rate: float | None) -> str:
    """A power of ten as a tick: ``100 G``."""
    if rate is None:
        return ""
    number, _, unit = format_scaled(rate, "FLOP/s").partition(" ")
    return f"{float(number):g} {unit.removesuffix('FLOP/s')}"


class _Canvas:
    """Dots in letters, and letters in lines; the uppermost line is the first."""

    def __init__(self, frame: Frame, columns: int, rows: int) -> None:
        self._frame = frame
        self._columns, self._rows = columns, rows
        self._dots: set[tuple[int, int]] = set()

    def line(self, segment: Segment) -> None:
        """Dots along a roof, in every column of them that it crosses."""
        frame, wide = self._frame, self._columns * _WIDE
        for column in range(wide):
            x = frame.left + (column + 0.5) / wide * (frame.right - frame.left)
            if not segment.x <= x <= segment.x_end:
                continue
            if segment.dashed and column // _DASH % 2:
                continue
            y = segment.y if segment.level else segment.y + x - segment.x
            row = self._place(y, frame.low, frame.high, self._rows * _TALL)
            self._dots.add((column, self._rows * _TALL - 1 - row))

    def letters(self, *, unicode: bool) -> list[list[str]]:
        """The dots as letters, a list for each line."""
        codes = [[0] * self._columns for _ in range(self._rows)]
        for column, row in self._dots:
            codes[row // _TALL][column // _WIDE] |= _BITS[column % _WIDE][row % _TALL]
        return [[_letter(code, unicode=unicode) for code in line] for line in codes]

    def name_level(self, rows: list[list[str]], segment: Segment) -> None:
        """An arithmetic's name above its line, as far to the right as there is room; at most
        half of it beyond the line's own beginning."""
        row = self.cell(1.0, 10**segment.y)[1] - 1
        length = len(segment.label)
        first = self.cell(10**segment.x, 1.0)[0] - length // 2
        for start in range(self._columns - length, first, -1):
            if _write(rows, row, start, segment.label):
                return

    def name_slanted(self, rows: list[list[str]], segment: Segment) -> None:
        """A memory's name beside its line, on the side of the faster ones if it can be: in full,
        or as much of it as there is room for."""
        for text in (segment.label, label_of(segment.ceiling), name_of(segment.ceiling)):
            for row in range(self._rows // 3, self._rows):
                first, last = self._columns_of(segment, row)
                if first <= last and (
                    _write(rows, row, first - _GAP - len(text), text)
                    or _write(rows, row, last + 1 + _GAP, text)
                ):
                    return

    def _columns_of(self, segment: Segment, row: int) -> tuple[int, int]:
        """First and last column of a slanted roof in a line; the first is the greater where it
        doesn't cross the line."""
        frame = self._frame
        step = (frame.high - frame.low) / self._rows
        bottom = frame.low + (self._rows - 1 - row) * step
        low, high = max(bottom, segment.y), min(bottom + step, segment.y_end)
        if low >= high:
            return 1, 0
        first, last = (
            self._place(segment.x + y - segment.y, frame.left, frame.right, self._columns)
            for y in (low, high)
        )
        return first, last

    def cell(self, intensity: float, flops_per_s: float) -> tuple[int, int]:
        """Column and line of a place in the plane."""
        frame = self._frame
        column = self._place(log10(intensity), frame.left, frame.right, self._columns)
        row = self._place(log10(flops_per_s), frame.low, frame.high, self._rows)
        return column, self._rows - 1 - row

    def axis(self) -> tuple[str, str]:
        """The line below, with a stroke at each power of ten, and the figures under it."""
        line, under = ["-"] * self._columns, [" "] * (self._columns + 1)
        for value in decades(self._frame.left, self._frame.right):
            column = self.cell(value, 10**self._frame.low)[0]
            line[column] = "+"
            text = f"{value:g}"
            start = min(column + 1, len(under) - len(text))
            if all(letter == " " for letter in under[max(start - 1, 0) : start + len(text)]):
                under[start : start + len(text)] = text
        return "+" + "".join(line), "".join(under)

    @staticmethod
    def _place(value: float, low: float, high: float, count: int) -> int:
        return min(max(int((value - low) / (high - low) * count), 0), count - 1)


def _write(rows: list[list[str]], row: int, start: int, text: str) -> bool:
    """Write a text where nothing else stands, nor next to it; whether there was room."""
    end = start + len(text)
    if row < 0 or start < 0 or end > len(rows[row]):
        return False
    if any(letter != " " for letter in rows[row][max(start - _GAP, 0) : end + _GAP]):
        return False
    rows[row][start:end] = text
    return True


def _letter(code: int, *, unicode: bool) -> str:
    if not code:
        return " "
    return chr(0x2800 + code) if unicode else "."
