"""Differences as they are printed: every figure whole, at every width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trnbench.results.columns import Legend
from trnbench.results.compare import compare
from trnbench.results.difference_table import difference_table
from trnbench.results.frame import frame_of


@pytest.mark.parametrize("width", range(64, 100))
def test_long_names_fold_before_a_figure_is_cut(make, width):
    params = [{"op": "mm", "m": n, "n": n, "k": n} for n in (2048, 4096, 8192)]
    here = [make.case(configuration=f"square-{p['m']}", params=p) for p in params]
    there = [
        make.case(configuration=f"somebody-gemm-xla-bf16-{p['m']}-chip1", params=p, mode="kernel")
        for p in params
    ]
    rows = compare(
        frame_of([make.record(case=case, flags=["PREEMPTED"]) for case in here]),
        frame_of(
            [make.record(case=case, medians=[14.03e-6], origin="published") for case in there]
        ),
    ).rows()
    assert len(rows) == 3
    console = Console(width=width, record=True, file=io.StringIO())

    console.print(difference_table(rows, width, Legend(numbered=True)))

    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    shown = [line.split() for line in lines]
    figures = [cells for cells in shown if "0.0140" in cells]
    assert len(figures) == 3
    # The last column is what a table that is too wide loses first.
    assert all(cells[-2:] == ["1", "2"] for cells in figures)
    assert any(cells[:2] == ["verdict", "case"] for cells in shown)
