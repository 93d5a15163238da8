"""One row a case of several runs: the run becomes the unit of replication.

What varies between two runs of the same code on one machine is not in the interval of either.
With several runs on a side it is seen, and becomes the interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .alignment import row_numbers
from .machines import SILICON, name_devices
from .record import SEVERITY, Status
from .series import CASE
from .statistics import CONFIDENCE

if TYPE_CHECKING:
    import pandas as pd

_REGIMES = ("sustained", "isolated")
#: A run in which a case ended so has no time of it, and nothing against those of other runs.
_PASSED_OVER = (Status.SKIPPED, Status.BUSY_DEVICE, Status.NOT_STEADY, Status.RECOMPILED)
#: The highest stands for the side: the worst, but for those; or the best.
_WORST = (*_PASSED_OVER, *(status for status in SEVERITY if status not in _PASSED_OVER))
_RANKS = {str(status): rank for rank, status in enumerate(_WORST)}
_BEST = {str(status): -rank for rank, status in enumerate(SEVERITY)}


def fold_runs(
    frame: pd.DataFrame, leave_out: tuple[str, ...] = (), *, judged: bool = True
) -> pd.DataFrame:
    """A row for each case and kind of device, from all runs in ``frame`` that have it.

    Of a case that a run has twice, as in files that were merged, the newer record counts.
    ``runs_ok`` says how many runs ended OK, ``runs`` the same or 1, ``runs_with`` how many have the
    case, ``runs_of`` how many there are on that device. Times are geometric means over the runs
    that ended OK with a 95 % t-interval over those runs, and ``processes`` counts runs then. The
    status of a side that is ``judged`` is the worst of all runs, as of the processes of one, and OK
    where nothing worse befell the others than to have no steady time, or not to be tried; that of
    one to judge by is the best, since one bad run of many is no reason to expect nothing.
    Everything else is the newest run's that ended so. A case of one run stays as it is, with its
    interval over processes. ``leave_out``: see ``align``.
    """
    from scipy import special

    frame = name_devices(frame)
    silicon = row_numbers(frame, SILICON)
    runs_of = frame["run"].astype("object").groupby(silicon).transform("nunique").to_numpy()
    frame = frame.assign(runs_of=runs_of)
    keys = [name for name in (*SILICON, *CASE) if name not in leave_out]
    number = row_numbers(frame, keys)
    if not len(frame) or number.max() + 1 == len(frame):
        runs_ok = (frame["status"] == "OK").astype("int64")
        return frame.assign(runs=1, runs_ok=runs_ok, runs_with=1)
    frame = frame.assign(_group=number).sort_values("time", kind="stable")
    frame = frame.drop_duplicates(["_group", "run", *leave_out], keep="last")
    number = frame["_group"].to_numpy()
    statuses = frame["status"].astype("str")
    rank = statuses.map(_RANKS if judged else _BEST).to_numpy()
    ranked = frame.assign(_rank=rank).sort_values("_rank", kind="stable")
    folded = ranked.groupby("_group", sort=True).tail(1).sort_values("_group", kind="stable")
    having = np.bincount(number, minlength=len(folded))
    ok = (statuses == Status.OK).to_numpy()
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
    folded["runs_ok"], folded["runs_with"] = count, having
    return folded.drop(columns=["_group", "_rank"]).reset_index(drop=True)
