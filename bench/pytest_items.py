"""Cases as pytest sees them: a collector and its items, named by the columns of the case."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ..results.record import ACCEPTED, CaseKey, Record, Status
from ..results.store import case_id
from .case import Case

COLLECTOR_NAME = "trnbench"
#: The record of a measured item.
RECORD = pytest.StashKey[Record]()


class Workloads(pytest.Collector):
    """The built-in and registered cases of a run."""

    def __init__(self, *, cases: Sequence[Case], markers: Sequence[str], **node: Any) -> None:
        super().__init__(**node)
        self.cases = cases
        self.marker_names = frozenset(markers)

    def collect(self) -> Iterator[CaseItem]:
        for case in self.cases:
            # The node id is given as a text: newer pytests keep it in parts, and --lf finds an
            # item only where the parts are those that the text is parsed into.
            item = CaseItem.from_parent(
                self,
                name=case.node_name,
                nodeid=f"{self.nodeid}::{case.node_name}",
                case=case,
            )
            item.add_marker(pytest.mark.trnbench)
            for name in case_markers(case):
                if name in self.marker_names:
                    item.add_marker(getattr(pytest.mark, name))
            yield item


class CaseItem(pytest.Item):
    """One case. It measures nothing: its outcome is that of its record."""

    def __init__(self, *, case: Case, **node: Any) -> None:
        super().__init__(**node)
        self.case = case

    @property
    def key(self) -> CaseKey:
        return self.case.key()

    def runtest(self) -> None:
        report_outcome(self)

    def reportinfo(self) -> tuple[str, None, str]:
        return COLLECTOR_NAME, None, self.name


def case_markers(case: Case) -> tuple[str, ...]:
    """What ``-m`` selects a case by: family, phase, dtype, mode and backend."""
    return case.workload, case.phase, case.dtype, case.mode, case.backend


def report_outcome(item: pytest.Item) -> None:
    """Pass, skip or fail as the item's record says, in one message."""
    record = item.stash.get(RECORD, None)
    if record is None:
        pytest.fail("this case has no record: the run ended before it was measured", pytrace=False)
    if record.status is Status.OK:
        return
    message = outcome_message(record)
    if record.status in ACCEPTED:
        pytest.skip(message)
    pytest.fail(message, pytrace=False)


def outcome_message(record: Record) -> str:
    """``TIMEOUT: no end after 60 s in phase 'sampling'; raise --bench-timeout ...``"""
    parts = [str(record.status)]
    if record.failure is not None:
        parts.append(record.failure.message)
    message = ": ".join(parts)
    mend = record.failure.mend if record.failure else ""
    return f"{message}; {mend}" if mend else message


def by_case(records: Sequence[Record]) -> dict[str, Record]:
    return {case_id(record.case): record for record in records}


def pick(cases: Sequence[Case], everything: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """The cases that node ids (without ``trnbench::``) name, each once, in the order given.

    ``matmul[square-512-fp32-eager-cpu]`` is found in any preset (``everything``); a family's
    name, or nothing, stands for all of its cases in the chosen preset (``cases``). Raises
    ``pytest.UsageError`` for a name that stands for none, with the nearest ones.
    """
    by_name = {case.node_name: case for case in (*everything, *cases)}
    picked: dict[str, Case] = {}
    for name in names:
        found = [case for case in cases if name in (case.workload, "")]
        if name in by_name:
            found = [by_name[name]]
        if not found:
            families = {case.workload: None for case in cases}
            known = [*families, *by_name]
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f" Close to it: {', '.join(near)}." if near else ""
            raise pytest.UsageError(
                f"no benchmark 'trnbench::{name}' on the chosen backends, dtypes and modes."
                f"{hint} List them with: pytest --benchmark --co -q trnbench::"
            )
        picked.update((case.node_name, case) for case in found)
    return list(picked.values())
