"""Every mistake in a file of records or a journal: of its lines, of its schema, of its sense.

Loaders stop at the first mistake, since a figure read from a broken file is worse than none.
Here reading goes on to the end, and each mistake has its line and field.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from .consistency import inconsistencies, outcome_inconsistencies
from .lines import RecordError, field_problems, parse_object, raw_lines
from .printable import may_control, printable
from .record import SCHEMA_VERSION, CaseKey, Device, ProcessOutcome, Record
from .store import JOURNAL_SUFFIX, RUN_ID, RunHeader, case_id
from .upgrades import unknown_fields, upgraded, validated

#: Problems that are kept of one file; the others are counted.
MAX_PROBLEMS = 100
#: No sentence is longer, whatever stands in the file.
_MAX_SENTENCE = 500

Severity = Literal["error", "warning"]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: ``field`` is "" where the whole line is meant, ``line`` 0 for the file."""

    severity: Severity
    line: int
    field: str
    message: str


@dataclass(slots=True)
class Report:
    """What was found in one file. ``problems`` are the first of them, at most ``limit``;
    ``errors`` and ``warnings`` count all. The keys of ``runs`` are the runs of the records, in their
    order."""

    path: Path
    limit: int
    kind: Literal["records", "journal"] = "records"
    records: int = 0
    runs: dict[str, None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    errors: int = 0
    warnings: int = 0

    @property
    def valid(self) -> bool:
        return not self.errors

    def add(self, severity: Severity, line: int, field: str, message: str) -> None:
        if severity == "error":
            self.errors += 1
        else:
            self.warnings += 1
        if len(self.problems) < self.limit:
            sentence = printable(f"{message:.{_MAX_SENTENCE}}")
            self.problems.append(Problem(severity, line, printable(f"{field:.200}"), sentence))

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": printable(str(self.path)),
            "kind": self.kind,
            "valid": self.valid,
            "records": self.records,
            "runs": list(self.runs),
            "errors": self.errors,
            "warnings": self.warnings,
            "problems": [asdict(problem) for problem in self.problems],
        }


def validate(path: Path, limit: int = MAX_PROBLEMS) -> Report:
    """Read a file of records, or a journal (``.partial``), to its end.

    An error is what no loader takes, or what contradicts itself; a warning what they leave out
    or replace. Raises ``StoreError`` for a file that can't be read or is of another format.
    """
    report = Report(path, limit)
    if path.suffix == JOURNAL_SUFFIX:
        report.kind = "journal"
        _read_journal(report)
    else:
        _read_records(report)
    return report


def _read_records(report: Report) -> None:
    places: dict[tuple[str, str], int] = {}
    origins: Counter[str] = Counter()
    for number, row in _rows(report):
        record = _record(report, number, row)
        if record is None:
            continue
        report.records += 1
        origins[record.origin] += 1
        report.runs.setdefault(record.run)
        for where, said in inconsistencies(record):
            report.add("error", number, where, said)
        key = (record.run, case_id(record.case))
        if key in places:
            report.add(
                "error", number, "case", f"the same case of run {record.run} as in {places[key]}"
            )
        places.setdefault(key, number)
    if not report.records and not report.errors:
        report.add("error", 0, "", "no record in it; wanted one a line")
    if origins["simulated"] and origins.total() > origins["simulated"]:
        report.add(
            "error",
            0,
            "origin",
            f"{origins['simulated']} records are simulated and "
            f"{origins.total() - origins['simulated']} are not: they share no file",
        )
    stem = report.path.stem
    others = [run for run in report.runs if run != stem]
    if RUN_ID.fullmatch(stem) and others:
        report.add(
            "error", 0, "run", f"{', '.join(others[:3])} among them, and the file is of run {stem}"
        )


