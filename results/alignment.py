"""Which rows of two frames are the same work: by their typed columns, with no loop over rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .machines import SILICON
from .record import WORKING

if TYPE_CHECKING:
    import pandas as pd

    from .record import Record

Places = NDArray[np.int64]

#: What a case is: the parameters themselves, and not the name of their set.
WORK = ("workload", "params", "phase", "dtype")
#: What else must be equal, and is left aside one pass after another: runs on one kind of device
#: belong together, a renamed configuration is the same work, backend and devices are others where
#: the hardware is another.
PASSES: tuple[tuple[str, ...], ...] = (
    (*SILICON, "configuration", "mode", "backend", "devices"),
    ("configuration", "mode", "backend", "devices"),
    ("configuration", "mode"),
    ("mode",),
    ("uncompiled",),
)
#: Others publish kernels and graphs, we run modes: across origins only the work is looked at, once
#: those are paired that name the same mode.
ACROSS_ORIGINS: tuple[tuple[str, ...], ...] = (("mode",), ())
#: Where these are the same, as many devices are wanted: on four, a case is other work than on one.
_HARDWARE = ("backend", "device", "chip", "lnc", "share")


def align(
    a: pd.DataFrame, b: pd.DataFrame, leave_out: Sequence[str] = ()
) -> tuple[Places, Places, Places, Places]:
    """``(in_a, in_b, only_a, only_b)``: row numbers of pairs of the same work in A's order, and
    those that the other side hasn't. A row that it has on a device of another kind alone, beside
    one that both have, is in neither.

    Each pass leaves one more column aside, and looks only at the rows that no pass before it has
    paired. A row that has several counterparts is in a pair with each. ``leave_out`` names
    columns that needn't be equal at all, such as "mode" where modes are compared.
    """
    across = set(a["origin"].unique()) != set(b["origin"].unique())
    pairs: list[tuple[Places, Places]] = []
    left_a, left_b = np.arange(len(a)), np.arange(len(b))
    for more in ACROSS_ORIGINS if across else PASSES:
        if not left_a.size or not left_b.size:
            break
        columns = [name for name in (*WORK, *more) if name not in leave_out]
        if "mode" in leave_out and "uncompiled" in columns:
            columns.remove("uncompiled")
        key_a, key_b = _keys(a.iloc[left_a], b.iloc[left_b], columns)
        found_a, found_b = _matches(key_a, key_b)
        if "devices" not in (*columns, *leave_out):
            same = _is_of_as_many(a.iloc[left_a[found_a]], b.iloc[left_b[found_b]])
            found_a, found_b = found_a[same], found_b[same]
        pairs.append((left_a[found_a], left_b[found_b]))
        left_a = np.delete(left_a, np.unique(found_a))
        left_b = np.delete(left_b, np.unique(found_b))
    in_a = np.concatenate([one for one, _ in pairs]) if pairs else np.empty(0, dtype=np.int64)
    in_b = np.concatenate([one for _, one in pairs]) if pairs else np.empty(0, dtype=np.int64)
    order = np.argsort(in_a, kind="stable")
    if not across and (left_a.size or left_b.size):
        left_a, left_b = _unmatched(a, b, left_a, left_b, leave_out)
    return in_a[order], in_b[order], left_a, left_b


def _unmatched(
    a: pd.DataFrame, b: pd.DataFrame, left_a: Places, left_b: Places, leave_out: Sequence[str]
) -> tuple[Places, Places]:
    """Those of the rows left that the other side hasn't. What it has on another device alone, since
    it was paired with that one, is neither missing nor new; but a failure in B is kept in sight."""
    columns = [name for name in (*WORK, *PASSES[1]) if name not in leave_out]
    key_a, key_b = _keys(a, b, columns)
    failed = ~b["status"].isin(list(map(str, WORKING))).to_numpy(dtype=np.bool_)
    own_a = ~np.isin(key_a[left_a], key_b)
    own_b = ~np.isin(key_b[left_b], key_a) | failed[left_b]
    return left_a[own_a], left_b[own_b]


def row_numbers(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """A number for each row from 0 on, in the order in which they first appear; equal where all
    columns are. What isn't known is equal to what isn't."""
    import pandas as pd

    numbers, _ = _keys(frame, frame.iloc[:0], columns)
    return pd.factorize(numbers)[0].astype(np.int64)


def pair_records(a: Sequence[Record], b: Sequence[Record]) -> list[tuple[Record, Record]]:
    """The same of records: pairs of the same work, in A's order."""
    from .frame import frame_of

    if not a or not b:
        return []
    in_a, in_b, _, _ = align(frame_of(a), frame_of(b))
    return [(a[first], b[second]) for first, second in zip(in_a, in_b, strict=True)]


def _keys(
    a: pd.DataFrame, b: pd.DataFrame, columns: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One number for each row, equal where all columns are."""
    total = np.zeros(len(a) + len(b), dtype=np.int64)
    for name in columns:
        codes, count = _codes(_values(a, name), _values(b, name))
        if not codes.size or codes.min() == codes.max():
            continue
        # Numbered anew after each column, so that the product stays far below 2^63.
        _, total = np.unique(total * (count + 1) + codes, return_inverse=True)
    return total[: len(a)], total[len(a) :]


def _is_of_as_many(a: pd.DataFrame, b: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether two rows are of as many devices, or of other hardware; one pair a row."""
    hardware_a, hardware_b = _keys(a, b, _HARDWARE)
    as_many = a["devices"].to_numpy(dtype=np.int64) == b["devices"].to_numpy(dtype=np.int64)
    same: NDArray[np.bool_] = (hardware_a != hardware_b) | as_many
    return same


def _values(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name != "uncompiled":
        return frame[name]
    # Eager and lazy are what two stacks call a program that nobody compiled.
    mode = frame["mode"].astype("object")
    return mode.where(~mode.isin(["eager", "lazy"]), "uncompiled")


def _codes(a: pd.Series[Any], b: pd.Series[Any]) -> tuple[NDArray[np.int64], int]:
    import pandas as pd

    categories = isinstance(a.dtype, pd.CategoricalDtype)
    if categories and isinstance(b.dtype, pd.CategoricalDtype):
        # Only the few names are looked at, and not each row's.
        union = a.cat.categories.union(b.cat.categories)
        own = [
            np.append(union.get_indexer(side.cat.categories), -1)[side.cat.codes] for side in (a, b)
        ]
        return np.concatenate(own) + 1, len(union) + 1
    codes, kinds = pd.factorize(
        np.concatenate([a.to_numpy(dtype=object), b.to_numpy(dtype=object)])
    )
    return codes.astype(np.int64) + 1, len(kinds) + 1


def _matches(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[Places, Places]:
    """Places of all pairs of equal numbers, in A's order and then in B's."""
    order = np.argsort(b, kind="stable")
    ordered = b[order]
    first = np.searchsorted(ordered, a, side="left")
    counts = np.searchsorted(ordered, a, side="right") - first
    places_a = np.repeat(np.arange(a.size), counts)
    start = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    return places_a, order[start + np.arange(places_a.size)]
