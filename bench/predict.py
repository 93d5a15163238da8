"""``trnbench predict``: published measurements beside what the chip's ceilings say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .command_options import AsJson, print_json
from .errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ..results.predictions import PredictedRow


def predict(
    table: Annotated[
        str,
        typer.Argument(
            metavar="FILE.csv[#CHIP]", help="Published measurements, or those of one chip of them."
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """What published rows should take by the ceilings that were measured of their chip, with
    nothing fitted: engines, DMA, the path through the compiler; and what binds each."""
    from ..results.predictions import predict_rows, scores

    file, _, chip = table.partition("#")
    if not Path(file).is_file():
        raise UsageError(f"no file '{file}'; wanted a CSV file of published measurements")
    rows = predict_rows(Path(file), chip)
    if not rows:
        raise UsageError(f"no row of '{file}' is of chip '{chip}'")
    if as_json:
        print_json({"rows": [{**_as_dict(row)} for row in rows], "classes": list(scores(rows))})
        return
    from rich.console import Console

    _print(rows, Console(highlight=False))


def _as_dict(row: PredictedRow) -> dict[str, object]:
    found = row.prediction
    return {
        "id": row.id,
        "chip": row.chip or None,
        "class": row.kind,
        "measured_s": row.measured_s,
        "predicted_s": found and found.seconds,
        "error": row.error,
        "within": row.within,
        "bound": found and found.bound,
        "parts_s": found.parts if found else {},
        "reason": row.reason,
    }


def _print(rows: Sequence[PredictedRow], console: Console) -> None:
    from ..results.columns import Column, fitted_table, say
    from ..results.predictions import Score, scores
    from ..results.quantity import format_fraction, format_seconds

    predicted = [row for row in rows if row.prediction is not None]
    columns: list[Column[PredictedRow]] = [
        Column("row", "left", lambda row: row.id.replace("-", " "), folds=True),
        Column("class", "left", lambda row: row.kind),
        Column("measured", "right", lambda row: format_seconds(row.measured_s)),
        Column(
            "predicted",
            "right",
            lambda row: format_seconds(row.prediction.seconds if row.prediction else None),
        ),
        Column("error", "right", lambda row: f"{row.error:+.1%}" if row.error is not None else ""),
        Column("bound", "left", lambda row: row.prediction.bound if row.prediction else ""),
        Column("", "left", lambda row: "outside" if row.within is False else ""),
    ]
    if predicted:
        console.print(fitted_table(columns, predicted, console.width, ("class",)))
    counted: list[Column[Score]] = [
        Column("class", "left", lambda one: one.kind),
        Column("rows", "right", lambda one: str(one.rows)),
        Column("median error", "right", lambda one: format_fraction(one.median)),
        Column("largest", "right", lambda one: format_fraction(one.largest)),
        Column("target", "right", lambda one: format_fraction(one.target)),
        Column("within", "right", lambda one: f"{one.within} of {one.rows}"),
    ]
    found = scores(rows)
    if found:
        console.print(fitted_table(counted, found, console.width, ()))
    for reason, count in Counter(row.reason for row in rows if row.reason).most_common():
        say(console, f"not predicted ({count}): {reason}", "dim")
