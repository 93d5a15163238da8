"""A file to be imported: its text, read once, and JSON that holds nothing but finite figures."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..exports.escapes import one_line
from ..lines import StoreError

#: A million samples are 20 MB of JSON; parsed, a file takes some ten times its size.
LONGEST_BYTES = 64 * 2**20

#: How pickles and torch's zipped ones begin, gzip too.
_BINARY = (b"\x80", b"PK\x03\x04", b"\x1f\x8b")
_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(:)?|(-?(?:Infinity|NaN|\d[\d.eE+-]*))')
#: More digits than any count of anything.
_LONGEST_INTEGER = 30


@dataclass(frozen=True, slots=True)
class Given:
    """``name`` without folders; ``run``, the id that its records get; ``modified``, the time of
    the file in UTC, for those that hold no time."""

    path: Path
    name: str
    run: str
    text: str
    modified: str


class _UnfitTokenError(ValueError):
    """A figure that is none: NaN, infinity, or one with too many digits."""

    def __init__(self, token: str, wanted: str) -> None:
        super().__init__(token)
        self.token = token
        self.wanted = wanted


def read_given(path: Path, run: str = "") -> Given:
    """The text of a file. ``run`` is the run's id, by default the file's name without its end.

    Raises ``StoreError`` for what is no regular file, is longer than 64 MiB, or is no text: a
    pickle can run code when it is loaded, so none is.
    """
    try:
        # Asked before it is opened: opening a pipe waits for a writer.
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise StoreError(f"{path}: no regular file; wanted the results of a benchmark program")
        with path.open("rb") as stream:
            content = stream.read(LONGEST_BYTES + 1)
            facts = os.fstat(stream.fileno())
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error
    if len(content) > LONGEST_BYTES:
        raise StoreError(f"{path}: longer than {LONGEST_BYTES} bytes, which is the most")
    if content.startswith(_BINARY):
        raise StoreError(
            f"{path}: no text but a pickle or an archive, which is never loaded: it could run "
            "code; write the results as JSON (docs/exchange.md has the lines for "
            "torch.utils.benchmark)"
        )
    text = content.decode("utf-8-sig", errors="replace")
    modified = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat(timespec="seconds")
    return Given(path, one_line(path.name, 100), _run_id(run or path.stem), text, modified)


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises ``ValueError`` with line and field for NaN, infinity or an integer of over 30 digits,
    and for what is no JSON.
    """
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
            parse_int=_read_integer,
        )
    except _UnfitTokenError as error:
        raise ValueError(_where(text, error)) from error
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: no JSON: {error.msg}") from error
    except RecursionError as error:
        raise ValueError("no JSON that can be read: brackets within brackets, too deep") from error


def _refuse_constant(token: str) -> Any:
    raise _UnfitTokenError(token, "a finite number")


def _read_float(token: str) -> float:
    value = float(token)
    if not math.isfinite(value):
        raise _UnfitTokenError(token, "a finite number")
    return value


def _read_integer(token: str) -> int:
    if len(token) > _LONGEST_INTEGER:
        raise _UnfitTokenError(token, f"at most {_LONGEST_INTEGER} digits")
    return int(token)


def _where(text: str, unfit: _UnfitTokenError) -> str:
    """Line and field of the first such token; strings before it are well formed."""
    field, line = "", 1
    for match in _TOKEN.finditer(text):
        string, colon, token = match.groups()
        if colon:
            field = string
        elif token == unfit.token:
            line = text.count("\n", 0, match.start()) + 1
            break
    return (
        f"line {line}: field '{one_line(field, 60)}' is {one_line(unfit.token, 30)}; wanted "
        f"{unfit.wanted}"
    )


def _run_id(text: str) -> str:
    """A name that is no path and no option: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:100] or "imported"
