"""Tables at any width: no wider than the terminal, and no more folded than they must be."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from trnbench.results.columns import Column, fitted_table

ROWS = [
    ("memory triad-12MiB fp32 eager", "9.09 GFLOP/s", "L3, attained"),
    ("norm rms-512x1024 fp32 compiled", "5.84 GFLOP/s", "tensor, attained"),
]
COLUMNS = [
    Column("case", "left", lambda row: row[0], folds=True),
    Column("rate", "right", lambda row: row[1]),
    Column("bound by", "left", lambda row: row[2]),
]
WHOLE = 31 + 12 + 16


def printed(width, dropped=()):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    console.print(fitted_table(COLUMNS, ROWS, width, dropped))
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


@pytest.mark.parametrize("width", range(45, 90))
def test_a_table_fits_and_its_names_take_what_room_there_is(width):
    lines = printed(width)
    used = max(map(cell_len, lines))

    assert used <= width
    assert all(figure in "\n".join(lines) for _, figure, _ in ROWS), "no figure is cut"
    if width >= WHOLE + 4:
        assert len(lines) == 5, "nothing folds that needn't"
    else:
        # All of the width but what the last column's own words leave of theirs.
        assert used >= width - 1


def test_each_cell_wider_leaves_no_more_lines_than_before():
    counts = [len(printed(width)) for width in range(45, 90)]
    assert counts == sorted(counts, reverse=True)


def test_room_that_a_dropped_column_leaves_goes_to_the_names():
    lines = printed(41, ("rate",))

    assert "GFLOP/s" not in "\n".join(lines)
    assert lines[3].startswith("memory triad-12MiB fp32"), "and not broken after each word"


def test_what_has_no_room_is_named_below_the_table():
    assert printed(40, ("bound by", "rate"))[-1] == "no room for: bound by"
    assert not any("no room" in line for line in printed(90, ("bound by",)))
    # Said in the name, it isn't left out.
    table = fitted_table(COLUMNS, ROWS, 40, ("bound by",), said_in_name=("bound by",))
    assert table.caption is None
