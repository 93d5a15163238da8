"""What cases are called in a frame: as pytest names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def name_parameters(configuration: str, dtype: str, mode: str, backend: str, devices: int) -> str:
    """What stands in a case's brackets: ``square-512-bf16-compiled-cuda``, with ``-x2`` behind it
    for two devices; one goes without saying."""
    return f"{configuration}-{dtype}-{mode}-{backend}" + ("" if devices == 1 else f"-x{devices}")


def short_names(frame: pd.DataFrame) -> pd.Series[str]:
    """``matmul[square-512-fp32-eager-cpu]`` for each row; cases that differ may share one."""
    text = frame[["workload", "configuration", "dtype", "mode", "backend"]].astype("str")
    parts = text["configuration"] + "-" + text["dtype"] + "-" + text["mode"]
    return text["workload"] + "[" + parts + "-" + text["backend"] + "]"
