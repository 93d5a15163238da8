"""The store of runs: one append-only file of records a run, and a journal while it goes on.

- ``<run>.jsonl``: one finished record a line, written when a case's last process is done.
- ``<run>.partial``: the journal. Its first line is the header (what was asked for, and the
  environment); then one line for each case that a process is done with. It goes away when every
  case of the run has its record.

Each line is flushed and synchronised to the disk before the next measurement starts, so that a
parent that is killed loses nothing that was measured. A line torn by the kill is the last one
of its file: it is reported and skipped, and cut off when the run is taken up again.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from .lines import (
    RecordError,
    StoreError,
    append_line,
    mend_end,
    open_locked,
    read_lines,
    synchronise_folder,
    write_line,
)
from .record import SCHEMA_VERSION, CaseKey, Device, ProcessOutcome, Record
from .upgrades import tell_unknown, upgraded, validated

RECORDS_SUFFIX = ".jsonl"
JOURNAL_SUFFIX = ".partial"
#: What a run of ours is called: see :func:`new_run_id`. Nothing else is taken for one by name.
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")
GITIGNORE = "# Results of runs: large, and of one machine.\n*\n!.gitignore\n"


class RunHeader(BaseModel):
    """What a run was asked to do, and where: the first line of its journal.

    ``fingerprint`` holds what must not change when the run is taken up again; ``options`` what
    is needed to go on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    time: str
    label: str = ""
    fingerprint: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    cases: list[CaseKey]


@dataclass(frozen=True, slots=True)
class RunFile:
    """The two files of a run. The journal is there only while the run is unfinished."""

    run: str
    folder: Path

    @property
    def records_path(self) -> Path:
        return self.folder / f"{self.run}{RECORDS_SUFFIX}"

    @property
    def journal_path(self) -> Path:
        return self.folder / f"{self.run}{JOURNAL_SUFFIX}"


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal holds: ``outcomes`` by case id, the device that last answered for each
    backend, and ``notices`` about lines skipped."""

    run: str
    header: RunHeader
    outcomes: dict[str, list[ProcessOutcome]]
    devices: dict[str, Device]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRun:
    """The records of a file, in its order, and ``notices`` about what was not there or skipped."""

    path: Path
    records: tuple[Record, ...]
    notices: tuple[str, ...] = ()


def case_id(case: CaseKey) -> str:
    """The typed columns of a case as one text: equal for equal cases, whatever their order."""
    return json.dumps(case.model_dump(mode="json"), sort_keys=True)


def new_run_id(now: datetime | None = None) -> str:
    """A name that sorts by time: ``20261122T021733Z-4f2a9c``, in UTC."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


class RunWriter:
    """Writes one run. Made by :func:`create_run` or :func:`resume_run`; use as a context.

    Holds a lock on the journal for as long as it is open, so that two programs can't write one
    run; the lock of a program that was killed is gone with it.
    """

    def __init__(
        self, file: RunFile, header: RunHeader, locked: IO[str], recorded: Sequence[str] = ()
    ) -> None:
        self.file = file
        self.header = header
        self._cases = {case_id(case) for case in header.cases}
        self._recorded = set(recorded)
        self._journal = locked
        self._records = file.records_path.open("a", encoding="utf-8")

    @property
    def path(self) -> Path:
        return self.file.records_path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def journal(self, case: CaseKey, outcome: ProcessOutcome, device: Device | None = None) -> None:
        """Keep what one process found out about one case, and on which device. On the disk when
        this returns."""
        self._expect(case)
        entry = {
            "case": case.model_dump(mode="json"),
            "outcome": outcome.model_dump(mode="json"),
            "device": device.model_dump(mode="json") if device else None,
        }
        append_line(self._journal, json.dumps(entry))

    def append(self, record: Record) -> None:
        """Add a case's record. On the disk when this returns. Each case has exactly one."""
        self._expect(record.case)
        key = case_id(record.case)
        if key in self._recorded:
            raise ValueError(f"run {self.file.run} already has a record of {key}")
        if record.run != self.file.run:
            raise ValueError(f"a record of run '{record.run}' given to run '{self.file.run}'")
        append_line(self._records, record.model_dump_json())
        self._recorded.add(key)

    def missing(self) -> list[CaseKey]:
        """The cases of the run that have no record yet, in the order of the header."""
        return [case for case in self.header.cases if case_id(case) not in self._recorded]

    def finish(self) -> bool:
        """Close the run; its journal goes when every case has its record. Whether it went."""
        whole = not self.missing()
        if whole:
            # Unlinked under the lock: nobody can take the run up in between.
            self.file.journal_path.unlink(missing_ok=True)
        self.close()
        return whole

    def close(self) -> None:
        """Close the files; a journal that is still there lets the run be taken up again."""
        self._records.close()
        self._journal.close()

    def _expect(self, case: CaseKey) -> None:
        if case_id(case) not in self._cases:
            raise ValueError(f"{case_id(case)} is no case of run {self.file.run}")


