"""Where figures come from: measured, published, or simulated on a stand-in for hardware.

A stand-in's figures say nothing of the hardware that it stands in for, so they share no table,
no comparison, no baseline and no score with those of real devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .lines import StoreError
from .record import Record

if TYPE_CHECKING:
    import pandas as pd

#: What stands above every table of simulated figures.
SIMULATED_NOTICE = (
    "SIMULATED: a stand-in for hardware answered; no figure here says anything of any device"
)


class OriginError(StoreError):
    """Simulated and real figures were given where they would be compared."""


def split_by_origin(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The records of real devices, and those of stand-ins."""
    real = [record for record in records if record.origin != "simulated"]
    return real, [record for record in records if record.origin == "simulated"]


def refuse_mixed_frames(*frames: pd.DataFrame) -> None:
    """The same as :func:`refuse_mixture`, for frames of records."""
    counts = [frame["origin"].value_counts() for frame in frames]
    simulated = sum(int(count.get("simulated", 0)) for count in counts)
    real = sum(int(count.sum()) for count in counts) - simulated
    if real and simulated:
        runs = {
            str(run)
            for frame in frames
            for run in frame.loc[frame["origin"] == "simulated", "run"].unique()
        }
        raise OriginError(_refusal(simulated, runs, real))


def refuse_mixture(*runs: Sequence[Record]) -> None:
    """Raises ``OriginError`` where simulated records stand beside others, within a run or
    across them."""
    real, simulated = split_by_origin([record for run in runs for record in run])
    if real and simulated:
        raise OriginError(_refusal(len(simulated), {r.run for r in simulated}, len(real)))


def _refusal(simulated: int, runs: set[str], real: int) -> str:
    return (
        f"{simulated} records are simulated (run {', '.join(sorted(runs))}) and {real} are not: a "
        "stand-in's figures can't be compared with a device's; give runs of real devices only"
    )
