"""``trnbench history``: since when is it slower, and what changed at that run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .command_options import AsJson, Exit, Out, note, print_json
from .errors import UsageError
from .option_values import split_names
from .options import DEFAULT_OUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..results.case_history import CaseHistory

#: What a history can be gated on; each with the exit code that ``diff`` has for it.
_CLASSES = ("failing", "slower")
_MOST_FINDINGS = 50


def history(
    runs: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A folder of runs or of Parquet files, a Parquet file, or a label."
        ),
    ] = "",
    as_json: AsJson = False,
    floor: Annotated[
        float, typer.Option("--floor", min=0, max=1, help="The smallest change that matters.")
    ] = 0.01,
    last: Annotated[
        int | None,
        typer.Option("--last", min=1, help="Look at the newest so many runs of a machine."),
    ] = None,
    least_runs: Annotated[
        int, typer.Option("--least-runs", min=3, help="The fewest runs of a level.")
    ] = 5,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="CLASS",
            help="Exit with 10 where a case stopped working and still doesn't (failing), with 13 "
            "where one is slower and still is (slower).",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="RUN|DATE",
            help="Fail only on what changed at this run (the beginning of its id) or UTC date, or "
            "later.",
        ),
    ] = "",
    rows: Annotated[int, typer.Option("--rows", min=1, help="Runs of the table.")] = 12,
    out: Out = DEFAULT_OUT,
) -> None:
    """Changes of level and of status in all stored runs, the run at which each came, and what
    was recorded to change there: SDK, driver, versions, flags, commit.

    Each kind of machine by itself. --json has one object a case, with all of its times.
    """
    from ..results.archive import find_history_files
    from ..results.frame import load_files
    from ..results.history import HistoryRules, find_history, moment_since

    classes = split_names(fail_on or ())
    for name in classes:
        if name not in _CLASSES:
            raise UsageError(f"--fail-on '{name}' given; wanted one of {', '.join(_CLASSES)}")
    rules = HistoryRules(floor=floor, least_runs=least_runs, last=last)
    frame = load_files(find_history_files(runs, out))
    note(frame.attrs["notices"])
    if not len(frame):
        raise UsageError(f"'{runs or out}' holds no record; give a folder of runs that have some")
    begin = moment_since(frame, since)
    found = find_history(frame, rules)
    if as_json:
        print_json([one.to_dict() for one in found])
    else:
        from ..results.history_table import print_history

        print_history(found, rules, most=rows)
    raise typer.Exit(_judge(found, classes, begin))


def _judge(found: Sequence[CaseHistory], classes: Sequence[str], since: str) -> int:
    """Tell what closes the gate; the exit code."""
    from ..results.case_history import standing_turns
    from ..results.gate import CONDITIONS
    from ..results.history_table import explain_turn

    codes = []
    for condition in CONDITIONS:
        if condition.name not in classes:
            continue
        turns = list(standing_turns(found, condition.verdicts, since))
        codes += [condition.exit_code] if turns else []
        for case, turn in turns[:_MOST_FINDINGS]:
            print(f"trnbench: {condition.name}: {explain_turn(case, turn)}", file=sys.stderr)
        if len(turns) > _MOST_FINDINGS:
            print(f"trnbench: and {len(turns) - _MOST_FINDINGS} more findings", file=sys.stderr)
    return min(codes, default=Exit.OK)
