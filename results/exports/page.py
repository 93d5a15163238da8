"""A page of Markdown that never becomes longer than a comment on GitHub may be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .escapes import escape_markdown

#: GitHub refuses a longer body. It counts characters; bytes are never fewer.
LONGEST_BYTES = 65_536
#: Kept for what must still be said when the page is full.
_RESERVE_BYTES = 512
_LONGEST_ITEM = 400
_LIST_ITEMS = 12


class Page:
    """Lines, as long as there is room for them: what doesn't fit is left out and counted."""

    def __init__(self, longest_bytes: int = LONGEST_BYTES) -> None:
        self._room = longest_bytes - _RESERVE_BYTES
        self._lines: list[str] = []

    def add(self, *lines: str) -> bool:
        """Add these lines or none of them; whether there was room."""
        size = sum(len(line.encode()) + 1 for line in lines)
        if size > self._room:
            return False
        self._lines += lines
        self._room -= size
        return True

    def add_rows(self, rows: Iterable[str]) -> int:
        """Add rows of a table up to the first that doesn't fit; how many were."""
        shown = 0
        for row in rows:
            if not self.add(row):
                break
            shown += 1
        return shown

    def add_list(self, heading: str, items: Sequence[str]) -> None:
        """A list under a heading, at most 12 items of it; nothing where there is none."""
        if not items:
            return
        self.add(*(["", heading] if heading else []), "")
        shown = self.add_rows(
            f"- {escape_markdown(item, _LONGEST_ITEM)}" for item in items[:_LIST_ITEMS]
        )
        if shown < len(items):
            self.add(f"- and {len(items) - shown} more")

    def add_folded(
        self, summary: str, head: Sequence[str], rows: Iterable[str], count: int
    ) -> None:
        """A table that is opened by a click; says how many of its ``count`` rows didn't fit."""
        if not count:
            return
        closing = ("", "</details>")
        opening = ("", f"<details><summary>{summary}</summary>", "", *head)
        self._room -= sum(len(line) + 1 for line in closing)
        if self.add(*opening):
            shown = self.add_rows(rows)
            # The reserve is for this.
            self._lines += closing
            left = count - shown
        else:
            left = count
        if left:
            self._lines += ["", f"{left} of these {count} don't fit a comment; see trnbench diff"]

    def text(self) -> str:
        return "\n".join(self._lines) + "\n"
