"""A frame of records in one Parquet file: every column, typed, in a twentieth of the space."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .frame_columns import (
    ABOVE_ZERO,
    CATEGORIES,
    EXTRA_PREFIXES,
    FLOATS,
    INTEGERS,
    TEXTS,
    TIME,
)
from .frame_types import require_known
from .lines import RecordError, StoreError
from .moments import in_calendar
from .printable import printable

if TYPE_CHECKING:
    import pandas as pd

PARQUET_SUFFIX = ".parquet"

_MISSING = (
    'Parquet wants pyarrow; install it with: pip install "trnbench[parquet]", or give a .jsonl file'
)


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write what :func:`read_parquet` gives back. Raises ``StoreError`` where it can't be."""
    _require()
    try:
        frame.to_parquet(path, engine="pyarrow", compression="zstd", index=False)
    except OSError as error:
        raise StoreError(f"can't write {path}: {error}") from error


def read_parquet(path: Path) -> pd.DataFrame:
    """A frame that :func:`write_parquet` stored, with the same types.

    Raises ``RecordError`` for a file that is no Parquet, or lacks columns of a record.
    """
    _require()
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except FileNotFoundError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise RecordError(
            f"{path}: no Parquet file that trnbench wrote: {' '.join(str(error).split())[:200]}; "
            "make one with: trnbench export RUN --to parquet"
        ) from error
    try:
        return _typed(frame)
    except (ValueError, TypeError) as error:
        raise RecordError(
            printable(
                f"{path}: {error}; wanted what trnbench export wrote: make it anew with: trnbench "
                "export RUN --to parquet"
            )
        ) from error


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a record with their types; others are left out. Raises ``ValueError`` and
    ``TypeError`` for a column that can't have its type."""
    import numpy as np

    if not frame.columns.is_unique:
        raise ValueError("two columns of one name")
    wanted = (*CATEGORIES, *INTEGERS, *FLOATS, *TEXTS, TIME)
    missing = [name for name in wanted if name not in frame]
    if missing:
        raise ValueError(f"no column {', '.join(missing[:5])}")
    names = [str(name) for name in frame.columns]
    for name in (*CATEGORIES, *(n for n in names if n.startswith(("version.", "variable.")))):
        frame[name] = _texts(frame[name]).astype("category")
    for name in TEXTS:
        frame[name] = _texts(frame[name]).astype("str")
    for name in (*INTEGERS, *FLOATS):
        column = frame[name].astype("Int64" if name in INTEGERS else "float64")
        if name in FLOATS and np.isinf(column).any():
            raise ValueError(f"column '{name}' holds infinity")
        if name in ABOVE_ZERO and (column <= 0).any():
            raise ValueError(f"column '{name}' holds {column.min():g}; wanted more than 0")
        frame[name] = column
    _require_times(frame)
    _require_plain(frame[[name for name in names if name.startswith("param.")]])
    require_known(frame)
    return frame[[name for name in names if name in wanted or name.startswith(EXTRA_PREFIXES)]]


def _require_times(frame: pd.DataFrame) -> None:
    """Of a run each record has a time; of a table that others published not each has."""
    import pandas as pd

    times = frame[TIME]
    unknown = times.isna() & (frame["origin"] == "published")
    if not isinstance(times.dtype, pd.DatetimeTZDtype) or not (in_calendar(times) | unknown).all():
        raise ValueError(f"column '{TIME}' holds something else than times of a known zone")


def _require_plain(params: pd.DataFrame) -> None:
    import pandas as pd

    for name, column in params.items():
        if pd.api.types.is_object_dtype(column.dtype) and not column.dropna().map(_is_plain).all():
            raise ValueError(f"column '{name!s:.60}' holds something else than figures and texts")


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """The column, as texts or as categories that are some. Raises ``ValueError`` where there is
    something else in it."""
    import pandas as pd

    is_category = isinstance(column.dtype, pd.CategoricalDtype)
    own = column.cat.categories if is_category else column
    if isinstance(own.dtype, pd.StringDtype):
        return column
    # Only where the type doesn't say so is each value looked at.
    if not all(isinstance(value, str) for value in own[own.notna()]):
        raise ValueError(f"column '{column.name!s:.60}' holds something else than texts")
    return column.astype("str")


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | float | str)


def _require() -> None:
    # pandas would say so later, with a longer message.
    if importlib.util.find_spec("pyarrow") is None:
        raise StoreError(_MISSING)