def create_run(out: Path, run_id: str, header: RunHeader) -> RunWriter:
    """Start a run in the folder ``out``, which is made with a ``.gitignore`` if it isn't there.

    Raises ``StoreError`` where ``out`` is a file, or the run's files exist or can't be written.
    """
    file = RunFile(run_id, out)
    try:
        make_folder(out)
        first = {"run": run_id, "header": header.model_dump(mode="json")}
        # "x": a run never writes over another one. The records first: they outlive the journal.
        file.records_path.open("x", encoding="utf-8").close()
        with file.journal_path.open("x", encoding="utf-8") as stream:
            write_line(stream, json.dumps(first))
        synchronise_folder(out)
    except FileExistsError as error:
        if not out.is_dir():
            raise StoreError(
                f"{out} is a file, a folder wanted; choose another with --bench-out"
            ) from error
        raise StoreError(
            f"run '{run_id}' exists in {out}; take it up with --bench-resume {run_id}, or choose "
            "another folder with --bench-out"
        ) from error
    except OSError as error:
        raise StoreError(
            f"can't write to the folder {out} ({error.strerror}); give one that can be written "
            "with --bench-out"
        ) from error
    return RunWriter(file, header, open_locked(file.journal_path))


def resume_run(file: RunFile) -> tuple[RunWriter, Journal, StoredRun]:
    """Take an unfinished run up again: a writer at the end of its files, and what they hold.

    The cases in the records are done; the outcomes in the journal needn't be measured again.
    A torn last line is cut off both files and reported in their notices. Raises ``StoreError``
    where another program is still writing the run.
    """
    locked = open_locked(file.journal_path)
    try:
        journal = read_journal(file.journal_path)
        records = StoredRun(file.records_path, ())
        if file.records_path.exists():
            records = read_records(file.records_path)
            mend_end(file.records_path)
        mend_end(file.journal_path)
    except BaseException:
        locked.close()
        raise
    recorded = [case_id(record.case) for record in records.records]
    return RunWriter(file, journal.header, locked, recorded), journal, records


def find_run(out: Path, name: str = "", role: str | None = None) -> RunFile:
    """An unfinished run: the newest in ``out`` for "" (with ``role``, of those that were started
    for it), else by its id, a part of the id's beginning that only it has, or the path of one of
    its files."""
    if name.endswith((RECORDS_SUFFIX, JOURNAL_SUFFIX)):
        path = Path(name)
        file = RunFile(path.stem, path.parent)
        if not file.journal_path.exists():
            raise StoreError(_no_journal(file))
        return file
    unfinished = sorted(path.stem for path in out.glob(f"*{JOURNAL_SUFFIX}"))
    if not name:
        for run in reversed(unfinished):
            file = RunFile(run, out)
            if role is None or read_journal(file.journal_path).header.options.get("role") == role:
                return file
        raise StoreError(f"no unfinished run in {out}; start one without --bench-resume")
    matches = [run for run in unfinished if run == name] or [
        run for run in unfinished if run.startswith(name)
    ]
    if len(matches) == 1:
        return RunFile(matches[0], out)
    if matches:
        raise StoreError(f"'{name}' begins several unfinished runs: {', '.join(matches)}")
    if RunFile(name, out).records_path.exists():
        raise StoreError(_no_journal(RunFile(name, out)))
    known = ", ".join(unfinished) or "none"
    raise StoreError(f"no unfinished run '{name}' in {out}; unfinished there: {known}")


