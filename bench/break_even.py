"""``trnbench break-even``: what compiling costs, and after how many calls it has paid."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from ..results.archive import read_run
from ..results.break_even import break_even, within
from ..results.economics import economics
from ..results.origin import split_by_origin
from ..results.record import Record
from .command_options import note
from .listing import in_order


def run_break_even_command(a: str, b: str | None, out: Path, *, as_json: bool) -> int:
    """Print the price of the code of run ``a``, and when compiling has paid in it; with ``b``,
    when the dearer of each pair of cases has. Returns 0.

    Raises ``StoreError`` for an unknown run, and where a stand-in's run is given with a device's.
    """
    first = _read(a, out)
    if b is None:
        _print_economics(first, as_json=as_json)
        return 0
    second = _read(b, out)
    rows = break_even(first, second)
    if as_json:
        print(json.dumps([row.to_dict() for row in rows], indent=1))
    else:
        from ..results.break_even_table import print_break_even

        print_break_even(rows, first, second)
    return 0


def _print_economics(records: list[Record], *, as_json: bool) -> None:
    """One table of the devices', one of the stand-ins'; one JSON object of all, with origins."""
    if as_json:
        cases = [
            asdict(e) | {"case": e.case.model_dump(mode="json")} for e in map(economics, records)
        ]
        rows = [row.to_dict() for row in within(records)]
        print(json.dumps({"cases": cases, "against_uncompiled": rows}, indent=1))
        return
    from ..results.break_even_table import print_economics

    for part in split_by_origin(records):
        if part:
            print_economics([economics(record) for record in part], within(part), part)


def _read(name: str, out: Path) -> list[Record]:
    run = read_run(name, out)
    note(run.notices)
    return in_order(run.records)
