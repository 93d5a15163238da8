"""``trnbench diff``: two runs or more, held against the first of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command_options import AsJson, Exit, Out, PricesOfRuns, note, print_json
from .errors import UsageError, unknown
from .option_values import split_names
from .options import DEFAULT_OUT

if TYPE_CHECKING:
    import pandas as pd

    from ..results.compare import Comparison
    from ..results.gate import Finding, Gate
    from ..results.verdict import Rules

#: US dollars an hour that somebody may pay.
_USD = (1e-6, 1e5)
#: Findings that are told; the exit code is of all.
_MOST_FINDINGS = 50


def diff(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Runs: a file, id or label, or a folder (newest); the first is the baseline.",
        ),
    ],
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown: for a pull request or a job.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="AXIS[=VALUE]",
            help="Hold the values of dtype, mode, sdk, chip or any column against its first one, "
            "or against VALUE; one run is enough.",
        ),
    ] = None,
    all_runs: Annotated[
        bool,
        typer.Option(
            "--all-runs",
            help="Take every run of a folder or a label as one side: the spread of runs counts.",
        ),
    ] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            metavar="CLASS",
            help="Exit with 10 failing, 11 numeric, 12 above-roof, 13 slower, 15 missing, 16 "
            "not-comparable, 17 unpaired or 18 undecided where there is such a case.",
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="[PATTERN:] METRIC<BOUND",
            help="Exit with 14 where a case of B breaks it: 'latency_ms < 20', 'mlp: mfu > 0.4'.",
        ),
    ] = None,
    floor: Annotated[
        float, typer.Option("--floor", min=0, max=1, help="The smallest change that matters.")
    ] = 0.01,
    between_runs: Annotated[
        float,
        typer.Option(
            "--between-runs",
            min=1,
            help="The factor that two stored runs of one machine may differ by without a change; "
            "1 trusts them.",
        ),
    ] = 2.0,
    price: PricesOfRuns = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of the table.")] = 40,
    out: Out = DEFAULT_OUT,
) -> None:
    """What became of each case: verdict, ratio with interval, cause, and the ratio to expect.

    A run may be a CSV file of published measurements, or FILE.csv#CHIP for one chip of it.
    """
    from ..results.gate import Gate
    from ..results.limits import parse_limit
    from ..results.verdict import Rules

    gate = Gate(split_names(fail_on or ()), tuple(map(parse_limit, limit or ())))
    rules = Rules(floor=floor, between_runs=between_runs)
    if as_json and markdown:
        raise UsageError("--json and --markdown given; wanted one form")
    prices = read_prices(price or ())
    found = list(_comparisons(runs, by, out, rules, prices, all_runs=all_runs))
    if as_json:
        print_json([row.to_dict() for comparison, _ in found for row in comparison.rows()])
    elif markdown:
        from ..results.exports.markdown import difference_markdown

        print("\n\n".join(difference_markdown(comparison) for comparison, _ in found))
    else:
        _print_tables([comparison for comparison, _ in found], rows)
    raise typer.Exit(_judge(gate, found))


def baseline(
    run: Annotated[str, typer.Argument(help="A run's file, id or label, or a folder (newest).")],
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A .jsonl file, kept in git.")
    ],
    out: Out = DEFAULT_OUT,
) -> None:
    """A run without its samples, small enough for git: what later runs are held against."""
    from ..results.baseline import write_baseline
    from .published import read_any

    if target.suffix != ".jsonl":
        raise UsageError(f"-o {target}: a baseline is a file of records; wanted FILE.jsonl")
    stored = read_any(run, out)
    note(stored.notices)
    count = write_baseline(stored.records, target)
    print(f"{count} cases: {target} ({target.stat().st_size / 1e3:.0f} kB)")


def _comparisons(
    names: Sequence[str],
    by: str | None,
    out: Path,
    rules: Rules,
    prices: dict[str, float],
    *,
    all_runs: bool,
) -> Iterator[tuple[Comparison, pd.DataFrame]]:
    """Each comparison that was asked for, with the frame of its second side."""
    from ..results.compare import compare
    from .published import read_frames

    if by is None and len(names) < 2:
        raise UsageError(
            f"one run given ('{names[0]}'); wanted A and B, or --by with what to hold against it"
        )
    frames = read_frames(names, out, all_runs=all_runs)
    check_prices(prices, frames)
    if by is None:
        first, *others = frames
        for other in others:
            yield compare(first, other, rules, prices=prices), other
        return
    from ..results.axes import axis_column, split_by
    from ..results.frame import join
    from ..results.machines import name_devices

    whole = name_devices(join(frames))
    axis, _, value = by.partition("=")
    column = axis_column(whole, axis)
    if left_out := int(whole[column].isna().sum()):
        note((f"{left_out} of {len(whole)} records have no {column}, and are in no comparison",))
    for a_name, b_name, a, b, leave_out in split_by(whole, column, value or None):
        found = compare(a, b, rules, leave_out=leave_out, names=(a_name, b_name), prices=prices)
        yield found, b


def read_prices(texts: Sequence[str]) -> dict[str, float]:
    """``trainium2=2.24`` as US dollars an hour by name. Raises ``UsageError``."""
    prices: dict[str, float] = {}
    for text in texts:
        name, _, figure = text.rpartition("=")
        try:
            usd = float(figure)
        except ValueError:
            usd = float("nan")
        if not name or not _USD[0] <= usd <= _USD[1]:
            raise UsageError(
                f"--price '{text}' given; wanted NAME=USD an hour, from {_USD[0]:g} to "
                f"{_USD[1]:g}: trainium2=2.24"
            )
        if prices.setdefault(name, usd) != usd:
            raise UsageError(f"--price {name} given twice, {prices[name]:g} and {usd:g}")
    return prices


def check_prices(prices: dict[str, float], frames: Sequence[pd.DataFrame]) -> None:
    """Raises ``UsageError`` for a price of what no record names."""
    from ..results.silicon_cost import priced_names

    known = {name for frame in frames for name in priced_names(frame)}
    for name in prices:
        if name not in known:
            raise unknown("name of --price", name, known)


def _print_tables(comparisons: Sequence[Comparison], most: int) -> None:
    from rich.console import Console

    from ..results.difference_table import print_comparison

    console = Console()
    for number, comparison in enumerate(comparisons):
        if number:
            console.rule()
        print_comparison(comparison, console, most)


def _judge(gate: Gate, found: Sequence[tuple[Comparison, Any]]) -> int:
    """Tell what closes the gate; the exit code."""
    from ..results.gate import findings

    closed: list[Finding] = [
        finding for comparison, frame in found for finding in findings(gate, comparison, frame)
    ]
    if not closed:
        return Exit.OK
    for finding in closed[:_MOST_FINDINGS]:
        print(f"trnbench: {finding.condition}: {finding.message}", file=sys.stderr)
    more = len(closed) - _MOST_FINDINGS
    if more > 0:
        print(f"trnbench: and {more} more findings", file=sys.stderr)
    return min(finding.exit_code for finding in closed)
