"""Text that others wrote, made fit to be shown.

A record comes from anywhere: the label, the failure and the names in it may hold what a terminal
obeys. ESC [ 2 J clears the screen, a carriage return writes over the line, and a mark of writing
direction shows one name as another. Source: ECMA-48, Control functions for coded character sets
(5th edition, 1991), sections 5.4 and 8.3; Unicode Standard Annex 9, section 2.
"""

from __future__ import annotations

import re

from ..specs.control import CONTROL

#: Colours, which compilers put into their messages: they are dropped, and all else is shown.
_COLOUR = re.compile("\x1b\\[[0-9;:]*m")
#: What a terminal obeys as it may stand in a line of JSON, raw in UTF-8 or escaped; an escape in
#: upper case or behind a second backslash counts too: this only says where to look closer.
_CONTROL_IN_JSON = re.compile(
    rb"\\[bfr]|\\u00[01]|\\u007[fF]|\\u00[89]|\\u061[cC]|\\u20[0-3]|\\u206|\\u[fF]{3}[eEfF]"
    rb"|\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
    rb"|\xef\xbf[\xbe\xbf]"
)


def printable(text: str) -> str:
    """The text with a picture in place of each control character but tab and newline: ``␛[2J``.

    A picture is as wide as a letter, so that tables stay straight; what has none is ``�``. What
    means something in Markdown, a spreadsheet or a page is dealt with there, on top of this.
    """
    if text.isprintable() and text.isascii():
        return text
    return CONTROL.sub(_picture, _COLOUR.sub("", text).replace("\r\n", "\n"))


def may_control(line: bytes) -> bool:
    """Whether a line of JSON may hold a text that :func:`printable` changes; never False where
    it does."""
    if line.isascii() and b"\\" not in line and b"\x7f" not in line:
        return False
    return _CONTROL_IN_JSON.search(line) is not None


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
