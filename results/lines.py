"""Files of JSON lines that outlive the program that writes them.

Each line is flushed and synchronised to the disk before the call returns. A program that is
killed while it writes leaves a torn last line, without an end of line: readers report it and
leave it out, and it is cut off before the next line is written.

A file that is read may come from anybody. Reading it holds one line at a time, of a bounded
length; a line is one JSON object whose figures fit 64 bits and whose texts hold nothing that a
terminal obeys (see ``printable``), and anything else is an error that names file, line and place.
"""

from __future__ import annotations

import os
import re
import reprlib
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from pydantic import ValidationError
from pydantic_core import from_json

from .printable import may_control, printable

if sys.platform != "win32":
    import fcntl

#: A record is 5 to 30 kB, and one of 20 processes that sampled for 10 s each some 20 MB.
MAX_LINE_BYTES = 64 * 2**20
#: Of lines of two kilobytes, thirty are read at a time.
_BUFFER_BYTES = 64 * 2**10
#: Beyond these a line is no record with a slip in it, and a list of them would fill the memory.
_MAX_ERRORS = 10_000
#: Every digit as 0 and E as e, so that a plain search finds what a pattern would take ten times
#: as long for.
_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
#: An integer of 19 digits may be beyond 64 bits.
_LONG = b"0" * 19
_EXPONENTS = (b"0e000", b"0e+000")
_BEFORE_NUMBERS = b":,[- \t\r"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
#: How files begin that are something else.
_OTHER_FORMATS = (
    (b"PAR1", "Parquet, which has columns and no samples; give the .jsonl that it was made of"),
    (b"\x1f\x8b", "compressed; unpack it with gunzip first"),
    (b"\xff\xfe", "UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16; save it as UTF-8"),
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StoreError(Exception):
    """A run or a file of runs that can't be used: what was given, what was wanted, the mend."""


class RecordError(StoreError):
    """A line that is no record: names the file, the line and the field."""


def append_line(stream: IO[str], line: str) -> None:
    """Add a line to a run's file; it is on the disk when this returns.

    Raises ``StoreError`` where it can't be written: the disk is full, or gone; or the line is
    longer than readers take.
    """
    if len(line) >= MAX_LINE_BYTES:
        raise StoreError(
            f"{len(line)} bytes to write to {stream.name} in one line; wanted less than "
            f"{MAX_LINE_BYTES}: a case has too many samples; lower --bench-budget or "
            "--bench-processes"
        )
    try:
        write_line(stream, line)
    except OSError as error:
        raise StoreError(
            f"can't write to {stream.name} ({error.strerror}); what was measured before is in the "
            "run's journal: make room, or mend the disk, and go on with --bench-resume "
            f"{Path(stream.name).stem}"
        ) from error


def write_line(stream: IO[str], line: str) -> None:
    """Add a line; it is on the disk when this returns. Raises ``OSError``."""
    # Past the stream's buffer: what doesn't fit on the disk would be kept there, and fail once
    # more when the stream is closed, in place of the first error.
    rest = memoryview(f"{line}\n".encode())
    while rest:
        rest = rest[os.write(stream.fileno(), rest) :]
    os.fsync(stream.fileno())


def synchronise_folder(folder: Path) -> None:
    """Make new names in a folder last, not only what the files hold."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_locked(path: Path) -> IO[str]:
    """Open for appending, alone: raises ``StoreError`` where another program holds the lock."""
    stream = path.open("a", encoding="utf-8")
    if sys.platform != "win32":
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            stream.close()
            raise StoreError(
                f"run '{path.stem}' is being written by another program; wait for its end, or "
                "end it first"
            ) from error
    return stream


def mend_end(path: Path) -> None:
    """Cut a torn last line off, or give a whole one that lacks it its end of line."""
    with path.open("r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        start = stream.seek(max(0, end - MAX_LINE_BYTES - 1))
        content = stream.read()
        cut = content.rfind(b"\n") + 1
        tail = content[cut:]
        if not tail:
            return
        if parse_line(tail) is None:
            stream.truncate(start + cut)
        else:
            stream.seek(0, os.SEEK_END)
            stream.write(b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def open_file(path: Path) -> BinaryIO:
    """A file opened for reading. Raises ``StoreError`` for one that isn't there or can't be read,
    and for what is no file: a pipe would be waited for, and a device never ends."""
    try:
        # Without waiting: opening a pipe returns only when somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(descriptor, "rb", buffering=_BUFFER_BYTES)
        os.close(descriptor)
    except (OSError, ValueError) as error:
        # ValueError: a name with a zero in it, which no system takes.
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreError(printable(f"can't read {path}: {said}")) from error
    kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "no file")
    raise StoreError(printable(f"can't read {path}: {kind} given; wanted a file of records"))


def raw_lines(path: Path, notices: list[str]) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that aren't blank, as they stand, with their numbers.

    A torn last line is left out, and a sentence about it added to ``notices``. No more than
    ``MAX_LINE_BYTES`` and one are read at a time: raises ``RecordError`` for a longer line, and
    ``StoreError`` for a file that can't be read or is of another format.
    """
    try:
        with open_file(path) as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if number == 1:
                    line = _beginning(path, line)
                if len(line) > MAX_LINE_BYTES:
                    raise RecordError(
                        printable(
                            f"{path}: line {number}: longer than {MAX_LINE_BYTES >> 20} MiB; "
                            "wanted one record a line: is this a file of records?"
                        )
                    )
                if not line.strip():
                    continue
                if not line.endswith(b"\n") and parse_line(line) is None:
                    # No end of line: the program was killed while it wrote this one.
                    notices.append(
                        printable(f"{path}: line {number} is torn ({len(line)} bytes): left out")
                    )
                    continue
                yield number, line
    except OSError as error:
        raise StoreError(printable(f"can't read {path}: {error.strerror}")) from error


def read_lines(path: Path, notices: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one after another, with their line numbers.

    A torn last line is left out, and a sentence about it added to ``notices``. Raises
    ``RecordError`` for any other line that is no JSON object, and ``StoreError`` for a file that
    can't be read.
    """
    for number, line in raw_lines(path, notices):
        try:
            yield number, parse_object(line)
        except ValueError as error:
            raise RecordError(
                printable(
                    f"{path}: line {number}: no JSON object ({error}); wanted one record a line: "
                    "was the file edited, or joined with another?"
                )
            ) from error


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line, or None where it holds none."""
    try:
        return parse_object(line)
    except ValueError:
        return None


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object of a line, its texts made :func:`printable`.

    Raises ``ValueError`` with what is wrong and where: no JSON, no object, NaN or infinity,
    brackets 200 deep, a number that 64 bits don't hold. Of a key that is there twice the last
    counts, as in every reader here; ``trnbench validate`` reports it.
    """
    try:
        # pydantic's parser: twice as fast as json's on lines that are mostly samples, and it
        # gives up at 200 brackets where json runs out of stack.
        row = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        # It counts lines within this one.
        raise ValueError(re.sub(r"line \d+ column", "column", str(error))) from error
    if not isinstance(row, dict):
        raise ValueError(f"{_shorten(row)} stands there")  # noqa: TRY004 - the file's mistake
    return row if is_plain(line) else {printable(k): _tame(v, k) for k, v in row.items()}


def read_params(text: str) -> dict[str, Any]:
    """The parameters of a case from their column, which a table of somebody else has as it likes.
    Raises ``StoreError``."""
    try:
        return parse_object(text.encode())
    except ValueError as error:
        said = f"column 'params' holds {_shorten(text)}: {error}; wanted a JSON object"
        raise StoreError(printable(said)) from error


def is_plain(line: bytes) -> bool:
    """Whether a line is for certain free of what :func:`parse_object` refuses or replaces though
    other parsers take it: numbers beyond 64 bits and control characters."""
    if may_control(line):
        return False
    alike = line.translate(_DIGITS_ALIKE)
    # The digits of a fraction may be many: behind a point they stand for nothing large.
    if any(alike[at - 1 : at] != b"." for at in _places(alike, _LONG)):
        return False
    return not any(
        # Not within a text, such as the hash that stands in every record.
        alike[max(0, at - 32) : at + 1].rstrip(b"0.")[-1:] in _BEFORE_NUMBERS
        for exponent in _EXPONENTS
        for at in _places(alike, exponent)
    )


def describe(path: Path, line: int, error: ValidationError) -> str:
    """File, line, and each field that is wrong, with what was given (three at most)."""
    where = f"{path}: line {line}: "
    problems = field_problems(error)
    if not problems:
        return printable(f"{where}{error.error_count()} fields are wrong: this is no record")
    said = [f"field '{field}': {problem}" for field, problem in problems[:3]]
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return printable(f"{where}{'; '.join(said)}{more}")


def field_problems(error: ValidationError) -> list[tuple[str, str]]:
    """(field, what is wrong with it and what was given) for each; none where they are more than
    a list of them is good for."""
    if error.error_count() > _MAX_ERRORS:
        return []
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        field = ".".join(str(part) for part in problem["loc"])
        given = "" if problem["type"] == "missing" else f" ({_shorten(problem['input'])} given)"
        found.append((printable(field), printable(f"{problem['msg']}{given}")))
    return found


def _places(line: bytes, part: bytes) -> Iterator[int]:
    at = line.find(part)
    while at >= 0:
        yield at
        at = line.find(part, at + len(part))


def _beginning(path: Path, line: bytes) -> bytes:
    """The first line without the mark that some editors put before it."""
    for mark, said in _OTHER_FORMATS:
        if line.startswith(mark):
            raise StoreError(printable(f"{path} is {said}"))
    return line.removeprefix(_BYTE_ORDER_MARK)


def _tame(value: Any, field: str) -> Any:
    """A value with its texts printable. Raises ``ValueError`` for a number beyond 64 bits."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _tame(inner, f"{field}.{key}") for key, inner in value.items()}
    if isinstance(value, list):
        return [_tame(inner, f"{field}.{place}") for place, inner in enumerate(value)]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"field '{field}' is an integer beyond 64 bits")
    if isinstance(value, float) and value - value != 0:
        raise ValueError(f"field '{field}' is a number beyond 1.8e308")
    return value


def _shorten(value: Any) -> str:
    """The value as text, cut before it is long and not after."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxdict = short.maxlist = 3
    return f"{short.repr(value):.60}"
