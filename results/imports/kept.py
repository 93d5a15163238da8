"""What a record keeps of the entry that it was made from, so that it can be given back.

A record's own fields hold what was measured in our terms. Statistics that another program made
by rules of its own (its quartiles, its outliers) stand in ``notes``, as that program wrote them.
"""

from __future__ import annotations

import json
from typing import Any

from ..printable import printable

_MARK = "as written by "

#: More than the statistics and parameters of an entry need; the samples are fields of the record.
LONGEST_NOTE = 100_000


def keep_entry(program: str, entry: dict[str, Any]) -> str:
    """The note of a record, without control characters. Raises ``ValueError`` for an entry that
    is longer than any should be."""
    note = f"{_MARK}{program}: {json.dumps(_plain(entry), sort_keys=True, allow_nan=False)}"
    if len(note) > LONGEST_NOTE:
        raise ValueError(
            f"{len(note)} characters beside its samples; wanted at most {LONGEST_NOTE}"
        )
    return note


def kept_entry(note: str, program: str) -> dict[str, Any] | None:
    """The entry that a note holds, or None where it holds none of this program."""
    start = f"{_MARK}{program}: "
    if not note.startswith(start):
        return None
    try:
        entry = json.loads(note[len(start) :])
    except (ValueError, RecursionError):
        # Somebody edited the note: then it is a remark, and the record stands for itself.
        return None
    return entry if isinstance(entry, dict) else None


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
