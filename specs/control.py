"""What a terminal obeys, in a text that somebody else wrote."""

from __future__ import annotations

import re

#: C0 but tab and newline, DEL, C1, marks and overrides of direction, the line and paragraph
#: separators, halves of surrogate pairs, which no encoding can write, and two code points that are
#: no characters, which no XML may hold (XML 1.0, section 2.2).
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufffe\uffff]"
)
