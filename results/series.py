"""Runs of one kind of machine as series: for each case what every run has of it, in time order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .alignment import row_numbers
from .machines import MACHINE
from .origin import refuse_mixed_frames
from .statistics import Floats

if TYPE_CHECKING:
    import pandas as pd

REGIMES = ("sustained", "isolated")
CASE = ("workload", "configuration", "params", "phase", "dtype", "mode", "backend", "devices")
#: A case of which these change is other work from there on, and another series.
WORK_DONE = ("flops", "items")


class _Columns:
    """Columns of a frame as plain values, None where one isn't known, each made once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._made: dict[str, NDArray[np.object_]] = {}

    def values(self, name: str) -> NDArray[np.object_]:
        made = self._made.get(name)
        if made is None:
            column = self._frame[name]
            unknown = column.isna().to_numpy()
            if name == "time":
                column = column.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
            made = column.to_numpy(dtype=object, copy=True)
            made[unknown] = None
            self._made[name] = made
        return made


@dataclass(frozen=True, slots=True)
class Series:
    """One case on one kind of machine, a value a run in time order.

    ``times`` has seconds a call for each regime, NaN where a run has no result.
    """

    columns: _Columns
    rows: NDArray[np.int64]
    times: dict[str, Floats]

    def column(self, name: str) -> list[Any]:
        """The values of a column, None where one isn't known; times as ISO 8601 in UTC."""
        return list(self.columns.values(name)[self.rows])

    def fact(self, name: str) -> Any:
        """The value of a column that is the same in all runs; None where it isn't known."""
        return self.columns.values(name)[self.rows[0]]


def make_series(frame: pd.DataFrame, last: int | None = None) -> Iterator[Series]:
    """A series for each case and kind of machine in ``frame``, in the order in which cases stand
    there; of the newest ``last`` runs.

    Runs are ordered by the time of their first record. Of a case that a run has twice, as in
    files that were merged, the newer record counts. Raises ``OriginError`` where simulated
    figures stand beside others.
    """
    import pandas as pd

    refuse_mixed_frames(frame)
    if frame.empty:
        return
    number = row_numbers(frame, (*MACHINE, *CASE, *WORK_DONE))
    run = pd.factorize(frame["run"].astype("object"))[0]
    began = frame["time"].groupby(run).transform("min").to_numpy()
    own = frame["time"].to_numpy()
    order = np.lexsort((own, run, began, number))
    # The last record of a run and a case stays.
    same = (number[order][1:] == number[order][:-1]) & (run[order][1:] == run[order][:-1])
    order = order[np.append(~same, True)]
    ok = (frame["status"] == "OK").to_numpy()
    columns = _Columns(frame)
    times = {}
    for regime in REGIMES:
        time_s = frame[f"{regime}_s"].to_numpy(dtype=np.float64)
        times[regime] = np.where(ok & (time_s > 0) & np.isfinite(time_s), time_s, np.nan)
    for rows in np.split(order, np.flatnonzero(np.diff(number[order])) + 1):
        chosen = rows if last is None else rows[-last:]
        yield Series(columns, chosen, {name: values[chosen] for name, values in times.items()})
