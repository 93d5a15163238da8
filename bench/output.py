"""Standard output whose reader may go away, as in ``trnbench export RUN --to csv | head -1``, may
know no letter beyond ASCII, or may be a file on a disk that is full; and messages, without which a
measurement goes on."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import UsageError

#: What stands for our own signs where they can't be written, a letter for a letter, so that tables
#: stay straight and fit.
_PLAIN = {
    "µ": "u",
    "±": "~",
    "–": "-",
    "×": "x",
    "✓": "+",
    "✗": "x",
    "·": ".",
    # The course of a case's times, low to high.
    **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True)),
}
#: What a shell gives a program that the signal SIGPIPE (13) ended, as it ends ``cat``.
READER_GONE = 128 + 13


class _Pipe(io.FileIO):
    """Ends the program at the first write that fails: without a word where nobody will read it,
    with a message where there is no room.

    Below the buffers, since click and rich each catch the error above them and leave with 1,
    which here means that a case failed.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            _go_nowhere(self)
            raise SystemExit(READER_GONE) from None
        except OSError as error:
            _go_nowhere(self)
            raise UsageError(
                f"standard output takes no more: {error.strerror or error}; what was written to "
                "it is incomplete. Make room, or send it elsewhere"
            ) from None


class _Aside(io.FileIO):
    """Progress and messages that can't be written are dropped: they are no part of a result, and a
    measurement of an hour doesn't end because nobody looks at it any more."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            _go_nowhere(self)
            return memoryview(data).nbytes


def _go_nowhere(stream: io.FileIO) -> None:
    """What is still buffered, and is flushed on the way out, fails no more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """What a terminal can't show, in the nearest letter that it can, or as its code."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    codes = (sign.encode("ascii", "backslashreplace").decode() for sign in lacking)
    return "".join(_PLAIN.get(sign, code) for sign, code in zip(lacking, codes, strict=True)), (
        error.end
    )


codecs.register_error("trnbench.plain", _plain)


@contextmanager
def until_the_reader_goes() -> Iterator[None]:
    """Within it, writing to ``sys.stdout`` leaves with ``READER_GONE`` where its reader went, and
    raises UsageError where it can't be written for another reason; ``sys.stderr`` drops what it
    can't write.

    Another stream in its place, such as a test's, stays as it is. SIGPIPE stays ignored, as
    Python has it: its default would end a run too at a worker that died.
    """
    out, aside = sys.stdout, sys.stderr
    if isinstance(out, io.TextIOWrapper) and out is sys.__stdout__:
        out.flush()
        sys.stdout = _over(out, _Pipe(out.fileno(), "wb", closefd=False))
    if isinstance(aside, io.TextIOWrapper) and aside is sys.__stderr__:
        sys.stderr = _over(aside, _Aside(aside.fileno(), "wb", closefd=False))
    try:
        yield
    finally:
        # Here, and not when the interpreter is gone: by then nobody can leave with a code.
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()


def _over(stream: io.TextIOWrapper, pipe: io.FileIO) -> io.TextIOWrapper:
    """A text stream like the one given, that writes to ``pipe``."""
    # With PYTHONUNBUFFERED there is no buffer.
    unbuffered = isinstance(stream.buffer, io.RawIOBase)
    return io.TextIOWrapper(
        pipe if unbuffered else io.BufferedWriter(pipe),
        encoding=stream.encoding,
        errors="trnbench.plain" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
