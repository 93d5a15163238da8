"""What a failure of a Neuron stack means, from its words: a table, in neuron_errors.toml.

There is no exception class for most of it: native errors are ``RuntimeError``, and the runtime
prints to standard error what its exceptions leave out. So text is all there is to go by.
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .protocol import KnownFailure

_TABLE = Path(__file__).with_name("neuron_errors.toml")

#: How the runtime and what is above it print a status code.
_FORMS = (
    r"\b{name}\b",
    r"\bNRT_[A-Z_]+ ?\({code}\)",
    r"\bnrt_\w+(?:\(\))?[^\n]{{0,40}}\bstatus ?[=:] ?{code}\b",
    r"\b(?:Inference completed with|Failed to load NN: \S+,) err: {code}\b",
    r"NRT E(?:XECUTION FAILED|xecution error occurred on Neuron)(?:.|\n)*?{words}",
)
#: The frames of a traceback: file names and source lines mention much that didn't happen.
_FRAME = re.compile(
    r'^[ |]*File "[^"\n]*", line \d+, in [^\n]*\n(?:[ |]*    [^\n]*(?:\n|$))*', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class _Row:
    """A pattern and what it gives away. A failure without a name is called what was matched."""

    pattern: re.Pattern[str]
    failure: KnownFailure


def explain(text: str) -> KnownFailure | None:
    """What an exception's text or a process's last words give away; ``None`` where they are no
    words of a Neuron stack that the table knows. The most specific row that matches wins."""
    said = _FRAME.sub("", text)
    for row in _read_table():
        found = row.pattern.search(said)
        if found is not None:
            known = row.failure
            name, line = known.name or found[0], _line_at(said, found.start())
            return KnownFailure(name, known.status, known.cause, known.mend, line)
    return None


def _line_at(text: str, position: int) -> str:
    """The line that holds this place: what matches over several lines begins there."""
    begin = text.rfind("\n", 0, position) + 1
    line, _, _ = text[begin:].partition("\n")
    return line.strip()


@functools.cache
def _read_table() -> tuple[_Row, ...]:
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    rows = [_row(one, one["pattern"]) for one in table["failure"]]
    rows += [_row(one, _pattern_of(one)) for one in table["status"]]
    rows += [_row(one, one["pattern"]) for one in table["general"]]
    return tuple(rows)


def _row(one: dict[str, Any], pattern: str) -> _Row:
    failure = KnownFailure(one.get("name", ""), one["status"], one["cause"], one["mend"])
    return _Row(re.compile(pattern), failure)


def _pattern_of(status: dict[str, Any]) -> str:
    values = {key: re.escape(str(status[key])) for key in ("name", "code", "words")}
    return "|".join(form.format(**values) for form in _FORMS)
