"""A series of runs for Apache Otava, which finds change-points in it.

One row a run, oldest first: ``time``, ``commit``, ``run``, and a column of seconds for each case.
Source: apache/otava, ``docs/CSV.md`` and ``otava/importer.py`` (``CsvImporter``: every value must
read as a float; "nan" is one that is missing), release 0.8.0, read 2026-11-26.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..lines import StoreError
from .cases import left_out, measured_rows, refuse_mixed_origins
from .escapes import one_line
from .exported import Exported

if TYPE_CHECKING:
    import pandas as pd

ATTRIBUTES = ("commit", "run")
_TIME = "%Y-%m-%d %H:%M:%S +0000"


def otava_csv(frame: pd.DataFrame) -> Exported:
    """The series. A case that a run has no time of is ``nan`` there.

    Each column is of one regime in all runs: sustained where every run has that, else isolated.
    Raises ``StoreError`` for runs of several machines: the change-point would be the machine's;
    and for a run without a time, which has no place in a series.
    """
    rows = _rows(frame)
    runs = rows.groupby("run", observed=True)
    heads = runs.agg(time=("time", "max"), commit=("commit", "first")).sort_values("time")
    undated = heads.index[heads["time"].isna()]
    if len(undated):
        raise StoreError(
            f"{len(undated)} of {len(heads)} runs have no time, the first '{undated[0]}'; Otava "
            "wants one for each. Leave them out"
        )
    table = rows.pivot_table(
        index="run", columns="metric", values="value", aggfunc="first", observed=True, sort=False
    ).reindex(heads.index)
    table.insert(0, "time", heads["time"].dt.strftime(_TIME))
    table.insert(1, "commit", heads["commit"].astype("str").where(heads["commit"].notna(), ""))
    table.insert(2, "run", [one_line(str(run)) for run in heads.index])
    text = table.to_csv(index=False, na_rep="nan", lineterminator="\n")
    return Exported(text, left_out(frame, rows, "not OK, or without a time"))


def otava_config(frame: pd.DataFrame) -> Exported:
    """The ``tests`` of an ``otava.yaml``: every case as a metric of which less is better.

    Put the path of the series in place of ``series.csv``.
    """
    lines = [
        "tests:",
        "  trnbench:",
        "    type: csv",
        "    file: series.csv",
        "    time_column: time",
        f"    attributes: [{', '.join(ATTRIBUTES)}]",
        "    metrics:",
    ]
    for name in _rows(frame)["metric"].unique():
        # A JSON text is a YAML text.
        quoted = json.dumps(name, ensure_ascii=False)
        lines.append(f"      {quoted}: {{column: {quoted}, direction: -1, scale: 1}}")
    return Exported("\n".join(lines) + "\n")


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    refuse_mixed_origins(frame)
    _require_one_machine(frame)
    rows = measured_rows(frame)
    if rows.empty:
        raise StoreError(f"none of the {len(frame)} cases is OK with a time; Otava wants a series")
    whole = rows["sustained_s"].notna().groupby(rows["name"]).transform("all")
    value = rows["sustained_s"].where(whole, rows["isolated_s"])
    regime = whole.map({True: "sustained", False: "isolated"})
    rows = rows.assign(value=value, metric=rows["name"] + " " + regime)
    return rows[rows["value"].notna()]


def _require_one_machine(frame: pd.DataFrame) -> None:
    known = frame[["machine", "device"]].astype("str").drop_duplicates()
    machines = known["machine"].nunique()
    if machines > 1:
        raise StoreError(
            f"runs of {machines} machines given; wanted one: a change-point between two machines "
            "is no change of the code"
        )
