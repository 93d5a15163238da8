"""Files of JSON lines that outlive the program that writes them.

Each line is flushed and synchronised to the disk before the call returns. A program that is
killed while it writes leaves a torn last line, without an end of line: readers report it and
leave it out, and it is cut off before the next line is written.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError
from pydantic_core import from_json

if sys.platform != "win32":
    import fcntl


class StoreError(Exception):
    """A run or a file of runs that can't be used: what was given, what was wanted, the mend."""


class RecordError(StoreError):
    """A line that is no record: names the file, the line and the field."""


def append_line(stream: IO[str], line: str) -> None:
    """Add a line to a run's file; it is on the disk when this returns.

    Raises ``StoreError`` where it can't be written: the disk is full, or gone.
    """
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
    content = path.read_bytes()
    cut = content.rfind(b"\n") + 1
    tail = content[cut:]
    if not tail:
        return
    with path.open("r+b") as stream:
        if parse_line(tail) is None:
            stream.truncate(cut)
        else:
            stream.seek(0, os.SEEK_END)
            stream.write(b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_lines(path: Path, notices: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file, one after another, with their line numbers.

    A torn last line is left out, and a sentence about it added to ``notices``. Raises
    ``RecordError`` for any other line that is no JSON object, and ``StoreError`` for a file that
    can't be read.
    """
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                row = parse_line(line)
                if row is not None:
                    yield number, row
                elif line.endswith(b"\n"):
                    raise RecordError(
                        f"{path}: line {number}: no JSON object; wanted one record a line: was "
                        "the file edited, or joined with another?"
                    )
                else:
                    # No end of line: the program was killed while it wrote this one.
                    notices.append(f"{path}: line {number} is torn ({len(line)} bytes): left out")
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line, or None where it holds none."""
    try:
        # pydantic's parser: twice as fast as json's on lines that are mostly samples.
        row = from_json(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def describe(path: Path, line: int, error: ValidationError) -> str:
    """File, line, and each field that is wrong, with what was given (three at most)."""
    parts = []
    for problem in error.errors()[:3]:
        field = ".".join(str(part) for part in problem["loc"])
        given = "" if problem["type"] == "missing" else f" ({problem['input']!r:.60} given)"
        parts.append(f"field '{field}': {problem['msg']}{given}")
    more = f"; and {error.error_count() - 3} more" if error.error_count() > 3 else ""
    return f"{path}: line {line}: {'; '.join(parts)}{more}"
