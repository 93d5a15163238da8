"""The command line: ``trnbench``. Every subcommand answers ``--help``; ``--json`` prints JSON only."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from ..results.printable import printable
from . import (
    claims,
    difference,
    export,
    history,
    housekeeping,
    import_results,
    predict,
    roofline,
    specs_commands,
    stored_commands,
)
from .command_options import (
    EXIT_CODES,
    RESUME,
    AsJson,
    Backend,
    Cores,
    Dtype,
    Exit,
    Lnc,
    Load,
    Mode,
    Out,
    Preset,
    Resume,
    Threads,
    print_json,
    print_run,
)
from .errors import UsageError
from .options import DEFAULT_BUDGET_S, DEFAULT_OUT, DEFAULT_PROCESSES, DEFAULT_TIMEOUT_S

if TYPE_CHECKING:
    from .case import Case
    from .options import RunOptions

app = typer.Typer(
    name="trnbench",
    help="Is it really faster, for this work, on this silicon?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Patterns = Annotated[
    list[str] | None,
    typer.Argument(help="Keep the cases whose name contains one of these.", show_default=False),
]
PatternsOrModel = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATTERN... | MODULE:OBJECT | hf:NAME]",
        help="Keep the cases whose name contains a PATTERN. Or a model of your own: an nn.Module, "
        "a class of one, a function that returns one or a function of tensors, with --input; or "
        "a Hugging Face configuration in a folder, a file or the local cache, with random weights.",
        show_default=False,
    ),
]
Input = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="[NAME=]SHAPE[:DTYPE][<BOUND]",
        help="A tensor that your model takes, as 8x128 or '1x512:int64<32000'; once for each.",
    ),
]
ModelPhase = Annotated[
    str | None,
    typer.Option("--phase", help="What is done with your model: forward (default) or training."),
]


class _InterruptedError(Exception):
    """Ctrl-C while measuring, past the handlers of typer's releases, which differ. Its text says
    what became of what was done."""


@contextmanager
def _interruptible(
    advice: str = "an unfinished run goes on with --resume and the same options",
) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise _InterruptedError(advice) from error


def main() -> None:
    """Run the command line; a person's mistake is one message and no traceback, and a reader that
    has read enough is no mistake."""
    from ..results.lines import StoreError
    from ..results.printable import printable
    from ..specs.figure import CatalogError
    from .output import until_the_reader_goes

    try:
        with until_the_reader_goes():
            app()
    except SystemExit as leaving:
        # click's own code for a wrong option is pytest's for an interrupt.
        click_usage = 2
        sys.exit(Exit.USAGE if leaving.code == click_usage else leaving.code)
    except (UsageError, StoreError, CatalogError) as error:
        print(printable(f"trnbench: {error}"), file=sys.stderr)
        sys.exit(Exit.USAGE)
    except _InterruptedError as interrupted:
        print(f"trnbench: interrupted; {interrupted}", file=sys.stderr)
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
    patterns: PatternsOrModel = None,
    inputs: Input = None,
    phase: ModelPhase = None,
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
    cores: Cores = None,
    lnc: Lnc = None,
    cache: Annotated[
        str,
        typer.Option(
            "--cache",
            "--bench-cache",
            metavar="kept|fresh",
            help="Compile caches: as they are, or the run's own, empty at first.",
        ),
    ] = "kept",
    chip_file: Annotated[
        list[str] | None,
        typer.Option(
            "--chip-file",
            "--bench-chip-file",
            metavar="FILE",
            help="A chip of your own, to hold its cases against: a TOML file of the catalog's form.",
        ),
    ] = None,
    load: Load = None,
    label: Annotated[
        str, typer.Option("--label", "--bench-label", help="A name for the run.")
    ] = "",
    out: Out = DEFAULT_OUT,
    resume: Resume = None,
) -> None:
    """Measure, as `pytest --benchmark` does, without pytest."""
    from .option_values import OptionTexts, read_options
    from .progress import make_listener
    from .run import measure

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
        cores=cores,
        lnc=lnc,
        cache=cache,
        chip_file=chip_file or (),
        load=load or (),
        label=label,
        out=str(out),
        resume=resume,
    )
    options = read_options(texts, "--", Path())
    cases = _select(options, patterns, inputs, phase)
    with _interruptible(), make_listener(sys.stderr) as listener:
        result = measure(cases, options, listener)
    print_run(result.records, result.path)
    from ..results.record import ACCEPTED

    if any(record.status not in ACCEPTED for record in result.records):
        raise typer.Exit(Exit.FAILED)


@app.command("compile")
def compile_cases(
    patterns: PatternsOrModel = None,
    inputs: Input = None,
    phase: ModelPhase = None,
    backend: Backend = None,
    preset: Preset = "quick",
    dtype: Dtype = None,
    mode: Mode = None,
    cores: Cores = None,
    lnc: Lnc = None,
    load: Load = None,
) -> None:
    """Fill the compile caches for these cases; measure and record nothing.

    Also what to give to `neuron_parallel_compile`, whose outputs are invalid.
    """
    from rich.console import Console

    from .option_values import OptionTexts, read_options
    from .precompile import precompile, print_compiled
    from .progress import make_listener

    texts = OptionTexts(
        backend=backend or (),
        preset=preset,
        dtype=dtype or (),
        mode=mode or (),
        cores=cores,
        lnc=lnc,
        load=load or (),
    )
    options = read_options(texts, "--", Path())
    cases = _select(options, patterns, inputs, phase)
    advice = "what was compiled so far stays in the stack's caches"
    with _interruptible(advice), make_listener(sys.stderr) as listener:
        done = precompile(cases, options, listener)
    print_compiled(done, Console())
    from ..results.record import ACCEPTED

    if any(one.outcome.status not in ACCEPTED for one in done):
        raise typer.Exit(Exit.FAILED)


def _select(
    options: RunOptions,
    patterns: list[str] | None,
    inputs: list[str] | None = None,
    phase: str | None = None,
) -> list[Case]:
    """The cases of the options whose name contains a pattern, or those of the one model that is
    named; leaves where there is none."""
    from .own_model import OwnModel, is_target, select_own
    from .selection import select

    targets = [pattern for pattern in patterns or () if is_target(pattern)]
    if targets and len(patterns or ()) > 1:
        raise UsageError(
            f"{len(patterns or ())} words given, and '{targets[0]}' names a model: name one model "
            "a run, and nothing else"
        )
    if not targets and (inputs or phase is not None):
        raise UsageError(
            "--input and --phase describe a model of your own: name it too, as in trnbench run "
            "mypackage.module:make_model --input 8x128"
        )
    if targets:
        cases = select_own(options, OwnModel(targets[0], inputs or (), phase or "forward"))
    else:
        cases = select(options)
    chosen = cases
    if patterns and not targets:
        chosen = [case for case in cases if any(p in case.node_name for p in patterns)]
    if not chosen:
        _refuse_nothing(patterns or (), [case.node_name for case in cases])
    return chosen


def _refuse_nothing(patterns: Sequence[str], names: Sequence[str]) -> NoReturn:
    """Leaves, with the workload that was perhaps meant."""
    workloads = list(dict.fromkeys(name.partition("[")[0] for name in names))
    close = [
        match
        for pattern in patterns
        for match in difflib.get_close_matches(pattern, workloads, n=1)
    ]
    said = "no case selected"
    if patterns:
        said += f": no name contains {' or '.join(map(repr, patterns))}"
    said += "; see what there is with: trnbench list"
    said += f". Did you mean '{close[0]}'?" if close else ""
    print(printable(f"trnbench: {said}"), file=sys.stderr)
    raise typer.Exit(Exit.NOTHING_SELECTED)


@app.command(cls=RunCommand, epilog=EXIT_CODES)
def coverage(
    patterns: Patterns = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Compare two stored runs; try nothing."),
    ] = None,
    backend: Backend = None,
    dtype: Dtype = None,
    mode: Mode = None,
    timeout: Annotated[
        str,
        typer.Option("--timeout", "--bench-timeout", metavar="SECONDS", help="Limit of a case."),
    ] = f"{DEFAULT_TIMEOUT_S:g}",
    cores: Cores = None,
    lnc: Lnc = None,
    load: Load = None,
    label: Annotated[
        str, typer.Option("--label", "--bench-label", help="A name for the run.")
    ] = "",
    out: Out = DEFAULT_OUT,
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """What runs here: every operator in every dtype and mode, tried once and not timed.

    With --compare: what newly works in run B, and what no longer does (exit code 1).
    """
    from .coverage import compare_coverage_command, run_coverage_command
    from .option_values import OptionTexts, read_options

    if compare:
        raise typer.Exit(compare_coverage_command(*compare, out, as_json=as_json))
    texts = OptionTexts(
        backend=backend or (),
        dtype=dtype or (),
        mode=mode or (),
        processes="1",
        timeout=timeout,
        cores=cores,
        lnc=lnc,
        load=load or (),
        label=label,
        out=str(out),
        resume=resume,
    )
    with _interruptible():
        code = run_coverage_command(
            read_options(texts, "--", Path()), patterns or (), as_json=as_json
        )
    raise typer.Exit(code)


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
        print_json(rows)
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

    with _interruptible("no ceiling was stored"):
        code = run_ceiling_command(
            split_names(backend or ()),
            None if threads is None else read_count("--threads", threads),
            read_folder("--out", str(out), Path()),
            quick=quick,
            if_missing=if_missing,
            as_json=as_json,
        )
    raise typer.Exit(code)


for command in (
    stored_commands.show,
    difference.diff,
    difference.baseline,
    history.history,
    claims.claims,
    predict.predict,
    roofline.roofline,
    export.export,
    stored_commands.report,
    stored_commands.break_even,
    stored_commands.check,
    stored_commands.collectives,
    housekeeping.validate,
    housekeeping.merge,
    housekeeping.clean,
):
    app.command()(command)
app.command("import")(import_results.import_results)
app.add_typer(specs_commands.app)
