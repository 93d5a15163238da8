"""The command line: ``trnbench``. Every subcommand answers ``--help``; ``--json`` prints JSON only."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .errors import UsageError
from .options import DEFAULT_BUDGET_S, DEFAULT_OUT, DEFAULT_PROCESSES, DEFAULT_TIMEOUT_S

EXIT_CODES = (
    "Exit codes are pytest's: 0 every case is OK, UNSUPPORTED or SKIPPED; 1 a case ended "
    "otherwise; 2 interrupted; 4 a wrong option; 5 no case selected."
)


class Exit(IntEnum):
    """pytest's exit codes, so that both ways of running mean the same."""

    OK = 0
    FAILED = 1
    INTERRUPTED = 2
    USAGE = 4
    NOTHING_SELECTED = 5


app = typer.Typer(
    name="trnbench",
    help="Is it really faster, for this work, on this silicon?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Backend = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        "--bench-backend",
        help="Backends to measure on, separated by commas or repeated (default: all).",
    ),
]
Preset = Annotated[str, typer.Option("--preset", "--bench-preset", help="quick, standard or full.")]
Dtype = Annotated[
    list[str] | None,
    typer.Option("--dtype", "--bench-dtype", help="Keep these dtypes (commas, or repeat)."),
]
Mode = Annotated[
    list[str] | None,
    typer.Option("--mode", "--bench-mode", help="Keep these modes (commas, or repeat)."),
]
Load = Annotated[
    list[str] | None,
    typer.Option("--load", "--bench-load", help="Modules that register workloads or backends."),
]
# Numbers come as text: `option_values` reads them, as it does for pytest.
Threads = Annotated[
    str | None,
    typer.Option(
        "--threads",
        "--bench-threads",
        metavar="COUNT",
        help="CPU threads (default: the physical cores, one processor left free).",
    ),
]
RESUME = ("--resume", "--bench-resume")
Out = Annotated[Path, typer.Option("--out", "--bench-out", help="Folder of the run's files.")]


class _InterruptedError(Exception):
    """Ctrl-C while measuring, past the handlers of typer's releases, which differ."""


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise _InterruptedError from error


def main() -> None:
    """Run the command line; a person's mistake is one message and no traceback."""
    from ..results.lines import StoreError
    from ..specs.figure import CatalogError

    try:
        app()
    except SystemExit as leaving:
        # click's own code for a wrong option is pytest's for an interrupt.
        click_usage = 2
        sys.exit(Exit.USAGE if leaving.code == click_usage else leaving.code)
    except (UsageError, StoreError, CatalogError) as error:
        print(f"trnbench: {error}", file=sys.stderr)
        sys.exit(Exit.USAGE)
    except _InterruptedError:
        print(
            "trnbench: interrupted; an unfinished run goes on with --resume and the same options",
            file=sys.stderr,
        )
        sys.exit(Exit.INTERRUPTED)


def _print_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(f"trnbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """Is it really faster, for this work, on this silicon?"""


class RunCommand(TyperCommand):
    """Takes ``--resume`` without a value, as pytest does; Typer has no such options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        whole = []
        for argument, after in zip(args[:end], [*args[1:end], "-"], strict=False):
            whole.append(argument)
            if argument in RESUME and after.startswith("-"):
                whole.append("")
        return super().parse_args(ctx, whole + args[end:])


@app.command(cls=RunCommand, epilog=EXIT_CODES)
def run(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(help="Keep the cases whose name contains one of these.", show_default=False),
    ] = None,
    backend: Backend = None,
    preset: Preset = "quick",
    dtype: Dtype = None,
    mode: Mode = None,
    processes: Annotated[
        str,
        typer.Option(
            "--processes",
            "--bench-processes",
            metavar="COUNT",
            help="Fresh processes a case.",
        ),
    ] = str(DEFAULT_PROCESSES),
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            "--bench-budget",
            metavar="SECONDS",
            help="Seconds of measuring a case and process.",
        ),
    ] = f"{DEFAULT_BUDGET_S:g}",
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout",
            "--bench-timeout",
            metavar="SECONDS",
            help="Wall limit of a case in one process.",
        ),
    ] = f"{DEFAULT_TIMEOUT_S:g}",
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit",
            "--bench-memory-limit",
            metavar="GIB",
            help="Resident GiB at which a worker is ended.",
        ),
    ] = None,
    threads: Threads = None,
    tf32: Annotated[
        bool, typer.Option("--tf32", "--bench-tf32", help="Let fp32 matmuls use TF32.")
    ] = False,
    load: Load = None,
    label: Annotated[
        str, typer.Option("--label", "--bench-label", help="A name for the run.")
    ] = "",
    out: Out = DEFAULT_OUT,
    resume: Annotated[
        str | None,
        typer.Option(
            *RESUME,
            metavar="[RUN]",
            help="Go on with this unfinished run; without RUN, with the newest one.",
        ),
    ] = None,
) -> None:
    """Measure, as `pytest --benchmark` does, without pytest."""
    from .option_values import OptionTexts, read_options
    from .progress import make_listener
    from .run import measure
    from .selection import select

    texts = OptionTexts(
        backend=backend or (),
        preset=preset,
        dtype=dtype or (),
        mode=mode or (),
        processes=processes,
        budget=budget,
        timeout=timeout,
        memory_limit=memory_limit,
        threads=threads,
        tf32=tf32,
        load=load or (),
        label=label,
        out=str(out),
        resume=resume,
    )
    options = read_options(texts, "--", Path())
    cases = select(options)
    if patterns:
        cases = [case for case in cases if any(p in case.node_name for p in patterns)]
    if not cases:
        print("trnbench: no case selected; see what there is with: trnbench list", file=sys.stderr)
        raise typer.Exit(Exit.NOTHING_SELECTED)
    with _interruptible(), make_listener(sys.stderr) as listener:
        result = measure(cases, options, listener)
    _print_run(result.records, result.path)
    from ..results.record import ACCEPTED

    if any(record.status not in ACCEPTED for record in result.records):
        raise typer.Exit(Exit.FAILED)


