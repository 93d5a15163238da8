"""Records as a pandas frame: one row a case, typed columns, every time in seconds."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .archive import DEFAULT_FOLDER, find_records, unfinished
from .frame_columns import (
    CATEGORIES,
    CEILINGS,
    DEVICE_COLUMNS,
    ENVIRONMENT_COLUMNS,
    FLOATS,
    INTEGERS,
    TEXTS,
    TIME,
    case_columns,
)
from .frame_types import Assembly, require_known
from .lines import RecordError, parse_object, raw_lines
from .moments import in_calendar, read_moment
from .parquet import PARQUET_SUFFIX, read_parquet
from .printable import may_control
from .rates import by_silicon
from .record import SCHEMA_VERSION, Record
from .upgrades import upgraded

if TYPE_CHECKING:
    import pandas as pd

    from .row import RecordRow

__all__ = ["CEILINGS", "frame_of", "load", "load_files"]

#: Lines decoded at a time: what is alive of them is a few megabytes, and not the file.
_CHUNK_LINES = 8192
_CHUNK_BYTES = 32 * 2**20
#: From here on a process of its own costs less than it saves.
_LARGE_BYTES = 64 * 2**20


def load(path: str | Path = "", folder: Path = DEFAULT_FOLDER) -> pd.DataFrame:
    """One row a case of a stored run.

    ``path`` is a file, a folder (its newest run), a run id or a label, as in ``trnbench show``;
    or a Parquet file that ``trnbench export`` wrote.

    Columns, all there even where a run has nothing for them: the case (workload,
    configuration, dtype, mode, backend, devices, phase, ``params`` as JSON with sorted names,
    ``param.*``), status (category), times per call with their 95 % intervals in seconds,
    throughput in SI with its unit, floor and fraction of each ceiling, bound, cost, numeric error,
    compile_s, flags (a text, separated by blanks), label, run, origin, time (UTC), device, chip,
    share, threads, ``version.*``, ``variable.*``. ``items_per_s`` is of one device; per chip and
    per US dollar as in ``rates``. Counts are ``Int64``, so that an unknown one is ``<NA>`` and not
    a float. Raw samples stay in the file. ``frame.attrs["notices"]`` says what was left out.

    Raises ``StoreError`` for an unknown run and ``RecordError`` for a broken line.
    """
    return load_files([find_records(path, folder)])


def load_apart(sides: Sequence[Sequence[Path]]) -> list[pd.DataFrame]:
    """A frame for each list of files. Large ones are read side by side, in processes of their
    own where there is a processor for each."""
    sizes = [sum(path.stat().st_size for path in paths) for paths in sides]
    if sum(size > _LARGE_BYTES for size in sizes) < 2 or (os.cpu_count() or 1) < 2:
        return [load_files(paths) for paths in sides]
    with ProcessPoolExecutor(min(len(sides), os.cpu_count() or 1) - 1) as pool:
        others = [pool.submit(load_files, paths) for paths in sides[1:]]
        # One here: a frame that comes from another process is written and read once more.
        return [load_files(sides[0]), *(other.result() for other in others)]


def load_files(paths: Iterable[Path]) -> pd.DataFrame:
    """The rows of several files, one file after another, with the columns of :func:`load`.

    ``attrs["notices"]`` tells of lines skipped and of runs that are unfinished.
    """
    paths = list(paths)
    assembly = Assembly()
    notices: list[str] = []
    tables = []
    with _uncollected():
        for path in paths:
            if path.suffix == PARQUET_SUFFIX:
                tables.append(read_parquet(path))
            else:
                _decode(path, raw_lines(path, notices), assembly)
    if assembly.rows or not tables:
        tables.append(_finish(assembly))
    frame = tables[0] if len(tables) == 1 else join(tables)
    counts = frame["run"].value_counts()
    told = (unfinished(path, int(counts.get(path.stem, 0))) for path in paths)
    frame.attrs["notices"] = (*notices, *filter(None, told))
    return frame


def frame_of(records: Sequence[Record]) -> pd.DataFrame:
    """The columns of records that aren't in a file, or are there as others wrote them."""
    lines = ((n, record.model_dump_json().encode()) for n, record in enumerate(records, start=1))
    assembly = Assembly()
    _decode(Path("records"), lines, assembly)
    return _finish(assembly)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: decoding makes millions of objects and no cycles, and looking
    for some took a quarter of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _decode(path: Path, lines: Iterator[tuple[int, bytes]], assembly: Assembly) -> None:
    from .row import record_decoder

    for chunk in _chunks(lines):
        rows = []
        for number, line in chunk:
            # Controls are looked for in the whole line; figures are held to 64 bits by the types.
            if may_control(line):
                rows.append(_decode_slowly(path, number, line))
                continue
            try:
                row = record_decoder.decode(line)
            except (ValueError, RecursionError) as error:
                raise _broken(path, number, error) from error
            if row.schema_version != SCHEMA_VERSION:
                row = _decode_slowly(path, number, line)
            rows.append(row)
        _add(path, [number for number, _ in chunk], rows, assembly)


