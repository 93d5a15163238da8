"""One row a case of several runs: the run becomes the unit of replication.

What varies between two runs of the same code on one machine is not in the interval of either.
With several runs on a side it is seen, and becomes the interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .alignment import WORK
from .statistics import CONFIDENCE

if TYPE_CHECKING:
    import pandas as pd

#: A case, as two runs of one side have to agree on it.
_CASE = (*WORK, "configuration", "mode", "backend", "devices")
_REGIMES = ("sustained", "isolated")


def fold_runs(frame: pd.DataFrame, leave_out: tuple[str, ...] = ()) -> pd.DataFrame:
    """A row for each case, from all runs in ``frame`` that have it; ``runs`` says of how many.

    Times are geometric means over the runs that ended OK with a 95 % t-interval over those runs,
    and ``processes`` counts runs then; everything else is the newest run's. A case of one run
    stays as it is, with its interval over processes. ``leave_out``: see ``align``.
    """
    from scipy import special

    keys = [name for name in _CASE if name not in leave_out]
    groups = frame.groupby(keys, observed=True, sort=False, dropna=False)
    number = groups.ngroup().to_numpy()
    if not len(frame) or number.max() + 1 == len(frame):
        return frame.assign(runs=1)
    newest = frame.assign(_group=number).sort_values("time", kind="stable")
    folded = newest.groupby("_group", sort=True).tail(1).sort_values("_group", kind="stable")
    ok = (frame["status"] == "OK").to_numpy()
    count = np.bincount(number[ok], minlength=len(folded))
    several = count > 1
    for regime in _REGIMES:
        time_s = frame[f"{regime}_s"].to_numpy(dtype=np.float64)
        use = ok & (time_s > 0)
        logs = np.where(use, np.log(np.where(use, time_s, 1.0)), 0.0)
        seen = np.bincount(number[use], minlength=len(folded))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(number, logs, len(folded)) / seen
            off = np.where(use, logs - mean[number], 0.0)
            variance = np.bincount(number, off**2, len(folded)) / (seen - 1)
            half = special.stdtrit(seen - 1.0, (1 + CONFIDENCE) / 2) * np.sqrt(variance / seen)
        chosen = several & (seen > 1)
        for name, values in (("s", mean), ("low_s", mean - half), ("high_s", mean + half)):
            own = folded[f"{regime}_{name}"].to_numpy(dtype=np.float64)
            folded[f"{regime}_{name}"] = np.where(chosen, np.exp(values), own)
    folded["processes"] = folded["processes"].where(~several, count).astype("Int64")
    folded["runs"] = np.maximum(count, 1)
    return folded.drop(columns="_group").reset_index(drop=True)
