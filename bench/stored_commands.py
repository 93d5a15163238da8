"""The subcommands that read what is stored: they measure nothing and need no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .command_options import AsJson, Exit, Out, note, print_json, print_run
from .options import DEFAULT_OUT


def show(
    run: Annotated[str, typer.Argument(help="A run's file, id or label, or a folder (newest).")],
    as_json: AsJson = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """The table of a stored run."""
    from ..results.archive import read_run

    stored = read_run(run, out)
    note(stored.notices)
    if as_json:
        print_json([record.model_dump(mode="json") for record in stored.records])
    else:
        from .listing import in_order

        print_run(in_order(stored.records), stored.path)


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Runs: a file, id or label, a folder (newest), or FILE.csv#CHIP; the first is the "
            "baseline.",
        ),
    ],
    page: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = Path(
        "report.html"
    ),
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="DIR",
            help="Also since when what is slower: all runs of a folder, a label or a Parquet file.",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """One self-contained HTML file about a run, or about what is different between several."""
    from .report import run_report_command

    print(f"page: {run_report_command(runs, out, page, history)}")


def break_even(
    a: Annotated[str, typer.Argument(help="A run's file, id or label, or a folder (newest).")],
    b: Annotated[
        str | None, typer.Argument(help="The run that may pay.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """What compiling cost in run A; with B, after how many calls the dearer of the two has paid."""
    from .break_even import run_break_even_command

    raise typer.Exit(run_break_even_command(a, b, out, as_json=as_json))


def check(
    run: Annotated[str, typer.Argument(help="A run's file, id or label, or a folder (newest).")],
    backend: Annotated[str, typer.Option("--backend", help="The backend that must have answered.")],
    least_ok: Annotated[int, typer.Option("--least-ok", min=1, help="Cases that must be OK.")] = 1,
    device: Annotated[
        str | None,
        typer.Option("--device", help="The device's chip, instance type, or words of its name."),
    ] = None,
    allow_simulated: Annotated[
        bool, typer.Option("--allow-simulated", help="Let a stand-in for hardware pass.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="No case may end other than OK, UNSUPPORTED or SKIPPED."),
    ] = False,
    as_json: AsJson = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """Fail unless a stored run is what it was meant to be: for CI on machines with a device."""
    from .run_check import Expectation, print_check

    expected = Expectation(backend, least_ok, device, allow_simulated, strict)
    if not print_check(run, expected, out, as_json=as_json):
        raise typer.Exit(Exit.FAILED)


def collectives(
    file: Annotated[Path, typer.Argument(help="nccom-test's output, or its JSON report.")],
    operation: Annotated[
        str | None, typer.Option("--operation", help="all_reduce, allg, sendrecv, ...")
    ] = None,
    ranks: Annotated[
        int | None, typer.Option("--ranks", min=1, help="Ranks of one group (nccom-test -r).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What nccom-test measured, in bytes per second whatever its GB/s meant."""
    from .collectives import run_collectives_command

    raise typer.Exit(run_collectives_command(file, operation, ranks, as_json=as_json))
