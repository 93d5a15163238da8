"""``trnbench validate``, ``merge`` and ``clean``: what is stored, checked, joined and cleared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..results.lines import StoreError
from .command_options import AsJson, Exit, Out, note, print_json
from .errors import UsageError
from .options import DEFAULT_OUT


def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files of records, or journals.")
    ],
    as_json: AsJson = False,
) -> None:
    """Every mistake in a file of records, with line and field; exit code 1 where there is one."""
    from ..results.validate import validate as read_to_the_end

    reports, unreadable = [], []
    for path in files:
        try:
            reports.append(read_to_the_end(path))
        except StoreError as error:
            unreadable.append(str(error))
    if as_json:
        print_json([report.to_dict() for report in reports])
    else:
        from rich.console import Console

        from ..results.validity_table import print_validity

        console = Console()
        for report in reports:
            print_validity(report, console)
    if unreadable:
        raise StoreError("; ".join(unreadable))
    raise typer.Exit(Exit.OK if all(report.valid for report in reports) else Exit.FAILED)


def merge(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs: files, ids, labels or folders.")
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A new .jsonl file.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """One file of several: every run of a folder or label, each record once."""
    from ..results.archive import find_all_records
    from ..results.merge import merge as join

    files = [file for name in runs for file in find_all_records(name, out)]
    merged = join(list(dict.fromkeys(files)), target, force=force)
    note(tuple(merged.notices))
    said = f", {merged.duplicates} of them twice" if merged.duplicates else ""
    print(f"{merged.records} records of {len(merged.runs)} runs{said}: {merged.path}")


def clean(
    folder: Annotated[Path, typer.Argument(help="A folder of runs.")] = DEFAULT_OUT,
    days: Annotated[
        float,
        typer.Option("--older-than", min=0, help="Days that nobody wrote to what was left behind."),
    ] = 14.0,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Runs of each label that stay (all).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it, and don't only say so.")] = False,
) -> None:
    """What can go from a folder of runs: old journals, drafts and caches; with --keep, old runs."""
    from rich.console import Console

    from ..results.cleaning import carry_out, plan_cleaning
    from ..results.columns import say
    from ..results.quantity import format_bytes

    if not folder.is_dir():
        raise UsageError(f"no folder '{folder}'; wanted one that holds runs")
    plan = plan_cleaning(folder, days, keep)
    console = Console()
    for one in plan.removable:
        say(console, f"{one.path} ({format_bytes(one.size_bytes)}): {one.reason}")
    note(plan.notices)
    if not plan.removable:
        say(console, f"nothing to remove from {folder}")
    elif not yes:
        say(console, f"{format_bytes(plan.size_bytes)} could go; remove it with --yes", "bold")
    else:
        freed, notices = carry_out(plan)
        note(tuple(notices))
        say(console, f"{format_bytes(freed)} freed", "bold")
        if notices:
            raise typer.Exit(Exit.FAILED)
