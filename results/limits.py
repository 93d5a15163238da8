"""Absolute limits that a run must keep, as a person writes them: ``latency_ms < 20``."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .case_names import short_names
from .frame_columns import FLOATS, INTEGERS
from .lines import StoreError
from .record import Status
from .statistics import Floats

if TYPE_CHECKING:
    import pandas as pd

_COMPARISONS: dict[str, Callable[[Floats, float], np.ndarray]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
#: Names for people: of which columns the first known one is taken, and by what it is divided.
_NAMES: dict[str, tuple[tuple[str, ...], float]] = {
    "latency_s": (("sustained_s", "isolated_s"), 1.0),
    "latency_ms": (("sustained_s", "isolated_s"), 1e-3),
    "latency_us": (("sustained_s", "isolated_s"), 1e-6),
    "p99_ms": (("p99_s",), 1e-3),
    "mfu": (("mfu_datasheet", "mfu_derived"), 1.0),
    "hfu": (("hfu_datasheet", "hfu_derived"), 1.0),
    "fraction": (("fraction_datasheet", "fraction_derived"), 1.0),
    "memory_gb": (("peak_memory_bytes",), 1e9),
}
_FORM = re.compile(
    r"\s*(?:(?P<pattern>.*?):\s*)?(?P<metric>[a-z_][a-z_0-9]*)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?P<bound>[0-9.eE+-]+)\s*"
)
_WANTED = "wanted [PATTERN:] METRIC < BOUND, such as 'latency_ms < 20' or 'matmul: mfu > 0.4'"


class LimitError(StoreError):
    """A limit that can't be read, or that no case can be held against."""


@dataclass(frozen=True, slots=True)
class Limit:
    """``metric`` compared with ``bound`` by ``sign`` must be true of every case that ended OK,
    and whose name holds ``pattern``. Units are in the metric's name; SI elsewhere."""

    text: str
    pattern: str
    metric: str
    sign: str
    bound: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A case that doesn't keep a limit, and the figure that it has instead."""

    limit: Limit
    case: str
    value: float

    def __str__(self) -> str:
        return f"{self.case}: {self.limit.metric} is {self.value:.4g}; wanted {self.limit.text}"


def metrics() -> tuple[str, ...]:
    """What a limit may be on."""
    return (*_NAMES, *FLOATS, *INTEGERS)


def _known(metric: str) -> str:
    close = difflib.get_close_matches(metric, metrics(), n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}wanted one of {', '.join(_NAMES)}, or a column of figures of trnbench export"


def parse_limit(text: str) -> Limit:
    """Raises ``LimitError`` with what was given and what was wanted."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise LimitError(f"limit '{text}' given; {_WANTED}")
    metric = found["metric"]
    if metric not in metrics():
        raise LimitError(f"limit '{text}': no metric '{metric}'; {_known(metric)}")
    try:
        bound = float(found["bound"])
    except ValueError as error:
        raise LimitError(f"limit '{text}': '{found['bound']}' is no figure; {_WANTED}") from error
    return Limit(text.strip(), (found["pattern"] or "").strip(), metric, found["sign"], bound)


def breaches(frame: pd.DataFrame, limit: Limit) -> list[Breach]:
    """The cases that don't keep a limit, the worst first.

    Raises ``LimitError`` where no case that ended OK has the figure: a limit that nothing is
    held against would always be kept.
    """
    values = _values(frame, limit)
    names = short_names(frame)
    asked = names.str.contains(limit.pattern, regex=False) & (frame["status"] == Status.OK)
    known = asked.to_numpy() & np.isfinite(values)
    if not known.any():
        which = f"matching '{limit.pattern}' " if limit.pattern else ""
        raise LimitError(
            f"limit '{limit.text}': no case {which}ended OK with a figure for {limit.metric}, so "
            "nothing was held against it"
        )
    with np.errstate(invalid="ignore"):
        broken = known & ~_COMPARISONS[limit.sign](values, limit.bound)
    places = np.flatnonzero(broken)
    worst = places[np.argsort(-np.abs(values[places] - limit.bound), kind="stable")]
    return [Breach(limit, str(names.iloc[place]), float(values[place])) for place in worst]


def _values(frame: pd.DataFrame, limit: Limit) -> Floats:
    columns, unit = _NAMES.get(limit.metric, ((limit.metric,), 1.0))
    values: Floats = np.full(len(frame), np.nan)
    for column in columns:
        own = frame[column].to_numpy(dtype=np.float64, na_value=np.nan)
        values = np.where(np.isnan(values), own, values)
    return values / unit
