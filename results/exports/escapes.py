"""Texts of a record where they would mean something: in a terminal, a spreadsheet, XML, Markdown.

Names, labels and errors come from whoever wrote the file. What has a meaning in the form that is
written is replaced or encoded here, and nowhere else.
"""

from __future__ import annotations

import re

from ..printable import printable

#: A cell of a spreadsheet that starts so is a formula, or becomes one when it is pasted.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

#: ASCII punctuation that Markdown has no use for within a line.
_HARMLESS = frozenset(" -,/=+;:%().'")
#: At the start of a line these would begin a list or underline a heading.
_STARTING = re.compile(r"[-+=]|\d{1,9}[.)]")
#: GitHub makes links and pictures of these, and sends a mail to whom a mention names.
_LINKED = re.compile(r"[@#](?=\w)|:(?=//|[\w+-]+:)|www(?=\.)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"


def one_line(text: str, longest: int | None = None) -> str:
    """The text on one line, without control characters, cut with an ellipsis at ``longest``."""
    # No more of it is looked at than may be needed: a text may be as long as a file.
    taken = text if longest is None else text[: 8 * longest]
    line = printable(" ".join(taken.split()))
    if longest is None or (len(line) <= longest and len(taken) == len(text)):
        return line
    return line[: longest - 1] + "…"


def guard_formula(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would compute it.

    Source: OWASP, "CSV Injection" (the characters, and the apostrophe as the guard).
    """
    cleaned = printable(text)
    # Both: a colour that was dropped from before it leaves the sign at the beginning.
    is_formula = text.startswith(_FORMULA) or cleaned.startswith(_FORMULA)
    return f"'{cleaned}" if is_formula else cleaned


def escape_markdown(text: str, longest: int | None = None) -> str:
    """The text on one line of GitHub's Markdown, where it means nothing but itself.

    Punctuation is written as numeric references, which can't be structure (CommonMark 0.31,
    section 2.5), so a name breaks no table; mentions, issue numbers and addresses are kept from
    becoming links by a space of no width.
    """
    line = _LINKED.sub(rf"\g<0>{_ZERO_WIDTH_SPACE}", one_line(text, longest))
    if _STARTING.match(line):
        return _reference(line[0]) + "".join(map(_encode, line[1:]))
    return "".join(map(_encode, line))


def _encode(sign: str) -> str:
    means_nothing = not sign.isascii() or sign.isalnum() or sign in _HARMLESS
    return sign if means_nothing else _reference(sign)


def _reference(sign: str) -> str:
    return f"&#{ord(sign)};"
