"""In which facts of the environment two runs differ, those that move a time first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Columns of facts, in the order in which a reader wants to know of them. Between the driver and
#: the threads stand versions and variables.
_FIRST = ("device", "instance", "driver")
_LAST = ("lnc", "threads", "cpu", "system", "python", "commit")
#: Of the versions, the stack's own: a compiler and a runtime change more than a library does.
_STACK = re.compile(r"neuron|nki|xla|cuda|cudnn|nccl|triton|^torch$", re.IGNORECASE)


def environment_changes(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """``torch: 2.13.0 -> 2.14.0`` for each fact that differs. Nothing where one of the two,
    being published, has no environment."""
    first, second = _facts(a), _facts(b)
    if not first or not second:
        return []
    return [
        f"{name}: {first.get(name, 'none')} -> {second.get(name, 'none')}"
        for name in _in_order({*first, *second})
        if first.get(name) != second.get(name)
    ]


def is_of_stack(change: str) -> bool:
    """Whether a change is of what compiles, launches or computes, or of how it is told to."""
    name = change.partition(":")[0]
    return bool(_STACK.search(name)) or name in ("driver", "lnc", "threads") or name.isupper()


def _facts(frame: pd.DataFrame) -> dict[str, str]:
    """Each fact with the values that it has in a run."""
    found = {}
    rows = frame[frame["system"].notna()] if len(frame) else frame
    for column in frame.columns:
        prefix, _, name = column.partition(".")
        if prefix in ("version", "variable") or column in (*_FIRST, *_LAST):
            values = rows[column].dropna().unique()
            if len(values):
                found[name or column] = " and ".join(sorted(map(str, values)))
    return found


def _in_order(names: set[str]) -> list[str]:
    def place(name: str) -> tuple[int, str]:
        if name in _FIRST:
            return _FIRST.index(name), name
        if name in _LAST:
            return 100 + _LAST.index(name), name
        # What is said in capitals is a variable: flags of a compiler or a runtime.
        return (20 if name.isupper() else 10 if _STACK.search(name) else 200), name

    return sorted(names, key=place)
