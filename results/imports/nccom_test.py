"""The output of ``nccom-test``, or its JSON report: see ``trnbench.results.nccom``."""

from __future__ import annotations

from ..nccom import read_collectives
from ..record import Record
from .collectives import Collective, collective_record
from .given import Given, parse_json

PROGRAM = "nccom-test"


def is_nccom_test(given: Given) -> bool:
    return "size(B)" in given.text and "busbw(" in given.text


def read_nccom_test(given: Given) -> list[Record]:
    """A record for each size. Raises ``ValueError``, as ``trnbench collectives`` does.

    Operation and ranks are taken from a command line above the table, where it was kept.
    """
    if given.text.lstrip()[:1] in ("{", "["):
        # Its own reader takes any JSON: what is not finite is refused here.
        parse_json(given.text)
    found = read_collectives(given.text)
    notes = list(found.notes)
    if found.operation is None or found.ranks is None:
        notes.append("operation or ranks unstated: keep the command line above the table")
    return [
        collective_record(
            Collective(
                operation=found.operation or "",
                ranks=found.ranks,
                size_bytes=row.size_bytes,
                count=row.count,
                dtype=row.dtype,
                time_s=row.time_s,
                bus_bytes_per_s=row.bus_bytes_per_s,
                algorithm=row.algorithm or "",
                # It fails as a whole where a result is wrong (its option -c).
                wrong=None,
            ),
            given,
            PROGRAM,
            None,
            "; ".join(notes),
        )
        for row in found.rows
    ]
