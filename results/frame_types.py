"""Values of many records, chunk after chunk, as typed columns that are never lists of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .frame_columns import CATEGORIES, FLOATS, INTEGERS
from .record import Status

if TYPE_CHECKING:
    import pandas as pd

Codes = NDArray[np.int32]

#: Columns that hold nothing but these.
_CLOSED = {"status": tuple(Status), "origin": ("measured", "published", "simulated")}


def require_known(frame: pd.DataFrame) -> None:
    """Raises ``ValueError`` for a status or an origin that there is none of."""
    for name, known in _CLOSED.items():
        for value in frame[name].cat.categories:
            if value not in known:
                raise ValueError(
                    f"field '{name}': '{value:.60}' given; wanted one of {', '.join(known)}"
                )


class Assembly:
    """Columns that grow by chunks. Categories are codes into a table of their own, floats are
    arrays, and integers have a mask beside them: half a million records stay under a gigabyte."""

    def __init__(self) -> None:
        self.rows = 0
        self._parts: dict[str, list[Any]] = {}
        self._tables: dict[str, dict[Any, int]] = {}
        self._shared: dict[str, list[Any]] = {}

    def add_columns(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """The next rows; each column has as many values."""
        self.rows += len(next(iter(columns.values())))
        for name, values in columns.items():
            self._parts.setdefault(name, []).append(self._pack(name, values))

    def add_shared(
        self, name: str, texts: Sequence[Any], decode: Callable[[int, Any], Any]
    ) -> None:
        """Values of the next rows that few different texts hold: ``decode`` gets the place in
        the chunk and the text of each one that is new."""
        table = self._tables.setdefault(name, {})
        values = self._shared.setdefault(name, [])
        keys = list(map(bytes, texts))
        for place, key in enumerate(keys):
            if key not in table:
                values.append(decode(place, texts[place]))
                table[key] = len(values) - 1
        self._parts.setdefault(f"shared {name}", []).append(_looked_up(keys, table))

    def shared(self, name: str) -> tuple[list[Any], Codes]:
        """The different values, and for each row the number of its own."""
        return self._shared.get(name, []), self._joined(f"shared {name}", np.int32)

    def spread(self, values: Sequence[Any], codes: Codes) -> Any:
        """For each row its value."""
        return np.asarray(values, dtype=object)[codes] if len(values) else []

    def take(self, name: str, values: Sequence[Any], codes: Codes) -> Any:
        """A column of the type that ``name`` has, from one value for each code."""
        import pandas as pd

        if name in CATEGORIES:
            table: dict[Any, int] = {}
            own = _encode(values, table)
            return pd.Categorical.from_codes(own[codes], categories=_index(table))
        if name in INTEGERS:
            numbers, mask = _integers(values)
            return pd.arrays.IntegerArray(numbers[codes], mask[codes])
        return _floats(values)[codes]

    def column(self, name: str) -> Any:
        """All rows of a column, with its type in the frame."""
        import pandas as pd

        if name in CATEGORIES:
            codes = self._joined(name, np.int32)
            return pd.Categorical.from_codes(codes, categories=_index(self._tables.get(name, {})))
        if name in INTEGERS:
            parts = self._parts.get(name, [])
            if not parts:
                return pd.array([], dtype="Int64")
            numbers, masks = zip(*parts, strict=True)
            return pd.arrays.IntegerArray(np.concatenate(numbers), np.concatenate(masks))
        if name in FLOATS:
            return self._joined(name, np.float64)
        return pd.Series(self.texts(name), dtype="str")

    def texts(self, name: str) -> list[Any]:
        """All rows of a column of text, None where there is none."""
        return [text for part in self._parts.get(name, []) for text in part]

    def _pack(self, name: str, values: Sequence[Any]) -> Any:
        if name in CATEGORIES:
            return _encode(values, self._tables.setdefault(name, {}))
        if name in INTEGERS:
            return _integers(values)
        return _floats(values) if name in FLOATS else values

    def _joined(self, name: str, dtype: Any) -> Any:
        parts = self._parts.get(name, [])
        return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)


def _encode(values: Sequence[Any], table: dict[Any, int]) -> Codes:
    """The code of each value in ``table``, which grows; -1 for None."""
    if _is_absent(values):
        return np.full(len(values), -1, dtype=np.int32)
    different = dict.fromkeys(values)
    for value in different:
        if value is not None and value not in table:
            table[value] = len(table)
    return _looked_up(values, {**table, None: -1} if None in different else table)


def _looked_up(values: Sequence[Any], table: Mapping[Any, int]) -> Codes:
    return np.fromiter(map(table.__getitem__, values), dtype=np.int32, count=len(values))


def _integers(values: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    mask = np.full(len(values), _is_absent(values), dtype=np.bool_)
    if mask.any():
        return np.zeros(len(values), dtype=np.int64), mask
    if None in values:
        mask = np.fromiter((value is None for value in values), np.bool_, len(values))
        values = [0 if value is None else value for value in values]
    return np.array(values, dtype=np.int64), mask


def _floats(values: Sequence[Any]) -> NDArray[np.float64]:
    if _is_absent(values):
        return np.full(len(values), np.nan)
    # numpy reads None as NaN, but slowly.
    return np.array(values, dtype=np.float64)


def _is_absent(values: Sequence[Any]) -> bool:
    """Whether nothing is known: so it is of most columns in a run of one backend."""
    return bool(values) and values[0] is None and values.count(None) == len(values)


def _index(table: Mapping[Any, int]) -> Any:
    import pandas as pd

    return pd.Index(list(table), dtype="str")
