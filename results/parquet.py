"""A frame of records in one Parquet file: every column, typed, in a twentieth of the space."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from .lines import RecordError, StoreError

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

    from .frame_columns import CATEGORIES, FLOATS, INTEGERS, TEXTS, TIME

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except FileNotFoundError as error:
        raise StoreError(f"can't read {path}: {error.strerror}") from error
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError) as error:
        raise RecordError(
            f"{path}: no Parquet file that trnbench wrote: {' '.join(str(error).split())[:200]}; "
            "make one with: trnbench export RUN --to parquet"
        ) from error
    wanted = [*CATEGORIES, *INTEGERS, *FLOATS, *TEXTS, TIME]
    missing = [name for name in wanted if name not in frame]
    if missing:
        raise RecordError(
            f"{path}: no column {', '.join(missing[:5])}; wanted a file that trnbench export wrote"
        )
    types = {
        **dict.fromkeys(CATEGORIES, "category"),
        **dict.fromkeys(INTEGERS, "Int64"),
        **dict.fromkeys(FLOATS, "float64"),
        **dict.fromkeys(TEXTS, "str"),
    }
    try:
        return frame.astype({k: v for k, v in types.items() if str(frame[k].dtype) != v})
    except (ValueError, TypeError) as error:
        raise RecordError(f"{path}: a column of another type: {error}") from error


def _require() -> None:
    # pandas would say so later, with a longer message.
    if importlib.util.find_spec("pyarrow") is None:
        raise StoreError(_MISSING)