def _decode_slowly(path: Path, number: int, line: bytes) -> RecordRow:
    """A line whose texts must be made printable, or that is of an older schema."""
    from msgspec.json import encode

    from .row import record_decoder

    try:
        return record_decoder.decode(encode(upgraded(parse_object(line), path, number)))
    except (ValueError, RecursionError) as error:
        raise _broken(path, number, error) from error


def _chunks(lines: Iterator[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    chunk: list[tuple[int, bytes]] = []
    size = 0
    for number, line in lines:
        chunk.append((number, line))
        size += len(line)
        if len(chunk) >= _CHUNK_LINES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _add(path: Path, numbers: Sequence[int], rows: Sequence[RecordRow], assembly: Assembly) -> None:
    """Columns of one chunk, by column; params, device and environment once for each that
    differs, since a run has few different ones."""
    from .row import device_decoder, environment_decoder, params_decoder

    def decoded(decode: Callable[[Any], Any]) -> Callable[[int, Any], Any]:
        def at(place: int, text: Any) -> Any:
            try:
                return decode(text)
            except (ValueError, RecursionError) as error:
                raise _broken(path, numbers[place], error) from error

        return at

    assembly.add_columns(case_columns(rows))
    assembly.add_shared("params", [r.case.params for r in rows], decoded(params_decoder.decode))
    assembly.add_shared("device", [r.device for r in rows], decoded(device_decoder.decode))
    assembly.add_shared(
        "environment", [r.environment for r in rows], decoded(environment_decoder.decode)
    )


def _broken(path: Path, number: int, error: Exception) -> RecordError:
    return RecordError(
        f"{path}: line {number}: no record: {error}; see what is wrong with it with: "
        f"trnbench validate {path}"
    )


def _finish(assembly: Assembly) -> pd.DataFrame:
    import pandas as pd
    from msgspec.json import encode

    columns: dict[str, Any] = {}
    params, params_codes = assembly.shared("params")
    texts = [encode(dict(sorted(one.items()))).decode() for one in params]
    columns["params"] = pd.Series(assembly.spread(texts, params_codes), dtype="str")
    names = sorted({name for one in params for name in one})
    extra = [f"param.{name}" for name in names]
    for name in names:
        values = [one.get(name) for one in params]
        series = pd.Series(values, dtype=_parameter_dtype(values))
        columns[f"param.{name}"] = series.take(params_codes).reset_index(drop=True)
    _add_devices(assembly, columns)
    extra += _add_environments(assembly, columns)
    for name in (*CATEGORIES, *INTEGERS, *FLOATS, *TEXTS):
        if name not in columns and name not in _DERIVED:
            columns[name] = assembly.column(name)
    columns[TIME] = _times(assembly)
    frame = pd.DataFrame(columns)
    try:
        require_known(frame)
    except ValueError as error:
        raise RecordError(f"{error}; see which line with: trnbench validate FILE") from error
    _add_rates(frame)
    return frame[_order(extra)]


_DERIVED = ("items_per_s", "items_per_chip_s", "items_per_usd")


def _times(assembly: Assembly) -> pd.Series[Any]:
    """UTC; unknown where a table that others published says so in words of its own."""
    import numpy as np
    import pandas as pd

    texts, published = assembly.texts(TIME), assembly.column("origin") == "published"
    times = pd.to_datetime(
        pd.Series(texts, dtype="str"), utc=True, format="ISO8601", errors="coerce"
    )
    for place in map(int, np.flatnonzero(~in_calendar(times))):
        # pandas knows fewer forms, and "NaT" for one that is none.
        try:
            times.iloc[place] = pd.Timestamp(read_moment(texts[place]))
        except ValueError as error:
            if not published[place]:
                raise RecordError(
                    f"field 'time': {error}; see which line with: trnbench validate FILE"
                ) from error
            times.iloc[place] = None
    return times


def _add_devices(assembly: Assembly, columns: dict[str, Any]) -> None:
    devices, codes = assembly.shared("device")
    values: dict[str, list[Any]] = {
        "device": [d and d.name for d in devices],
        "instance": [d and _text(d.facts.get("instance_type")) for d in devices],
        "lnc": [d and _text(d.facts.get("lnc")) for d in devices],
    }
    for name in ("chip", "share", "cores_used", "driver"):
        values[name] = [d and getattr(d, name) for d in devices]
    for name in DEVICE_COLUMNS:
        columns[name] = assembly.take(name, values[name], codes)


def _add_environments(assembly: Assembly, columns: dict[str, Any]) -> list[str]:
    import pandas as pd

    places, codes = assembly.shared("environment")
    for name in ENVIRONMENT_COLUMNS:
        if name == "commit":
            values = [e and _text(e.git.get("commit")) for e in places]
        else:
            values = [e and getattr(e, name) for e in places]
        columns[name] = assembly.take(name, values, codes)
    extra = []
    for prefix, field in (("version", "versions"), ("variable", "variables")):
        for name in sorted({name for e in places if e for name in getattr(e, field)}):
            values = [e and getattr(e, field).get(name) for e in places]
            extra.append(f"{prefix}.{name}")
            series = pd.Series(values, dtype="category")
            columns[extra[-1]] = series.take(codes).reset_index(drop=True)
    return extra


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _add_rates(frame: pd.DataFrame) -> None:
    """Items per second of a case with a result, per device, per chip and per dollar."""
    import numpy as np
    import pandas as pd

    time_s = frame["sustained_s"].fillna(frame["isolated_s"])
    items = frame["items"].astype("float64")
    known = (frame["status"] == "OK") & (time_s > 0) & (items > 0)
    per_device = (items / frame["devices"].astype("float64") / time_s).where(known)
    silicon = frame[["chip", "share", "instance"]].astype(object)
    codes, kinds = pd.factorize(pd.MultiIndex.from_frame(silicon.where(silicon.notna(), None)))
    factors = [by_silicon(1.0, *map(_none, kind)) for kind in kinds]
    nothing = np.nan
    per_chip = np.array([f.per_chip if f.per_chip is not None else nothing for f in factors])
    per_usd = np.array([f.per_usd if f.per_usd is not None else nothing for f in factors])
    frame["items_per_s"] = per_device
    frame["items_per_chip_s"] = per_device * per_chip[codes] if len(frame) else per_device
    frame["items_per_usd"] = per_device * per_usd[codes] if len(frame) else per_device


def _none(value: Any) -> Any:
    return None if value != value else value  # noqa: PLR0124 - NaN is the one that differs


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames under one another, with the types that a single one would have."""
    import pandas as pd
    from pandas.api.types import union_categoricals

    names = list(dict.fromkeys(str(name) for table in tables for name in table.columns))
    columns: dict[str, Any] = {}
    for name in names:
        parts = [
            table[name] if name in table else pd.Series(index=table.index, dtype="object")
            for table in tables
        ]
        if any(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            columns[name] = union_categoricals([_categorical(part) for part in parts])
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
            if name.startswith("param."):
                values = columns[name].dropna().tolist()
                columns[name] = columns[name].astype(_parameter_dtype(values))
    frame = pd.DataFrame(columns)
    return frame[_order([name for name in names if "." in name])]


def _categorical(part: pd.Series[Any]) -> Any:
    """Texts as categories. A column without one has no type of its own, and takes theirs."""
    import pandas as pd

    own = part.array if isinstance(part.dtype, pd.CategoricalDtype) else pd.Categorical(part)
    return pd.Categorical.from_codes(own.codes, categories=own.categories.astype("str"))


def _order(extra: Sequence[str]) -> list[str]:
    case = ["workload", "configuration", "dtype", "mode", "backend", "devices", "phase"]
    first = [*case, *(name for name in extra if name.startswith("param.")), "status", *FLOATS]
    rest = [*INTEGERS, *TEXTS, *CATEGORIES, TIME, *extra]
    return list(dict.fromkeys([*first, *rest]))


def _parameter_dtype(values: Sequence[Any]) -> str:
    """The narrowest type that holds a parameter's values in all workloads that have it."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return "Int64" if all(v is None or abs(v) < 2**63 for v in values) else "object"
    if kinds <= {int, float}:
        return "float64"
    return "str" if kinds == {str} else "object"
