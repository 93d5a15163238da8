"""What a page is made of: sections of tiles, tables, charts, facts and commands, as plain data.

A new kind of evidence is a function that gives a ``Section`` and one line in ``document``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from markupsafe import Markup

#: Letters of a cell that are never broken: dtypes, modes, statuses with their sign.
_SHORT = 18
_PROSE = 48

Tone = Literal["", "good", "bad", "warn", "muted"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the summary: never without ``note``, which says of what and out of how many."""

    label: str
    value: str
    note: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` as shown, ``more`` small below it. ``sort`` is what a column is sorted by; None
    where nothing is known, which goes last. ``fraction`` draws a bar of that part of the cell."""

    text: str
    sort: float | str | None = None
    more: str = ""
    tone: Tone = ""
    fraction: float | None = None

    @property
    def short(self) -> bool:
        """Whether the text stays on one line however narrow its column."""
        return len(self.text) <= _SHORT

    @property
    def prose(self) -> bool:
        """Whether a sentence stands here, which needs room to be read."""
        return len(self.text) > _PROSE


@dataclass(frozen=True, slots=True)
class Heading:
    """A column: figures stand right, and a reader may sort it where the table is ``active``."""

    label: str
    figure: bool = False
    explained: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first cell of each is its heading. ``chosen_by`` is the column whose
    values a reader can choose from; ``note`` says what was left out."""

    kind: ClassVar[str] = "table"

    id: str
    caption: str
    headings: Sequence[Heading]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    active: bool = False
    chosen_by: int | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with the table of what it shows, for those who can't see it."""

    kind: ClassVar[str] = "chart"

    id: str
    svg: Markup
    caption: str
    data: Table
    narrowest_px: int = 560


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"

    rows: Sequence[tuple[str, str]]
    title: str = ""


@dataclass(frozen=True, slots=True)
class Commands:
    """What to type, one command a line."""

    kind: ClassVar[str] = "commands"

    label: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Notes:
    """Sentences, a list item each; ``title`` stands above them where there is one."""

    kind: ClassVar[str] = "notes"

    lines: Sequence[str]
    title: str = ""
    tone: Tone = ""


Block = Table | Chart | Facts | Commands | Notes


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, what to know before reading on, and the evidence."""

    id: str
    title: str
    intro: str = ""
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands on top: one or two sentences and the tiles. ``banner`` warns of figures that
    say nothing of a device."""

    sentences: Sequence[str]
    tiles: Sequence[Tile]
    banner: str = ""

    @property
    def columns(self) -> int:
        """Of the tiles on a wide screen: no row with one tile alone."""
        return 3 if len(self.tiles) % 3 == 0 or len(self.tiles) == 5 else 4
