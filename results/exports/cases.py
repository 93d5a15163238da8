"""What every form needs of a frame of records: names of cases, and one time for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..case_names import short_names
from ..lines import StoreError
from ..origin import OriginError
from ..record import ACCEPTED
from .escapes import one_line

if TYPE_CHECKING:
    import pandas as pd

#: The columns that make two cases different.
KEY = ("workload", "configuration", "params", "phase", "dtype", "mode", "backend", "devices")


def case_names(frame: pd.DataFrame) -> pd.Series[str]:
    """``matmul[square-512-fp32-eager-cpu]`` for each row, as pytest names it, on one line.

    Where cases that differ would share a name, their parameters and devices are added to it.
    """
    text = frame[["params", "phase"]].astype("str")
    names = short_names(frame).map(one_line)
    key = [text["params"], text["phase"], frame["devices"]]
    groups = frame.assign(_name=names).groupby([names, *key], dropna=False, observed=True)
    shared = groups.ngroup().groupby(names).transform("nunique") > 1
    devices = frame["devices"].astype("str")
    whole = names + " " + text["params"] + " " + text["phase"] + " x" + devices
    return names.where(~shared, whole.map(one_line))


def headline_times(frame: pd.DataFrame) -> pd.DataFrame:
    """``time_s``, ``low_s``, ``high_s`` and ``regime`` of each row: sustained, else isolated."""
    sustained = frame["sustained_s"].notna()
    times = {
        name: frame[f"sustained_{column}"].where(sustained, frame[f"isolated_{column}"])
        for name, column in (("time_s", "s"), ("low_s", "low_s"), ("high_s", "high_s"))
    }
    regime = sustained.map({True: "sustained", False: "isolated"})
    return frame[[]].assign(**times, regime=regime)


def measured_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are OK and have a time, with their ``name`` and :func:`headline_times`."""
    rows = frame.join(headline_times(frame)).assign(name=case_names(frame))
    return rows[(rows["status"].astype("str") == "OK") & rows["time_s"].notna()]


def left_out(frame: pd.DataFrame, kept: pd.DataFrame, why: str) -> tuple[str, ...]:
    """A notice about the rows that aren't in ``kept``, if there are any."""
    count = len(frame) - len(kept)
    return (f"{count} of {len(frame)} cases left out: {why}",) if count else ()


def require_one_run(frame: pd.DataFrame, form: str) -> str:
    """The id of the only run in the frame. Raises ``StoreError`` where there are several."""
    runs = list(frame["run"].astype("str").unique())
    if len(runs) == 1:
        return str(runs[0])
    given = ", ".join(map(one_line, runs[:5])) or "none"
    raise StoreError(
        f"{len(runs)} runs given ({given}); a file of {form} holds one: export each to its own"
    )


def refuse_mixed_origins(frame: pd.DataFrame) -> None:
    """Raises ``OriginError`` where simulated figures would stand beside others."""
    simulated = frame["origin"].astype("str") == "simulated"
    if simulated.any() and not simulated.all():
        raise OriginError(
            f"{int(simulated.sum())} records are simulated and {int((~simulated).sum())} are not: "
            "a stand-in's figures can't share a file with a device's; export them apart"
        )


def is_failed(status: Any) -> bool:
    """Whether a case that ended so fails its run."""
    return str(status) not in ACCEPTED