def read_journal(path: Path) -> Journal:
    """What a journal holds; a torn last line is skipped with a notice.

    Raises ``RecordError`` for a line that is torn anywhere else, or holds something else.
    """
    notices: list[str] = []
    unknown: Counter[str] = Counter()
    rows = list(read_lines(path, notices))
    if not rows:
        raise RecordError(f"{path}: line 1: no header: the run was ended before it began")
    first_line, first = rows[0]
    header = read_header(first, path, first_line, unknown)
    outcomes: dict[str, list[ProcessOutcome]] = {case_id(case): [] for case in header.cases}
    devices: dict[str, Device] = {}
    for number, row in rows[1:]:
        case, outcome, device = read_entry(row, path, number, unknown)
        if device is not None:
            devices[case.backend] = device
        outcomes.setdefault(case_id(case), []).append(outcome)
    notices += tell_unknown(path, unknown)
    return Journal(first["run"], header, outcomes, devices, tuple(notices))


def read_header(row: dict[str, Any], path: Path, line: int, unknown: Counter[str]) -> RunHeader:
    """A journal's first line. Raises ``RecordError`` where it is none, or of another schema."""
    for name in ("header", "run"):
        if name not in row:
            raise RecordError(f"{path}: line {line}: '{name}' is missing: this is no journal")
    if not isinstance(row["run"], str):
        raise RecordError(f"{path}: line {line}: field 'run': wanted the id of the run, a text")
    header = validated(RunHeader, row["header"], path, line, unknown)
    if header.schema_version != SCHEMA_VERSION:
        raise RecordError(
            f"{path}: line {line}: field 'header.schema_version': {header.schema_version} given; "
            f"this trnbench has {SCHEMA_VERSION}: go on with the release that began the run"
        )
    return header


def read_entry(
    row: dict[str, Any], path: Path, line: int, unknown: Counter[str]
) -> tuple[CaseKey, ProcessOutcome, Device | None]:
    """Any other line of a journal. Raises ``RecordError`` where it is none."""
    for name in ("case", "outcome"):
        if name not in row:
            raise RecordError(f"{path}: line {line}: '{name}' is missing")
    device = row.get("device")
    return (
        validated(CaseKey, row["case"], path, line, unknown),
        validated(ProcessOutcome, row["outcome"], path, line, unknown),
        None if device is None else validated(Device, device, path, line, unknown),
    )


def read_records(path: Path) -> StoredRun:
    """The records of a file; a torn last line is skipped with a notice.

    Records of older schemas are upgraded; fields that this trnbench doesn't know are left out
    with a notice. Raises ``RecordError``, naming file, line and field, for a line that is no
    record of a schema known here.
    """
    notices: list[str] = []
    unknown: Counter[str] = Counter()
    records = [
        validated(Record, upgraded(row, path, number), path, number, unknown)
        for number, row in read_lines(path, notices)
    ]
    notices += tell_unknown(path, unknown)
    return StoredRun(path, tuple(records), tuple(notices))


def make_folder(out: Path) -> None:
    """Make a folder of runs, with a ``.gitignore``, where it isn't there. Raises ``OSError``."""
    if out.is_dir():
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / ".gitignore").write_text(GITIGNORE, encoding="utf-8")


def _no_journal(file: RunFile) -> str:
    return (
        f"run '{file.run}' in {file.folder} is finished: it has no {file.journal_path.name}; "
        f"see it with: trnbench show {file.records_path}"
    )
