"""Texts of records as a page may show them: nothing invisible, nothing endless."""

from __future__ import annotations

import re

from ..printable import printable

#: What takes no room, so that two names look alike: blanks of no width, joiners, a mark of byte
#: order.
_HIDDEN = re.compile("[\u200b\u2060-\u2065\u206a-\u206f\ufeff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: Characters of a message; a compiler's may be megabytes.
LONGEST_MESSAGE = 1200
#: Characters of a name.
LONGEST_NAME = 160


def clean(text: str) -> str:
    """The text printable, and what takes no room made visible as U+FFFD. Ends of line and tabs
    stay."""
    return _HIDDEN.sub(_REPLACEMENT, printable(text))


def one_line(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Clean, blanks and ends of line made single blanks, and cut with a note past ``limit``."""
    line = " ".join(clean(text).split())
    more = len(line) - limit
    return line if more <= 0 else f"{line[:limit]}… ({more} more characters)"


def name(text: str) -> str:
    """One line of a name's length."""
    return one_line(text, LONGEST_NAME)


def shorten(text: str, letters: int) -> str:
    """The text, without its middle where it is longer: names of cases differ at both ends."""
    if len(text) <= letters:
        return text
    tail = letters // 2
    return f"{text[: letters - tail - 1]}…{text[-tail:]}"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 case``, ``1,234 cases``."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def lower(status: str) -> str:
    """A status or verdict in words: ``newly failing``; "OK" stays as it is."""
    return status if status == "OK" else status.replace("_", " ").lower()
