"""``trnbench export``: stored runs in the forms that other programs read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .command_options import Exit, Out, note
from .errors import UsageError
from .options import DEFAULT_OUT

#: A file of these would be taken for a run.
_OF_RUNS = (".jsonl", ".partial")


def export(
    runs: Annotated[
        list[str], typer.Argument(help="Runs: a file, id or label, or a folder (newest).")
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="csv, parquet, markdown, junit, pytest-benchmark, github-action-benchmark, "
            "github-action-benchmark-bigger, otava-csv or otava-config.",
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write here (default: print it)."),
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """Stored runs in a form that another program reads: see docs/exchange.md."""
    raise typer.Exit(run_export_command(runs, to, target, out))


def run_export_command(names: Sequence[str], to: str, target: Path | None, out: Path) -> int:
    """Print the runs in this form, or write them to ``target``, over what is there; returns 0.

    Raises ``UsageError`` and ``StoreError``, which say what to do.
    """
    from ..results.archive import find_records
    from ..results.exports.formats import find_format

    form = find_format(to)
    if not names:
        raise UsageError("no run given; wanted at least one: its file, id or label, or a folder")
    paths = [find_records(name, out) for name in names]
    if target is None:
        exported = form.export(paths)
        # The form says which bytes it is made of, not the terminal.
        sys.stdout.buffer.write(exported.text.encode())
        sys.stdout.buffer.flush()
        note(exported.notices)
        return Exit.OK
    _refuse_run(target, paths)
    note(form.write(paths, target))
    return Exit.OK


def _refuse_run(target: Path, paths: Sequence[Path]) -> None:
    """An export holds less than the run that it is made of, and never takes its place."""
    if target.suffix in _OF_RUNS or any(_same(target, path) for path in paths):
        raise UsageError(
            f"-o {target}: that is a run's file, which an export would destroy; give another name"
        )
    if target.is_dir():
        raise UsageError(f"-o {target}: a folder given; wanted a file")


def _same(target: Path, path: Path) -> bool:
    return target.exists() and target.samefile(path)
