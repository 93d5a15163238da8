"""Since when: the cases whose level changed in the stored runs, and what changed at that run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..case_history import moments
from ..history_table import explain_turn, headline
from ..quantity import UNKNOWN, format_ratio, format_seconds
from .blocks import Block, Cell, Chart, Heading, Section, Table
from .differences import VERDICTS
from .history_plot import Strip, plot_histories
from .svg import draw
from .text import count, lower, name, one_line

if TYPE_CHECKING:
    from ..case_history import CaseHistory, Turn

#: Strips of the chart, rows of the table; the newest changes stand first.
_MOST_STRIPS = 12
_MOST_ROWS = 500
_STRIP_LETTERS = 90


def history_section(histories: Sequence[CaseHistory]) -> Section | None:
    """Chart and table of what changed; None without a history."""
    if not histories:
        return None
    turned = [(history, turn) for moment in moments(histories) for history, turn in moment.turns]
    blocks: list[Block] = []
    if turned:
        chart = _chart(turned)
        blocks += [one for one in (chart, _table("history-changes", turned)) if one is not None]
    return Section(
        "history",
        "Since when",
        f"{one_line(headline(histories))}. A level is what the times of one kind of machine stay "
        "at for five runs or more; in the mean at most 5 % of the changes that are told are false. "
        "Beside each stands what was recorded to differ at that run.",
        blocks,
    )


def _chart(turned: Sequence[tuple[CaseHistory, Turn]]) -> Chart | None:
    """The cases whose level changed, the newest change first."""
    cases: dict[tuple[int, str], tuple[CaseHistory, str]] = {}
    for history, turn in turned:
        if turn.regime is not None:
            cases.setdefault((id(history), turn.regime), (history, turn.regime))
    if not cases:
        return None
    shown = list(cases.values())[:_MOST_STRIPS]
    said = count(len(shown), "case")
    said += f", the newest changes of {len(cases):,}" if len(cases) > len(shown) else ""
    title = "Times run after run, of the cases whose level changed"
    data = [
        (history, turn)
        for history, regime in shown
        for turn in history.changes
        if turn.regime in (regime, None)
    ]
    return Chart(
        "history-chart",
        draw(
            plot_histories([_strip(history, regime) for history, regime in shown]),
            title,
            f"{said}; the table below has the changes",
        ),
        f"{title}: {said}. Thick: the median of a level; dashed: where it ended",
        _table("history-data", data),
    )


def _strip(history: CaseHistory, regime: str) -> Strip:
    calls = ", isolated calls" if regime == "isolated" else ""
    title = f"{_case(history)} {history.dtype}, {history.machine_name}{calls}"
    turns = [
        (turn, one_line(explain_turn(history, turn)))
        for turn in history.changes
        if turn.regime in (regime, None)
    ]
    return Strip(one_line(title, _STRIP_LETTERS), history, regime, turns)


def _table(id_: str, turned: Sequence[tuple[CaseHistory, Turn]]) -> Table:
    headings = [
        Heading("case"),
        Heading("what"),
        Heading("since"),
        Heading("after/before", figure=True, explained="of the times: above 1, slower"),
        Heading("now", figure=True, explained="time of a call in the newest run"),
        Heading("changed there"),
    ]
    total = len(turned)
    return Table(
        id_,
        "What changed, the newest first",
        headings,
        [_row(history, turn) for history, turn in turned[:_MOST_ROWS]],
        note=f"The newest {_MOST_ROWS} of {total:,}." * (total > _MOST_ROWS),
        active=id_ == "history-changes",
        chosen_by=1,
    )


def _row(history: CaseHistory, turn: Turn) -> list[Cell]:
    sign, tone = VERDICTS[turn.verdict]
    again = "" if turn.standing else "changed again later"
    newest = history.times_s(turn.regime or history.regime)[-1]
    interval = ""
    if turn.low is not None and turn.high is not None:
        interval = f"{format_ratio(turn.low)} to {format_ratio(turn.high)}"
    calls = ", isolated calls" if turn.regime == "isolated" else ""
    return [
        Cell(_case(history), more=name(f"{history.dtype}, {history.machine_name}{calls}")),
        Cell(f"{sign} {lower(turn.verdict)}", sort=lower(turn.verdict), more=again, tone=tone),
        Cell(turn.time[:10], sort=turn.time, more=name(turn.run)),
        Cell(format_ratio(turn.ratio), sort=turn.ratio, more=interval),
        Cell(UNKNOWN if newest is None else format_seconds(newest), sort=newest),
        Cell(one_line(turn.cause), more=one_line(turn.failure or "")),
    ]


def _case(history: CaseHistory) -> str:
    mode = "" if history.mode == "eager" else f" {history.mode}"
    return name(f"{history.workload} {history.configuration}{mode}")
