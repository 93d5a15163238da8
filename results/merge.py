"""Several files of records as one: the shards of a CI matrix, or runs to a data set.

The lines are copied as they stand, so that nothing is lost which a newer program wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from .lines import RecordError, StoreError, parse_object, raw_lines
from .origin import OriginError
from .printable import printable
from .record import Record
from .store import JOURNAL_SUFFIX, RECORDS_SUFFIX, RUN_ID, case_id
from .upgrades import tell_unknown, upgraded, validated

#: A file that is being written, beside the one that it becomes: ``trnbench clean`` knows it.
DRAFT_SUFFIX = ".draft"


@dataclass(slots=True)
class Merged:
    """What was written to ``path``. ``runs``: records of each; ``duplicates``: records that
    stood in several files, or twice in one, alike in every field, and were written once."""

    path: Path
    runs: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    notices: list[str] = field(default_factory=list)

    @property
    def records(self) -> int:
        return self.runs.total()


def merge(files: Sequence[Path], path: Path, *, force: bool = False) -> Merged:
    """Write the records of ``files`` to ``path``, in the order of the files and of their lines.

    The new file is there whole or not at all; one that is there already is replaced only with
    ``force``. Raises ``StoreError`` where it can't be written, where two records of one run and
    case differ, and where no record is left; ``OriginError`` where some are simulated and some
    are not; ``RecordError`` for a broken line.
    """
    _check_name(path, force=force)
    merged = Merged(path)
    with _draft(path, force=force) as stream:
        for line in _distinct(files, merged):
            stream.write(line)
        if not merged.runs:
            said = f" ({'; '.join(merged.notices)})" if merged.notices else ""
            raise StoreError(printable(f"no record in {len(files)} files{said}; nothing written"))
        if RUN_ID.fullmatch(path.stem) and set(merged.runs) != {path.stem}:
            raise StoreError(
                printable(
                    f"{path.name} is what run {path.stem} is called, and these are of "
                    f"{', '.join(list(merged.runs)[:3])}; give another name with -o"
                )
            )
    return merged


def _check_name(path: Path, *, force: bool) -> None:
    if path.suffix != RECORDS_SUFFIX:
        raise StoreError(
            printable(f"{path} given; wanted a name that ends in {RECORDS_SUFFIX}, as readers do")
        )
    if path.is_dir():
        raise StoreError(printable(f"{path} is a folder; wanted the name of a file"))
    if path.exists() and not force:
        raise _exists(path)


def _exists(path: Path) -> StoreError:
    return StoreError(printable(f"{path} exists; give another name, or replace it with --force"))


def _distinct(files: Sequence[Path], merged: Merged) -> Iterator[bytes]:
    """Every record's line once."""
    seen: dict[tuple[str, str], tuple[bytes, str]] = {}
    origins: dict[bool, str] = {}
    for file in files:
        for place, record, line in _records(file, merged.notices):
            simulated = record.origin == "simulated"
            origins.setdefault(simulated, place)
            if len(origins) > 1:
                raise OriginError(
                    printable(
                        f"simulated is {origins[True]}, and {origins[False]} is not: a stand-in's "
                        "figures share no file with a device's; merge them apart"
                    )
                )
            key = (record.run, case_id(record.case))
            digest = _digest(record, line)
            if key not in seen:
                seen[key] = (digest, place)
                merged.runs[record.run] += 1
                yield line
            elif seen[key][0] == digest:
                merged.duplicates += 1
            else:
                raise StoreError(
                    printable(
                        f"two records of one run and case differ: {seen[key][1]}, and {place} "
                        f"(run {record.run}, {record.case.workload} {record.case.configuration}); "
                        "a case is measured once in a run: leave one of the files out"
                    )
                )


def _records(file: Path, notices: list[str]) -> Iterator[tuple[str, Record, bytes]]:
    """Each record with where it stands, and its line with one end."""
    unknown: Counter[str] = Counter()
    journal = file.with_suffix(JOURNAL_SUFFIX)
    if RUN_ID.fullmatch(file.stem) and journal.exists():
        notices.append(printable(f"{file} is of an unfinished run; its journal isn't merged"))
    for number, line in raw_lines(file, notices):
        try:
            row = parse_object(line)
        except ValueError as error:
            raise RecordError(
                printable(
                    f"{file}: line {number}: no JSON object ({error}); see all that is wrong with "
                    f"it with: trnbench validate {file}"
                )
            ) from error
        record = validated(Record, upgraded(row, file, number), file, number, unknown)
        yield printable(f"{file}: line {number}"), record, line.strip() + b"\n"
    notices += [said.replace("left out what", "kept what") for said in tell_unknown(file, unknown)]


def _digest(record: Record, line: bytes) -> bytes:
    """Equal for equal records, however their JSON is spaced and ordered, and where a default
    is left out: 16 bytes stay of each, and not the record."""
    known = record.model_dump(mode="json")
    unknown = sorted(_unknown(parse_object(line), known))
    text = json.dumps([known, unknown], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _unknown(row: Any, known: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[Any, str]]:
    """Where a line has a field that this trnbench doesn't know, at any depth, and its JSON."""
    if isinstance(row, dict) and isinstance(known, dict):
        for name, value in row.items():
            place = (*path, name)
            if name in known:
                yield from _unknown(value, known[name], place)
            else:
                yield place, json.dumps(value, sort_keys=True)
    elif isinstance(row, list) and isinstance(known, list):
        for number, (value, own) in enumerate(zip(row, known, strict=False)):
            yield from _unknown(value, own, (*path, str(number)))


@contextmanager
def _draft(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its name when all is written and on the disk."""
    draft = path.with_name(f"{path.stem}.{secrets.token_hex(4)}{DRAFT_SUFFIX}")
    try:
        with draft.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if force:
            draft.replace(path)
        else:
            # Fails where the name was taken meanwhile; renaming would write over it.
            path.hardlink_to(draft)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise StoreError(printable(f"can't write {path}: {error.strerror}")) from error
    finally:
        draft.unlink(missing_ok=True)
