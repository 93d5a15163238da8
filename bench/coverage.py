"""``trnbench coverage``: what runs here, tried briefly; and what became of it since."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..models.family import Configuration, Family
from ..models.registry import families
from ..results.archive import read_run
from ..results.coverage import compare_coverage, describe_outcome
from ..results.record import ACCEPTED
from .case import Case
from .command_options import Exit, note
from .listing import in_order
from .options import RunOptions
from .progress import make_listener
from .run import measure
from .selection import select


def coverage_cases(options: RunOptions) -> list[Case]:
    """The smallest configuration of every operator, in each of its dtypes, uncompiled and
    compiled, on every chosen backend; modes on request only where they are named.

    An operator that has a dtype in a larger configuration only is tried there. Raises what
    ``select`` raises.
    """
    cases = select(replace(options, preset="full"))
    chosen = {
        (family.name, configuration.name, dtype)
        for family in families()
        for dtype, configuration in _smallest(family)
    }
    return [case for case in cases if (case.workload, case.configuration, case.dtype) in chosen]


def run_coverage_command(options: RunOptions, patterns: Iterable[str], *, as_json: bool) -> int:
    """Try every case (whose name contains one of ``patterns``, if there are any), store the
    records and print the matrix.

    Returns pytest's exit code, as ``trnbench run`` does.
    """
    wanted = tuple(patterns)
    cases = [
        case
        for case in coverage_cases(options)
        if not wanted or any(pattern in case.node_name for pattern in wanted)
    ]
    if not cases:
        print("trnbench: no case selected; see what there is with: trnbench list", file=sys.stderr)
        return Exit.NOTHING_SELECTED
    with make_listener(sys.stderr) as listener:
        result = measure(cases, options, listener, check=True)
    if as_json:
        outcomes = [describe_outcome(record) for record in result.records]
        print(json.dumps({"records": str(result.path), "cases": outcomes}, indent=1))
    else:
        from ..results.coverage_table import print_coverage

        print_coverage(result.records, result.path)
    return int(any(record.status not in ACCEPTED for record in result.records))


def compare_coverage_command(a: str, b: str, out: Path, *, as_json: bool) -> int:
    """Print what became of the cases of run ``a`` in run ``b``; 1 where something that worked
    no longer does, else 0.

    Raises ``StoreError`` for an unknown run, and where a stand-in's run is given with a device's.
    """
    runs = [read_run(name, out) for name in (a, b)]
    note((*runs[0].notices, *runs[1].notices))
    first, second = (in_order(run.records) for run in runs)
    changes = compare_coverage(first, second)
    if as_json:
        print(json.dumps([change.to_dict() for change in changes], indent=1))
    else:
        from ..results.coverage_table import print_coverage_changes

        print_coverage_changes(changes, first, second)
    return int(any(change.change == "no longer works" for change in changes))


def _smallest(family: Family) -> list[tuple[str, Configuration]]:
    """For each operator of the family and each dtype, the configuration that moves the fewest
    bytes, and of these the one with the least arithmetic."""
    found: dict[tuple[object, str], Configuration] = {}
    for configuration in sorted(family.configurations, key=lambda c: _size(family, c)):
        for dtype in configuration.dtypes:
            found.setdefault((configuration.params.get("op"), dtype), configuration)
    return [(dtype, configuration) for (_, dtype), configuration in found.items()]


def _size(family: Family, configuration: Configuration) -> tuple[int, int]:
    """Equal for all where nobody stated a cost: the first one listed is taken."""
    if family.cost is None:
        return 0, 0
    cost = family.cost(configuration.params, configuration.dtypes[0])
    return cost.bytes_moved, cost.flops