def _read_journal(report: Report) -> None:
    cases: set[str] | None = None
    for number, row in _rows(report):
        if cases is None:
            cases = _read_header(report, number, row)
            continue
        case = _part(report, number, row, "case", CaseKey)
        outcome = _part(report, number, row, "outcome", ProcessOutcome)
        if row.get("device") is not None:
            _part(report, number, row, "device", Device)
        if case is not None and cases and case_id(case) not in cases:
            report.add("error", number, "case", "none of those that the header names")
        if outcome is None:
            continue
        report.records += 1
        for where, said in outcome_inconsistencies(outcome, "outcome"):
            report.add("error", number, where, said)
    if cases is None:
        report.add("error", 0, "", "no header: the run was ended before it began")


def _read_header(report: Report, number: int, row: dict[str, Any]) -> set[str]:
    """The ids of the cases that the run was to measure."""
    run = row.get("run")
    if not isinstance(run, str):
        report.add("error", number, "run", "wanted the id of the run, a text")
    else:
        report.runs.setdefault(run)
        if run != report.path.stem:
            report.add(
                "error", number, "run", f"'{run:.60}', and the file is of run {report.path.stem}"
            )
    header = _part(report, number, row, "header", RunHeader)
    if header is None:
        return set()
    if header.schema_version != SCHEMA_VERSION:
        report.add(
            "error",
            number,
            "header.schema_version",
            f"{header.schema_version} given; this trnbench goes on with {SCHEMA_VERSION} only",
        )
    return {case_id(case) for case in header.cases}


def _rows(report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines that hold a JSON object; what is wrong with the others is added."""
    notices: list[str] = []
    try:
        for number, line in raw_lines(report.path, notices):
            try:
                row = parse_object(line)
            except ValueError as error:
                report.add("error", number, "", f"no JSON object: {error}")
                continue
            if may_control(line) and from_json(line) != row:
                report.add("warning", number, "", "holds control characters, which loaders replace")
            for name in _twice(line):
                report.add("warning", number, name, "there twice; the last one counts")
            yield number, row
    except RecordError as error:
        # A line that is too long: where the next one begins nobody knows.
        report.add("error", 0, "", str(error).removeprefix(f"{report.path}: "))
    for notice in notices:
        report.add("warning", 0, "", notice.removeprefix(f"{report.path}: "))


def _twice(line: bytes) -> list[str]:
    """The keys that an object of this line has more than once. The line is JSON."""
    found: dict[str, None] = {}

    def note(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            found.update(dict.fromkeys(name for name, n in Counter(names).items() if n > 1))

    json.loads(line, object_pairs_hook=note)
    return list(found)


def _record(report: Report, number: int, row: dict[str, Any]) -> Record | None:
    try:
        row = upgraded(row, report.path, number)
    except RecordError as error:
        said = str(error).removeprefix(f"{report.path}: line {number}: ")
        report.add("error", number, "schema_version", said)
        return None
    return _checked(report, number, row, Record)


def _part(
    report: Report, number: int, row: dict[str, Any], name: str, model: type[Model]
) -> Model | None:
    if name not in row:
        report.add("error", number, name, "missing: this is no line of a journal")
        return None
    return _checked(report, number, row[name], model, f"{name}.")


def _checked(
    report: Report, number: int, value: object, model: type[Model], prefix: str = ""
) -> Model | None:
    """The value as ``model`` has it, or None; each field that is wrong is added: an unknown one
    is a warning, since loaders leave it out."""
    try:
        return model.model_validate(value, strict=True)
    except ValidationError as error:
        unknown = {".".join(map(str, place)) for place in unknown_fields(error)}
        problems = field_problems(error)
        if not problems:
            report.add("error", number, "", f"{error.error_count()} fields are wrong: no record")
            return None
        for name, said in problems:
            if name in unknown:
                report.add("warning", number, prefix + name, "not in the schema; loaders ignore it")
            else:
                report.add("error", number, prefix + name, said)
        if len(unknown) < len(problems):
            return None
    return validated(model, value, report.path, number, Counter())
