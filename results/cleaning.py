"""What in a folder of runs can go: journals that nobody goes on with, drafts and caches that a
killed program left, and runs beyond the newest of their label.

Only what is ours by its name and by what it holds is ever named, and only in the folder itself:
a link is no file of ours, and what it leads to isn't looked at. Ceilings stay: they are small,
and records name them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .lines import StoreError, open_file, open_locked, read_lines
from .merge import DRAFT_SUFFIX
from .printable import printable
from .store import JOURNAL_SUFFIX, RECORDS_SUFFIX, RUN_ID, RunFile

#: The compile caches of a run that was asked for fresh ones; a run that ends takes them away.
CACHE_SUFFIX = ".cache"
DEFAULT_DAYS = 14.0

_SECONDS_PER_DAY = 86400.0
_DRAFT = re.compile(rf"[^/]+\.[0-9a-f]{{8}}{re.escape(DRAFT_SUFFIX)}|ceiling-[0-9a-f]{{8}}\.draft")


@dataclass(frozen=True, slots=True)
class Removable:
    """A file, or a folder of compile caches, that can go; ``reason`` says why, in a phrase."""

    path: Path
    size_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What can go, in the order in which it should; ``notices`` about what looked like it and
    stays."""

    folder: Path
    removable: tuple[Removable, ...]
    notices: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self.removable)


def plan_cleaning(
    folder: Path, older_than_days: float = DEFAULT_DAYS, keep: int | None = None
) -> Plan:
    """Look through a folder; nothing is removed.

    A journal, a draft and a cache can go when nothing was written to them for
    ``older_than_days``; of each label's finished runs the newest ``keep`` stay, and all of them
    where it is None. An unfinished run keeps its records. Raises ``StoreError`` where the folder
    can't be read.
    """
    if older_than_days < 0 or (keep is not None and keep < 1):
        raise ValueError(f"{older_than_days} days and keep {keep} given; wanted >= 0 and >= 1")
    try:
        found = sorted(
            (entry for entry in os.scandir(folder) if not entry.is_symlink()),
            key=lambda entry: entry.name,
        )
        entries = {Path(entry.path): entry.stat(follow_symlinks=False) for entry in found}
    except OSError as error:
        raise StoreError(printable(f"can't read {folder}: {error.strerror}")) from error
    notices: list[str] = []
    removable = [
        *_left_behind(entries, time.time() - older_than_days * _SECONDS_PER_DAY, notices),
        *(_superseded(entries, keep, notices) if keep is not None else ()),
    ]
    return Plan(folder, tuple(removable), tuple(notices))


def carry_out(plan: Plan) -> tuple[int, list[str]]:
    """Remove what the plan names: the bytes freed, and a sentence about each that stays after
    all, since it was written to meanwhile or the system refuses."""
    freed = 0
    notices = []
    for one in plan.removable:
        try:
            _remove(one)
        except (OSError, StoreError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            notices.append(printable(f"{one.path} stays: {said}"))
        else:
            freed += one.size_bytes
    return freed, notices


def _left_behind(
    entries: dict[Path, os.stat_result], before: float, notices: list[str]
) -> Iterator[Removable]:
    """Journals, drafts and caches that nothing was written to since then."""
    for path, status in entries.items():
        if status.st_mtime > before:
            continue
        days = f"untouched for {(time.time() - status.st_mtime) / _SECONDS_PER_DAY:.0f} days"
        named = RUN_ID.fullmatch(path.stem) is not None
        if path.suffix == CACHE_SUFFIX and named and stat.S_ISDIR(status.st_mode):
            journal = entries.get(RunFile(path.stem, path.parent).journal_path)
            if journal is None or journal.st_mtime <= before:
                yield Removable(path, _tree_bytes(path), f"compile caches of a killed run, {days}")
        elif not stat.S_ISREG(status.st_mode):
            continue
        elif path.suffix == JOURNAL_SUFFIX and named:
            said = _journal_doubt(path)
            if said:
                notices.append(printable(f"{path} stays: {said}"))
            else:
                yield Removable(path, status.st_size, f"journal of an unfinished run, {days}")
        elif path.suffix == DRAFT_SUFFIX and _DRAFT.fullmatch(path.name) and _is_draft(path):
            yield Removable(path, status.st_size, f"draft that a killed program left, {days}")


def _superseded(
    entries: dict[Path, os.stat_result], keep: int, notices: list[str]
) -> Iterator[Removable]:
    """Finished runs that have ``keep`` newer ones of their label, oldest first."""
    by_label: defaultdict[str, list[Path]] = defaultdict(list)
    for path, status in entries.items():
        if path.suffix != RECORDS_SUFFIX or not stat.S_ISREG(status.st_mode):
            continue
        if not RUN_ID.fullmatch(path.stem) or path.with_suffix(JOURNAL_SUFFIX) in entries:
            continue
        label, said = _read_label(path)
        if said:
            notices.append(printable(f"{path} stays: {said}"))
        else:
            by_label[label].append(path)
    for label, paths in by_label.items():
        named = f"with label '{label}'" if label else "without a label"
        # Their names sort by time.
        for path in sorted(paths)[:-keep]:
            reason = printable(f"{keep} newer {'run' if keep == 1 else 'runs'} {named:.80}")
            yield Removable(path, entries[path].st_size, reason)


def _journal_doubt(path: Path) -> str:
    """Why a file with a journal's name isn't one, or is in use; "" where it can go."""
    wanted = json.dumps({"run": path.stem})[:-1].encode()
    try:
        with open_file(path) as stream:
            first = stream.read(len(wanted))
        # A program that was killed at once leaves a part of the first line, or nothing.
        if not wanted.startswith(first):
            return "its first line isn't that of this run's journal"
        open_locked(path).close()
    except (StoreError, OSError) as error:
        return str(error)
    return ""


def _read_label(path: Path) -> tuple[str, str]:
    """The label of a finished run, and why the file is none; "" where it is."""
    label: object = ""
    records = 0
    try:
        for number, row in read_lines(path, []):
            if row.get("run") != path.stem:
                return "", f"line {number} is no record of this run"
            if not records:
                label = row.get("label", "")
            records += 1
    except StoreError as error:
        return "", str(error)
    if not records:
        return "", "it holds no record"
    return (label, "") if isinstance(label, str) else ("", "its label is no text")


def _is_draft(path: Path) -> bool:
    """Whether it begins as a draft of ours does: with JSON, blanks that try the disk, or not."""
    try:
        with open_file(path) as stream:
            return stream.read(1) in {b"{", b" ", b""}
    except (StoreError, OSError):
        return False


def _tree_bytes(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder, followlinks=False):
        total += sum(os.lstat(Path(root, name)).st_size for name in names)
    return total


def _remove(one: Removable) -> None:
    path = one.path
    if path.suffix == CACHE_SUFFIX:
        # Refuses a link in the folder's place, and removes links in it without following them.
        shutil.rmtree(path)
    elif path.suffix == JOURNAL_SUFFIX:
        # Under the lock: nobody can take the run up in between.
        with open_locked(path):
            path.unlink()
    elif path.lstat().st_size != one.size_bytes:
        raise StoreError("it was written to meanwhile")
    else:
        path.unlink()
