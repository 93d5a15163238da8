"""What the subcommands of the command line share: option types, exit codes, ways of printing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer

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
Cores = Annotated[
    str | None,
    typer.Option(
        "--cores",
        "--bench-cores",
        metavar="CORES",
        help="NeuronCores that a worker may claim, as 0 or 0-3 (default: core 0).",
    ),
]
Lnc = Annotated[
    str | None,
    typer.Option(
        "--lnc",
        "--bench-lnc",
        metavar="1|2",
        help="Physical NeuronCores in a logical one (default: the chip's own).",
    ),
]
RESUME = ("--resume", "--bench-resume")
Resume = Annotated[
    str | None,
    typer.Option(
        *RESUME,
        metavar="[RUN]",
        help="Go on with this unfinished run; without RUN, with the newest one.",
    ),
]
Prices = Annotated[
    list[str] | None,
    typer.Option("--price", metavar="CHIP=USD", help="US dollars an hour of one chip."),
]
PricesOfRuns = Annotated[
    list[str] | None,
    typer.Option(
        "--price",
        metavar="NAME=USD",
        help="US dollars an hour of what the runs name so: a chip, a device, or an instance with "
        "all its chips.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "--bench-out", help="Folder of the run's files.")]


def note(notices: tuple[str, ...]) -> None:
    for notice in notices:
        print(f"trnbench: note: {notice}", file=sys.stderr)


def print_run(records: Any, path: Path) -> None:
    from rich.console import Console

    from ..results import table

    table.print_run(list(records), path, Console())


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=asdict))
