"""A table for spreadsheets: every column of the frame, one row a case.

Times are in seconds, rates in SI base units, counts whole. A text that a spreadsheet would take
for a formula has an apostrophe before it; a number is a number, with the digits to read it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .escapes import guard_formula
from .exported import Exported

if TYPE_CHECKING:
    import pandas as pd


def csv_text(frame: pd.DataFrame) -> Exported:
    """RFC 4180 but for its line ends, which are of one character; unknown values are empty."""
    import pandas as pd

    names = [guard_formula(str(name)) for name in frame.columns]
    guarded = pd.concat([_guard_column(frame[name]) for name in frame.columns], axis=1)
    guarded = guarded.set_axis(names, axis="columns")
    return Exported(guarded.to_csv(index=False, lineterminator="\n"))


def _guard_column(values: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    if isinstance(values.dtype, pd.CategoricalDtype):
        # A name that becomes another's when it is guarded must not be refused.
        values = values.astype("str")
    elif is_numeric_dtype(values.dtype) or isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    return values.map(_guard_value, na_action="ignore")


def _guard_value(value: Any) -> Any:
    return guard_formula(value) if isinstance(value, str) else value
