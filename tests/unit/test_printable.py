"""Texts of strangers made fit for a terminal, and on top of that for a page."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trnbench.results.page.text import clean
from trnbench.results.printable import may_control, printable

TEXTS = st.text(st.one_of(st.characters(codec=None), st.characters(codec=None, max_codepoint=0x9F)))
#: Control, format that turns the order of letters around, surrogate, separator of lines.
OBEYED = {
    *(chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cs")),
    *(chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Zl", "Zp")),
    *(
        "\u061c",
        "\u200e",
        "\u200f",
        *map(chr, range(0x202A, 0x202F)),
        *map(chr, range(0x2066, 0x206A)),
    ),
    *("\ufffe", "\uffff"),
} - {"\t", "\n"}


@given(text=TEXTS)
@example("".join(sorted(OBEYED)))
def test_nothing_is_left_that_a_terminal_obeys(text):
    said = printable(text)

    assert not set(said) & OBEYED
    assert printable(said) == said
    said.encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "plain"),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("\x1b[2J", "\u241b[2J"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x7f\x9b\u202e\ud800\uffff", "\u2421\ufffd\ufffd\ufffd\ufffd"),
        ("é 漢 \U0001f600 e\u0301 \u200d", "é 漢 \U0001f600 e\u0301 \u200d"),
    ],
)
def test_a_sign_is_replaced_and_the_rest_stays(text, said):
    assert printable(text) == said


@given(text=st.text(), ascii_only=st.booleans())
@example(text="\ufffe", ascii_only=True)
@example(text="\uffff", ascii_only=False)
def test_a_line_of_json_that_is_passed_over_holds_nothing_to_replace(text, ascii_only):
    line = json.dumps(text, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    assert may_control(line) or printable(text) == text or max(text) >= "\ud800"


@given(text=TEXTS)
@example("a\u200bb\ufeff\x1b[2J")
def test_a_page_shows_what_a_terminal_does_and_what_takes_no_room(text):
    hidden = {*map(chr, [0x200B, *range(0x2060, 0x2066), *range(0x206A, 0x2070), 0xFEFF])}

    wanted = "".join("\ufffd" if sign in hidden else sign for sign in printable(text))

    assert clean(text) == wanted
