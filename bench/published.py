"""Runs by name: a stored one, or published measurements held against the same catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..results.archive import read_run
from ..results.published import read_published
from ..results.store import StoredRun
from .command_options import note
from .errors import UsageError
from .roofs import published_roofs

if TYPE_CHECKING:
    import pandas as pd


def is_published(name: str) -> bool:
    """Whether a name is one of others' measurements, and not of a run of ours."""
    return name.partition("#")[0].endswith(".csv")


def read_any(name: str, out: Path) -> StoredRun:
    """The run that a person named: a file, folder, id or label of our own; or
    ``FILE.csv`` or ``FILE.csv#CHIP``, measurements that others published."""
    file, _, chip = name.partition("#")
    if not is_published(name):
        return read_run(name, out)
    if not Path(file).is_file():
        raise UsageError(f"no file '{file}'; wanted a CSV file of published measurements")
    records = read_published(Path(file), chip, roofs=published_roofs)
    if not records:
        raise UsageError(f"no row of '{file}' is of chip '{chip}'")
    return StoredRun(Path(file), tuple(records))


def read_frames(names: Sequence[str], out: Path, *, all_runs: bool) -> list[pd.DataFrame]:
    """A frame for each run that a person named; with ``all_runs``, all of a folder or a label."""
    from ..results.archive import find_all_records, find_records
    from ..results.frame import frame_of, load_apart

    stored = {name: read_any(name, out) for name in names if is_published(name)}
    files = {
        name: find_all_records(name, out) if all_runs else [find_records(name, out)]
        for name in names
        if name not in stored
    }
    loaded = dict(zip(files, load_apart(list(files.values())), strict=True))
    frames = []
    for name in names:
        frame = loaded[name] if name in loaded else frame_of(stored[name].records)
        note(stored[name].notices if name in stored else frame.attrs["notices"])
        if not len(frame):
            raise UsageError(f"'{name}' holds no record; give a run that has some")
        frames.append(frame)
    return frames
