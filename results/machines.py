"""Which rows were made on one kind of machine, and on which one a row was that doesn't say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .frame_columns import DEVICE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

#: Runs that agree in these were made on one kind of machine: CI gets another one of it each time.
MACHINE = (
    "origin",
    "device",
    "chip",
    "instance",
    "lnc",
    "share",
    "cores_used",
    "cpu",
    "threads",
)
#: What of it a side of several runs is told apart by: two hosts of one device are one machine.
SILICON = ("origin", "device", "chip", "lnc", "share")
#: Rows that agree in these ran on one device, if those of them that name one name the same: the
#: first that tell it count.
_ALIKE = (("run", "backend", "devices"), ("run", "backend"), ("backend",))


def name_devices(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a device in rows that have none, where the others leave no doubt.

    A case that failed before a device answered was to run where the rest of its run did, or the
    other runs of its backend, and is no case of another machine. Where those name several, it
    stays unknown.
    """
    for columns in _ALIKE:
        unknown = frame["device"].isna()
        if not unknown.any():
            break
        known = frame.loc[~unknown, [*columns, *DEVICE_COLUMNS]].drop_duplicates()
        known = known[~known.duplicated(list(columns), keep=False)]
        found = frame.loc[unknown, list(columns)].merge(known, on=list(columns), how="left")
        found.index = frame.index[unknown]
        frame = frame.copy(deep=False)
        for name in DEVICE_COLUMNS:
            column = frame[name].copy()
            column[unknown] = found[name]
            frame[name] = column
    return frame
