"""Tables in GitHub's Markdown: a run for a job's summary, a difference for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..frame_columns import CEILINGS
from ..origin import SIMULATED_NOTICE
from ..quantity import (
    UNKNOWN,
    format_fraction,
    format_plus_minus,
    format_rate,
    format_ratio,
    format_seconds,
)
from .cases import case_names, headline_times, is_failed, refuse_mixed_origins
from .escapes import escape_markdown
from .exported import Exported
from .page import Page

if TYPE_CHECKING:
    import pandas as pd

    from ..compare import Comparison
    from ..difference import DiffRow, Side

#: A summary is read beside others: what failed, and then so many of the rest.
RUN_ROWS = 40
FIRST_ROWS = 20
#: More than fit a comment, however short they are.
_MOST_ROWS = 1000
_LONGEST_NAME = 120
_LONGEST_SENTENCE = 240

_COLUMNS = [
    "name",
    "time_s",
    "low_s",
    "high_s",
    "throughput",
    "throughput_unit",
    "bound",
    "status",
    "failure",
    "flags",
    *(f"fraction_{ceiling}" for ceiling in CEILINGS),
]

STORED_RUNS = (
    "UNPAIRED: both sides are stored runs of one machine, made at different times. A difference "
    "beyond the intervals can't be told from the machine's mood: measure both again, interleaved."
)


def run_markdown(frame: pd.DataFrame) -> Exported:
    """The cases of one run or several: what failed first, then the slowest; at most 40 in all."""
    refuse_mixed_origins(frame)
    rows = frame.join(headline_times(frame)).assign(name=case_names(frame))
    rows["failed"] = rows["status"].map(is_failed).astype("bool")
    rows = rows.sort_values(["failed", "time_s"], ascending=[False, False], kind="stable")
    page = Page()
    page.add(_counted(rows))
    if (rows["origin"].astype("str") == "simulated").any():
        page.add("", f"**{SIMULATED_NOTICE}**")
    if len(rows):
        page.add("", "| case | time | ± | throughput | of its ceiling | status |")
        page.add("|---|--:|--:|--:|---|---|")
        shown = page.add_rows(map(_run_line, rows[_COLUMNS].head(RUN_ROWS).to_dict("records")))
        if shown < len(rows):
            page.add("", f"and {len(rows) - shown} more cases")
    return Exported(page.text())


def _counted(rows: pd.DataFrame) -> str:
    counts = rows["status"].astype("str").value_counts()
    said = ", ".join(f"{count} {escape_markdown(str(status))}" for status, count in counts.items())
    runs = rows["run"].astype("str").unique()
    which = f"run {escape_markdown(runs[0], 60)}" if len(runs) == 1 else f"{len(runs)} runs"
    return f"**trnbench**, {which}: {len(rows)} cases ({said or 'none'})"


def _run_line(row: dict[Any, Any]) -> str:
    figures = {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124
    time_s = figures["time_s"]
    arm = UNKNOWN
    if time_s is not None:
        arm = format_plus_minus(time_s, figures["low_s"], figures["high_s"])
    status = escape_markdown(str(row["status"]))
    if figures["failure"] and str(row["status"]) != "OK":
        status += f": {escape_markdown(row['failure'], _LONGEST_SENTENCE)}"
    elif figures["flags"]:
        status += f" ({escape_markdown(row['flags'], _LONGEST_SENTENCE)})"
    unit = figures["throughput_unit"] and escape_markdown(figures["throughput_unit"], 40)
    return _line(
        escape_markdown(row["name"], _LONGEST_NAME),
        format_seconds(time_s),
        arm,
        format_rate(figures["throughput"], unit),
        _nearest_ceiling(figures),
        status,
    )


def _nearest_ceiling(figures: dict[Any, Any]) -> str:
    """The fraction of the last ceiling that is known, which is the attained one if there is one."""
    for ceiling in reversed(CEILINGS):
        fraction = figures[f"fraction_{ceiling}"]
        if fraction is not None:
            bound = f" ({escape_markdown(figures['bound'], 20)})" if figures["bound"] else ""
            return f"{format_fraction(fraction)} of {ceiling}{bound}"
    return UNKNOWN


def difference_markdown(comparison: Comparison) -> str:
    """A difference as the comment of a pull request: within GitHub's 65,536 bytes, whatever is
    in it. What matters first stands in a table of at most 20 rows, the rest is folded away."""
    counts = comparison.counts
    first, rest = _split(comparison.rows(_MOST_ROWS))
    page = Page()
    page.add(f"### {escape_markdown(comparison.headline, 2 * _LONGEST_SENTENCE)}")
    a, b = (escape_markdown(name, _LONGEST_SENTENCE) for name in (comparison.a, comparison.b))
    page.add("", f"A: {a}", "", f"B: {b}")
    page.add_list("", comparison.warnings)
    if first:
        page.add("", *_HEAD)
        page.add_rows(map(_difference_line, first))
    if counts.get("UNPAIRED") and not any("UNPAIRED" in said for said in comparison.warnings):
        page.add("", f"> {STORED_RUNS}")
    means = [_mean_line(*mean) for mean in comparison.geometric_means]
    if means:
        page.add("", "| class | cases | B / A | 95 % | expected |", "|---|--:|--:|--:|--:|")
        page.add_rows(means)
    page.add_list("What changed in the environment:", comparison.environment_changes)
    left = sum(counts.values()) - len(first)
    page.add_folded(f"{left} more cases", _HEAD, map(_difference_line, rest), left)
    return page.text()


_HEAD = (
    "| verdict | case | A | B | B / A | expected | why |",
    "|---|---|--:|--:|--:|--:|---|",
)


def _split(rows: Sequence[DiffRow]) -> tuple[list[DiffRow], list[DiffRow]]:
    """The rows that say something, at most 20, and all others, both in their order."""
    telling = [row for row in rows if row.verdict not in ("SAME", "UNDECIDED")][:FIRST_ROWS]
    chosen = {id(row) for row in telling}
    return telling, [row for row in rows if id(row) not in chosen]


def _difference_line(row: DiffRow) -> str:
    ratio = format_ratio(row.ratio)
    if row.low is not None and row.high is not None:
        ratio += f" ({format_ratio(row.low)} to {format_ratio(row.high)})"
    why = "; ".join(part for part in (row.cause, row.why) if part)
    return _line(
        escape_markdown(row.verdict, 40),
        escape_markdown(row.name, _LONGEST_NAME),
        _side(row.a),
        _side(row.b),
        ratio,
        format_ratio(row.expected_ratio),
        escape_markdown(why, _LONGEST_SENTENCE),
    )


def _side(side: Side | None) -> str:
    if side is None:
        return UNKNOWN
    if side.status != "OK":
        return escape_markdown(side.status, 40)
    return format_seconds(side.time_s)


def _mean_line(
    kind: str,
    count: int,
    ratio: float | None,
    low: float | None,
    high: float | None,
    expected: float | None,
) -> str:
    interval = UNKNOWN
    if low is not None and high is not None:
        interval = f"{format_ratio(low)} to {format_ratio(high)}"
    return _line(
        escape_markdown(kind, _LONGEST_NAME),
        str(count),
        format_ratio(ratio),
        interval,
        format_ratio(expected),
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