@app.command("list")
def list_cases(
    as_json: AsJson = False,
    preset: Preset = "full",
    load: Load = None,
) -> None:
    """Every workload: what it exercises, its configurations, cost and presets."""
    from .listing import describe_workloads, print_workloads
    from .option_values import split_names

    rows = describe_workloads(preset, split_names(load or ()))
    if as_json:
        _print_json(rows)
    else:
        print_workloads(rows)


@app.command()
def doctor(as_json: AsJson = False, load: Load = None) -> None:
    """For each backend whether it can run here; if not, why and what to do."""
    from .doctor import print_doctor
    from .option_values import split_names
    from .registration import load_registered

    load_registered(split_names(load or ()))
    print_doctor(as_json=as_json)


@app.command()
def ceiling(
    backend: Backend = None,
    threads: Threads = None,
    out: Out = DEFAULT_OUT,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer shapes and repetitions.")] = False,
    if_missing: Annotated[
        bool, typer.Option("--if-missing", help="Do nothing where one is stored that applies.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what this device attains: best matmul, bandwidth by working set, dispatch cost."""
    from .ceiling import run_ceiling_command
    from .option_values import read_count, read_folder, split_names

    with _interruptible():
        code = run_ceiling_command(
            split_names(backend or ()),
            None if threads is None else read_count("--threads", threads),
            read_folder("--out", str(out), Path()),
            quick=quick,
            if_missing=if_missing,
            as_json=as_json,
        )
    raise typer.Exit(code)


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's file, id or label, or a folder (newest).")],
    as_json: AsJson = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """The table of a stored run."""
    from ..results.archive import read_run

    stored = read_run(run, out)
    _note(stored.notices)
    if as_json:
        _print_json([record.model_dump(mode="json") for record in stored.records])
    else:
        from .listing import in_order

        _print_run(in_order(stored.records), stored.path)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="The run to compare with.")],
    b: Annotated[str, typer.Argument(help="The run that is compared.")],
    as_json: AsJson = False,
    out: Out = DEFAULT_OUT,
) -> None:
    """What is different between two runs: ratio with interval, and the ratio to expect.

    A or B may be a CSV file of published measurements, or FILE.csv#CHIP for one chip of it.
    """
    from ..results.compare import diff as compare
    from ..results.difference_table import print_diff
    from .listing import in_order
    from .published import read_any

    first, second = read_any(a, out), read_any(b, out)
    _note((*first.notices, *second.notices))
    records_a, records_b = in_order(first.records), in_order(second.records)
    rows = compare(records_a, records_b)
    if as_json:
        _print_json([row.to_dict() for row in rows])
    else:
        print_diff(rows, records_a, records_b)


def _note(notices: tuple[str, ...]) -> None:
    for notice in notices:
        print(f"trnbench: note: {notice}", file=sys.stderr)


def _print_run(records: Any, path: Path) -> None:
    from rich.console import Console

    from ..results.table import print_run

    print_run(list(records), path, Console())


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=asdict))
