"""Finding a stored run by what a person calls it: a file, a folder, a run id or a label."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from .lines import StoreError, read_lines
from .parquet import PARQUET_SUFFIX
from .printable import printable
from .store import (
    JOURNAL_SUFFIX,
    RECORDS_SUFFIX,
    RUN_ID,
    RunFile,
    StoredRun,
    read_journal,
    read_records,
)

DEFAULT_FOLDER = Path("results") / "runs"

#: Nobody types a longer one, and comparing it with what was typed would take long.
_LONGEST_LABEL = 1000


def read_run(name: str | Path = "", folder: Path = DEFAULT_FOLDER) -> StoredRun:
    """The records of one run.

    ``name`` is a file, or a folder (its newest run), or the id of a run in ``folder``, or a label
    (the newest run there that has it), or the beginning of an id; "" is the newest run in
    ``folder``. An unfinished run gives the records that it has so far, and a notice.

    Raises ``StoreError`` naming what there is, and ``RecordError`` for a file that is broken.
    """
    path = find_records(name, folder)
    run = read_records(path)
    notices = list(run.notices)
    if notice := unfinished(path, len(run.records)):
        notices.append(notice)
    elif not run.records:
        said = f" ({'; '.join(notices)})" if notices else ""
        raise StoreError(f"{path} holds no record{said}; give the file of a run that has some")
    return StoredRun(path, run.records, tuple(notices))


def unfinished(path: Path, records: int) -> str:
    """What to know of a file that holds so many records of a run that is unfinished; "" where it
    ended."""
    file = RunFile(path.stem, path.parent)
    if not file.journal_path.exists():
        return ""
    try:
        journal = read_journal(file.journal_path)
    except StoreError as error:
        # The records that a file holds are whole, whatever became of what was to follow.
        return f"run {file.run} is unfinished, and its journal can't be read: {error}"
    cases, kept = len(journal.header.cases), sum(map(len, journal.outcomes.values()))
    said = "1 measurement is" if kept == 1 else f"{kept} measurements are"
    measured = f", and {said} kept" if kept else ""
    return (
        f"run {file.run} is unfinished: {records} of {cases} cases have a record{measured}; go on "
        f"with --bench-resume {file.run}"
    )


def stored_runs(folder: Path) -> list[Path]:
    """The files of records in a folder, oldest first.

    Files that no run of ours is called, such as merged ones, come before all runs: nothing in
    their names says when they were measured.
    """
    try:
        found = [path for path in folder.glob(f"*{RECORDS_SUFFIX}") if path.is_file()]
    except OSError as error:
        raise StoreError(printable(f"can't read {folder}: {error.strerror}")) from error
    return sorted(found, key=lambda path: (RUN_ID.fullmatch(path.stem) is not None, path))


def find_records(name: str | Path, folder: Path = DEFAULT_FOLDER) -> Path:
    """The file of records that ``name`` means: see :func:`read_run`."""
    name = str(name)
    path = Path(name) if name else folder
    if path.suffix == JOURNAL_SUFFIX:
        path = path.with_suffix(RECORDS_SUFFIX)
    if _is(Path.is_file, path):
        return path
    if _is(Path.is_dir, path):
        runs = stored_runs(path)
        if not runs:
            raise StoreError(printable(f"no runs in {path}; make one with: pytest --benchmark"))
        return runs[-1]
    if _is(Path.exists, path):
        raise StoreError(printable(f"{path} is neither a file nor a folder; wanted one of them"))
    runs = stored_runs(folder)
    exact = [run for run in runs if run.stem == name]
    if exact:
        return exact[0]
    labels = {label: run for run in runs if (label := _label(run))}
    if name in labels:
        return labels[name]
    matches = [run for run in runs if run.stem.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise StoreError(
            printable(f"'{name}' begins several runs: {', '.join(run.stem for run in matches)}")
        )
    raise StoreError(printable(_unknown(name, folder, [run.stem for run in runs], list(labels))))


def find_all_records(name: str | Path, folder: Path = DEFAULT_FOLDER) -> list[Path]:
    """All files of records that ``name`` means, oldest first: those of a folder, all runs in
    ``folder`` that have a label, or one file. Raises as :func:`read_run` does."""
    path = Path(name) if str(name) else folder
    if _is(Path.is_dir, path):
        find_records(path, folder)
        return stored_runs(path)
    if not _is(Path.exists, path):
        labelled = [run for run in stored_runs(folder) if _label(run) == str(name)]
        if labelled:
            return labelled
    return [find_records(name, folder)]


def find_history_files(name: str | Path, folder: Path = DEFAULT_FOLDER) -> list[Path]:
    """All files of a history: the runs of a folder, and the Parquet files in it; else as
    :func:`find_all_records`. Raises ``StoreError`` naming what there is."""
    path = Path(name) if str(name) else folder
    if not _is(Path.is_dir, path):
        return find_all_records(name, folder)
    try:
        tables = sorted(one for one in path.glob(f"*{PARQUET_SUFFIX}") if one.is_file())
    except OSError as error:
        raise StoreError(printable(f"can't read {path}: {error.strerror}")) from error
    return [*tables, *stored_runs(path)] if tables else find_all_records(name, folder)


def _is(kind: Callable[[Path], bool], path: Path) -> bool:
    """Whether a path is of this kind; a name that no system takes is of none."""
    try:
        return kind(path)
    except OSError:
        return False


def _label(path: Path) -> str:
    """The label of a run, from its first record; "" where it has none, or can't be read: looking
    for one run mustn't fail at another."""
    try:
        _, row = next(read_lines(path, []), (0, {}))
    except StoreError:
        return ""
    label = row.get("label", "")
    return label if isinstance(label, str) and len(label) <= _LONGEST_LABEL else ""


def _unknown(name: str, folder: Path, runs: list[str], labels: list[str]) -> str:
    if not runs:
        other = f"no file or folder '{name}', and " if name else ""
        return (
            f"{other}no runs in {folder}; make one with: pytest --benchmark, or give the path of a "
            ".jsonl file"
        )
    known = f"runs in {folder}: {', '.join(runs[-5:])}"
    if len(runs) > 5:
        known += f" and {len(runs) - 5} older"
    if labels:
        known += f"; labels: {', '.join(labels[-5:])}"
    close = difflib.get_close_matches(name, [*runs, *labels], n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"no file, folder, run or label '{name}'; {known}.{hint}"
