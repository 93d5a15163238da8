"""One axis of the cases held against itself: bf16 against fp32, compiled against eager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .frame_columns import CATEGORIES, EXTRA_PREFIXES
from .lines import StoreError

if TYPE_CHECKING:
    import pandas as pd

#: Names for people, and the columns that they mean, the first that varies.
_MEANINGS = {
    "sdk": (
        "version.torch-neuronx",
        "version.neuronx-cc",
        "version.libneuronxla",
        "version.torch_xla",
        "version.torch",
    ),
    "torch": ("version.torch",),
    "chip": ("chip", "device"),
}
_NOT_AN_AXIS = ("workload", "params", "status", "time")
#: A column of more values is no axis but a name.
_MOST_VALUES = 50


def axis_column(frame: pd.DataFrame, axis: str) -> str:
    """The column that an axis is. Raises ``StoreError`` naming what there is."""
    for column in _MEANINGS.get(axis, (axis, f"version.{axis}", f"variable.{axis}")):
        if (
            column in frame
            and column not in _NOT_AN_AXIS
            and len(frame[column].dropna().unique()) > 1
        ):
            return column
    varying = [
        column
        for column in frame.columns
        if column in (*CATEGORIES, "threads") or column.startswith(EXTRA_PREFIXES)
        if column not in _NOT_AN_AXIS and 1 < frame[column].nunique() <= _MOST_VALUES
    ]
    raise StoreError(
        f"--by '{axis}' given, of which these runs don't have two values; wanted one of "
        f"{', '.join(dict.fromkeys((*_first(varying), *varying))) or '(nothing varies here)'}"
    )


def split_by(
    frame: pd.DataFrame, column: str, baseline: str | None = None
) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame, tuple[str, ...]]]:
    """``(name of A, name of B, A, B, leave_out)`` for each value of a column but the baseline:
    the first value, or the one given. ``leave_out`` is for ``compare``."""
    values = frame[column].dropna().unique().tolist()
    first = values[0]
    if baseline is not None:
        known = {str(value): value for value in values}
        if baseline not in known:
            raise StoreError(f"no {column} '{baseline}'; there are {', '.join(known)}")
        first = known[baseline]
    leave_out = (column,)
    a = frame[frame[column] == first].reset_index(drop=True)
    for value in values:
        if value != first:
            b = frame[frame[column] == value].reset_index(drop=True)
            yield f"{column} {first}", f"{column} {value}", a, b, leave_out


def _first(columns: list[str]) -> list[str]:
    return [name for name in ("dtype", "mode", "backend", "chip", "run") if name in columns]
