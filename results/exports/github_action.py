"""What github-action-benchmark charts: a list of named figures, one direction a file.

A list of objects with ``name``, ``unit``, ``value`` and, if there is more to say, ``range`` and
``extra``. Source: benchmark-action/github-action-benchmark, ``src/extract.ts``
(``BenchmarkResult``, ``extractCustomBenchmarkResult``), read 2026-11-26.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..lines import StoreError
from .cases import left_out, measured_rows, refuse_mixed_origins, require_one_run
from .escapes import one_line
from .exported import Exported

if TYPE_CHECKING:
    import pandas as pd

_FORM = "github-action-benchmark"


def smaller_is_better(frame: pd.DataFrame) -> Exported:
    """Times per call in microseconds, sustained else isolated, ± half of the 95 % interval.

    One unit for all cases and for ever: the action compares bare numbers across commits. The
    regime is in the name, since a time of the other one is another figure.
    """
    rows = _rows(frame)
    arm = (rows["high_s"] - rows["low_s"]) / 2
    return _entries(
        frame,
        rows,
        rows["name"] + " " + rows["regime"],
        ["µs"] * len(rows),
        rows["time_s"] * 1e6,
        arm * 1e6,
    )


def bigger_is_better(frame: pd.DataFrame) -> Exported:
    """Throughputs in the workload's own unit (FLOP/s, B/s, tokens/s), not scaled."""
    rows = _rows(frame)
    rows = rows[rows["throughput"].notna() & rows["throughput_unit"].notna()]
    relative = (rows["high_s"] - rows["low_s"]) / 2 / rows["time_s"]
    units = rows["throughput_unit"].astype("str")
    return _entries(
        frame,
        rows,
        rows["name"],
        units,
        rows["throughput"],
        (relative * rows["throughput"]).where(rows["regime"] == "sustained"),
    )


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    require_one_run(frame, _FORM)
    refuse_mixed_origins(frame)
    return measured_rows(frame)


def _entries(
    frame: pd.DataFrame,
    rows: pd.DataFrame,
    names: Iterable[str],
    units: Iterable[str],
    values: pd.Series[float],
    arms: pd.Series[float],
) -> Exported:
    if rows.empty:
        # The action itself fails on an empty list, with a message that names no case.
        raise StoreError(
            f"none of the {len(frame)} cases is OK with such a figure; {_FORM} wants one at least"
        )
    entries: list[dict[str, Any]] = []
    columns = (names, units, values, arms, _remarks(rows))
    for name, unit, value, arm, remark in zip(*columns, strict=True):
        entry = {"name": name, "unit": one_line(unit), "value": value}
        if arm == arm:  # noqa: PLR0124 - not known is NaN
            entry["range"] = f"± {arm:.3g}"
        entries.append(entry | {"extra": remark})
    notices = left_out(frame, rows, "not OK, or without this figure")
    return Exported(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", notices)


def _remarks(rows: pd.DataFrame) -> list[str]:
    """What the chart shows on a point: what can't be told from the number."""
    said = rows[["origin", "device", "processes", "flags"]].astype("str")
    columns = ((name, said[name], rows[name].isna()) for name in said)
    lines: list[list[str]] = [[] for _ in range(len(rows))]
    for name, texts, unknown in columns:
        for line, text, is_unknown in zip(lines, texts, unknown, strict=True):
            if text and not is_unknown:
                line.append(f"{name}: {one_line(text, 200)}")
    return ["\n".join(line) for line in lines]
