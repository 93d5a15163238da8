"""The programs by name, and which of them wrote a file."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..exports.escapes import one_line
from ..lines import RecordError, StoreError, parse_object
from ..printable import printable
from ..record import CaseKey, Record
from ..store import RECORDS_SUFFIX, case_id
from . import (
    nccl_tests,
    nccom_test,
    neuronperf,
    published_table,
    pytest_benchmark,
    torch_benchmark,
)
from .given import Given, read_given


@dataclass(frozen=True, slots=True)
class Format:
    """A program: whether a text looks like its output, and the records of that output."""

    name: str
    about: str
    is_of: Callable[[Given], bool]
    read: Callable[[Given], list[Record]]


@dataclass(frozen=True, slots=True)
class Imported:
    """The records of a file, the format that it was read as, and notices about it."""

    records: tuple[Record, ...]
    form: str
    notices: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(
            "pytest-benchmark",
            "what --benchmark-json or --benchmark-save wrote",
            pytest_benchmark.is_pytest_benchmark,
            pytest_benchmark.read_pytest_benchmark,
        ),
        Format(
            "torch-benchmark",
            "Measurements of torch.utils.benchmark, as JSON",
            torch_benchmark.is_torch_benchmark,
            torch_benchmark.read_torch_benchmark,
        ),
        Format(
            "neuronperf",
            "reports of NeuronPerf, JSON or CSV",
            neuronperf.is_neuronperf,
            neuronperf.read_neuronperf,
        ),
        Format(
            "nccl-tests",
            "the output of all_reduce_perf and its siblings, or their JSON",
            nccl_tests.is_nccl_tests,
            nccl_tests.read_nccl_tests,
        ),
        Format(
            "nccom-test",
            "the output of nccom-test, or its JSON",
            nccom_test.is_nccom_test,
            nccom_test.read_nccom_test,
        ),
        Format(
            "published",
            "a CSV table of published measurements",
            published_table.is_published_table,
            published_table.read_published_table,
        ),
    )
}


def import_file(path: Path, form: str | None = None, run: str = "") -> Imported:
    """The records of a file that another program wrote; ``form`` is found out where it is None.

    ``run`` is the id that the records get: by default the file's name without its end. Raises
    ``StoreError`` with file and place for anything that isn't what the format wants.
    """
    given = read_given(path, run)
    chosen = _find(form) if form is not None else _detect(given)
    try:
        records = chosen.read(given)
    except StoreError as error:
        raise RecordError(printable(str(error))) from error
    except RecursionError as error:
        raise RecordError(f"{path}: brackets within brackets, too deep to be read") from error
    except (ValueError, csv.Error) as error:
        raise RecordError(
            f"{path}: no {chosen.name} that can be read: {one_line(str(error), 500)}"
        ) from error
    if not records:
        raise StoreError(f"{path}: no result in it; wanted one at least")
    distinct, repeated = _distinguish(records)
    _require_readable(path, distinct)
    notices = []
    if repeated:
        notices.append(
            f"{repeated} results are of a case that is there already: numbered in the parameter "
            "'repeat'"
        )
    return Imported(tuple(distinct), chosen.name, tuple(notices))


def _require_readable(path: Path, records: Sequence[Record]) -> None:
    """Raises ``RecordError`` for a record that no reader of ours would take again, such as one
    with an integer beyond 64 bits."""
    for number, record in enumerate(records, start=1):
        try:
            parse_object(record.model_dump_json().encode())
        except ValueError as error:
            raise RecordError(printable(f"{path}: result {number}: {error}")) from error


def _find(name: str) -> Format:
    if name in FORMATS:
        return FORMATS[name]
    begun = [known for known in FORMATS if name and known.startswith(name)]
    close = begun or difflib.get_close_matches(name, FORMATS, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise StoreError(f"unknown format '{one_line(name, 60)}'; known: {', '.join(FORMATS)}.{hint}")


def _detect(given: Given) -> Format:
    for form in FORMATS.values():
        if form.is_of(given):
            return form
    said = "no format that is known"
    if '"schema_version"' in given.text[:4096] or given.path.suffix == RECORDS_SUFFIX:
        said = "records of trnbench, it seems, which trnbench show reads as they are"
    known = ", ".join(f"{form.name} ({form.about})" for form in FORMATS.values())
    raise StoreError(f"{given.path}: {said}; known: {known}. Say which one it is with --from")


def _distinguish(records: Sequence[Record]) -> tuple[list[Record], int]:
    """The records with a number on each case after the first of its kind, and how many have one:
    a run has one record a case."""
    taken: set[str] = set()
    times: Counter[str] = Counter()
    distinct, repeated = [], 0
    for record in records:
        key = case_id(record.case)
        case = record.case
        times[key] += 1
        while case_id(case) in taken:
            case = _numbered(record.case, times[key])
            times[key] += case_id(case) in taken
        taken.add(case_id(case))
        repeated += case is not record.case
        distinct.append(record.model_copy(update={"case": case}))
    return distinct, repeated


def _numbered(case: CaseKey, number: int) -> CaseKey:
    return case.model_copy(
        update={
            "configuration": f"{case.configuration} #{number}",
            "params": case.params | {"repeat": number},
        }
    )
