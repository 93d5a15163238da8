"""``trnbench import``: other programs' results as a run that ``show`` and ``diff`` read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .command_options import Exit, Out, note
from .errors import UsageError
from .options import DEFAULT_OUT

if TYPE_CHECKING:
    from ..results.record import Record


def import_results(
    file: Annotated[Path, typer.Argument(help="What another benchmark program wrote.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help="pytest-benchmark, torch-benchmark, neuronperf, nccl-tests, nccom-test or "
            "published (default: found out).",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE.jsonl",
            help="Write here (default: the folder of runs, under the file's name).",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """Another program's results as a run, for show, diff and export: see docs/exchange.md."""
    raise typer.Exit(run_import_command(file, form, target, out))


def run_import_command(file: Path, form: str | None, target: Path | None, out: Path) -> int:
    """Write the records of a file as a run of its own, never over another; returns 0.

    Raises ``UsageError`` and ``StoreError``, which say what to do.
    """
    from ..results.imports.formats import import_file
    from ..results.store import RECORDS_SUFFIX
    from .roofs import published_roofs

    if target is not None and target.suffix != RECORDS_SUFFIX:
        raise UsageError(f"-o {target}: a run's file ends in {RECORDS_SUFFIX}; give such a name")
    imported = import_file(file, form, run=target.stem if target is not None else "")
    # A table of published measurements states the work and the chip; others' programs don't.
    records = [r.model_copy(update={"roofs": published_roofs(r)}) for r in imported.records]
    path = target if target is not None else out / f"{records[0].run}{RECORDS_SUFFIX}"
    _write(path, records, in_store=target is None)
    note(imported.notices)
    count = len(records)
    print(
        f"trnbench: {count} {'case' if count == 1 else 'cases'} of {imported.form} in {path}",
        file=sys.stderr,
    )
    return Exit.OK


def _write(path: Path, records: Sequence[Record], *, in_store: bool) -> None:
    from ..results.lines import StoreError
    from ..results.store import make_folder

    try:
        if in_store:
            make_folder(path.parent)
        # "x": an import never writes over a run.
        with path.open("x", encoding="utf-8", newline="\n") as stream:
            stream.writelines(f"{record.model_dump_json()}\n" for record in records)
    except FileExistsError as error:
        raise StoreError(
            f"{path} exists already; give another name with -o FILE.jsonl, or remove it"
        ) from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StoreError(
            f"can't write {path}: {error.strerror}; give another file with -o"
        ) from error
